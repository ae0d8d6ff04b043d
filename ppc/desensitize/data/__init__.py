"""Word lists that lie beside the code, one entry a line."""

from __future__ import annotations

import functools
from importlib import resources


@functools.cache
def words(name: str) -> tuple[str, ...]:
    """The lines of data/NAME.txt, without blanks and lines that begin with '#'."""
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))

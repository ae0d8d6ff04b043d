"""The common abstraction: an immutable table with a schema, and the questions that every protection of it answers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ppc.dataset.schema import Field, Grade, Role, Schema

if TYPE_CHECKING:
    from ppc.dataset.analysable import Analysable
    from ppc.dataset.dataset import Dataset
    from ppc.dataset.io import NULL_VALUES, read

__all__ = ["NULL_VALUES", "Analysable", "Dataset", "Field", "Grade", "Role", "Schema", "read"]

# Loaded on first use: pyarrow and NumPy take longer to import than everything else here.
_LAZY = {
    "Analysable": "ppc.dataset.analysable",
    "Dataset": "ppc.dataset.dataset",
    "NULL_VALUES": "ppc.dataset.io",
    "read": "ppc.dataset.io",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

"""How much memory a piece of work needs at its peak, on Linux: the high-water mark is reset before it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_megabytes() -> float:
    """The most this process had in memory since it began. (`ru_maxrss` counts what its parent had when it forked.)"""
    return _kilobytes("VmHWM") / 1024


def _kilobytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise RuntimeError(f"{_STATUS} has no {field}")


class Peak:
    """`with Peak() as p: …`; then `p.bytes` is the most that was in memory at once beyond what was there before.

    What earlier work freed is given back to the system first, so that its reuse counts. `None` where the system does
    not tell.
    """

    bytes: int | None = None

    def __enter__(self) -> Peak:
        gc.collect()
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            self._before: int | None = _kilobytes("VmRSS")
        except (OSError, AttributeError):
            self._before = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self.bytes = max(0, _kilobytes("VmHWM") - self._before) * 1024

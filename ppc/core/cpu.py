"""What the processor can do beyond the common ground, asked before any kernel is compiled for it.

Kernels that use special instructions have a portable twin of the same meaning. `PPC_PORTABLE=1` in the environment
chooses the twins everywhere, which is how they are tested on machines that have the instructions.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

PORTABLE: Final = "PPC_PORTABLE"


@cache
def _host_features() -> frozenset[str]:
    import llvmlite.binding
    from numba.core import config

    if getattr(config, "CPU_NAME", None) or getattr(config, "CPU_FEATURES", None):
        return frozenset()  # compiled for another processor than this one: take nothing for granted
    return frozenset(name for name, present in llvmlite.binding.get_host_cpu_features().items() if present)


def has(feature: str) -> bool:
    """True if kernels may use `feature` (LLVM's name of it, such as `pclmul`)."""
    return os.environ.get(PORTABLE, "0") != "1" and feature in _host_features()

"""ppc: institutions compute together on data that none of them shows.

    import ppc

    ds = ppc.read("customers.parquet")
    print(ds.release(ds.mean("income")))

Everything loads on first use, so that `import ppc` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc import dataset, desensitize, dp, errors, he, joint, mpc
    from ppc.dataset.dataset import Dataset
    from ppc.dataset.io import read
    from ppc.dataset.schema import Field, Grade, Role, Schema

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Field",
    "Grade",
    "Role",
    "Schema",
    "__version__",
    "dataset",
    "desensitize",
    "dp",
    "errors",
    "he",
    "joint",
    "mpc",
    "read",
]

_FROM_DATASET = frozenset({"Dataset", "Field", "Grade", "Role", "Schema", "read"})
_PACKAGES = frozenset({"dataset", "desensitize", "dp", "errors", "he", "joint", "mpc"})


def __getattr__(name: str) -> Any:  # PEP 562
    if name in _PACKAGES:
        return importlib.import_module(f"ppc.{name}")
    if name in _FROM_DATASET:
        value = getattr(importlib.import_module("ppc.dataset"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ppc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

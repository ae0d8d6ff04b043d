"""Secure multi-party computation: sessions, shares, and operations on them.

from ppc.mpc import Session, ops

with Session.additive("bank-a", ["bank-a", "bank-b"], channels, dealer) as s:
    x = ops.share(s, my_numbers, owner=0, shape=1000)
    print(ops.open(s, ops.mul(s, x, x).sum()))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc.mpc import ops
    from ppc.mpc.dataset import SharedDataset, share
    from ppc.mpc.fixed import FixedMatrix
    from ppc.mpc.local import run
    from ppc.mpc.secure_array import SecureArray
    from ppc.mpc.secure_functions import array, where
    from ppc.mpc.session import Session
    from ppc.mpc.shares import AShare, BShare
    from ppc.mpc.tracing import trace

__all__ = [
    "AShare",
    "BShare",
    "FixedMatrix",
    "SecureArray",
    "Session",
    "SharedDataset",
    "array",
    "ops",
    "run",
    "share",
    "trace",
    "where",
]

_HOME = {
    "AShare": "ppc.mpc.shares",
    "BShare": "ppc.mpc.shares",
    "FixedMatrix": "ppc.mpc.fixed",
    "SecureArray": "ppc.mpc.secure_array",
    "Session": "ppc.mpc.session",
    "SharedDataset": "ppc.mpc.dataset",
    "run": "ppc.mpc.local",
    "array": "ppc.mpc.secure_functions",
    "share": "ppc.mpc.dataset",
    "trace": "ppc.mpc.tracing",
    "where": "ppc.mpc.secure_functions",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "ops":
        return importlib.import_module("ppc.mpc.ops")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ppc.mpc' has no attribute '{name}'")

"""The operators that a job file may name."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from ppc.errors import InternalError, JobFileError, did_you_mean
from ppc.joint.operator import Operator

O = TypeVar("O", bound=type[Operator[Any]])

_OPERATORS: dict[str, Operator[Any]] = {}

#: Modules that register operators when they are imported; loaded at the first question. One line an operator's file.
_MODULES: tuple[str, ...] = (
    "ppc.joint.credit.align",
    "ppc.joint.credit.woe",
    "ppc.joint.credit.select",
    "ppc.joint.credit.logistic",
    "ppc.joint.credit.boosted",
    "ppc.joint.credit.scorecard",
    "ppc.joint.credit.evaluate",
    "ppc.joint.credit.score",
    "ppc.joint.statistics.align_schema",
    "ppc.joint.statistics.describe",
    "ppc.joint.statistics.histogram",
    "ppc.joint.statistics.crosstab",
    "ppc.joint.statistics.means",
    "ppc.joint.statistics.mann_whitney",
    "ppc.joint.statistics.correlation",
    "ppc.joint.statistics.linear",
    "ppc.joint.statistics.glm",
    "ppc.joint.statistics.kaplan_meier",
    "ppc.joint.statistics.cox",
    "ppc.joint.statistics.table_one",
    "ppc.joint.statistics.meta",
    "ppc.joint.statistics.private",
)


def register(cls: O) -> O:
    """Class decorator: make the operator known under its `name`."""
    known = _OPERATORS.get(cls.name)
    if known is not None and type(known) is not cls and type(known).__qualname__ != cls.__qualname__:
        raise InternalError(f"two operators are called '{cls.name}'")
    _OPERATORS[cls.name] = cls()
    return cls


def operators() -> dict[str, Operator[Any]]:
    """Every operator by name."""
    for module in _MODULES:
        importlib.import_module(module)
    return dict(sorted(_OPERATORS.items()))


def get(name: str) -> Operator[Any]:
    """The operator of this name; `JobFileError` with the nearest name otherwise."""
    known = operators()
    if name not in known:
        raise JobFileError(f"there is no operator '{name}'", hint=did_you_mean(name, known))
    return known[name]

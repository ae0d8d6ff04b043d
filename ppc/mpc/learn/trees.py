"""Gradient-boosted trees as an estimator."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np

from ppc.core.rng import Stream
from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.learn import boosting, splits
from ppc.mpc.learn.candidates import Candidates
from ppc.mpc.learn.estimator import Estimator
from ppc.mpc.learn.splits import Splits
from ppc.mpc.learn.table import Table, column
from ppc.mpc.secure_array import SecureArray
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

_LIMITS = {
    "trees": (1, 500), "depth": (1, 6), "learning_rate": (1e-6, 1), "l2": (0, 1000), "gamma": (0, 1000),
    "min_child_weight": (0.1, 10_000), "subsample": (1e-6, 1), "bins": (2, 256), "min_rows": (1, 1 << 40),
}  # fmt: skip


class BoostedTreesClassifier(Estimator):
    """Gradient-boosted trees for labels 0 and 1 over columns that the parties know (`vertical`); y is secret.

    Args: trees, depth, learning_rate, l2, gamma, min_child_weight, subsample, bins, min_rows: see
        `ppc.mpc.learn.candidates.Boosting`. seed: of the public choice of rows with `subsample` below 1.

    Attributes after `fit`: `splits_`, what this party knows of the splits; `leaves_` (trees, 2**depth) and `base_` (),
    secret.

    Threat: as the engine's. Leaks: shapes, the number of candidate splits of each party; to all, of each node whose
    feature splits it, or that it is not split; to that party which feature and threshold.
    Source, cost: `ppc.mpc.learn.boosting`.
    """

    _defaults: ClassVar[dict[str, Any]] = {
        "trees": 20, "depth": 3, "learning_rate": 0.3, "l2": 1.0, "gamma": 0.0, "min_child_weight": 1.0,
        "subsample": 1.0, "bins": 32, "min_rows": 20, "seed": 0,
    }  # fmt: skip

    def _check(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= self._params[name] <= high:
                raise ConfigError(f"{name} lies between {low:g} and {high:g}, not {self._params[name]!r}")

    def fit(self, x: Table, y: SecureArray, *, progress: Callable[[float, str], None] | None = None) -> Self:
        """Grow the trees on y (rows,), zeros and ones, secret."""
        table = Table.of(x)
        own, s = table.own, table.session
        label = column(table, y, "y")
        if label is None or label.ndim != 1:
            raise TypeMismatchError("y is a secret vector with one label for each row of x")
        params: Any = SimpleNamespace(**self._params)
        mine = Candidates.of(own, params)
        candidates = boosting.Table(_told(s, len(mine)), mine)
        bits = boosting.number_bits(len(table))
        stream = Stream(int(self._params["seed"]).to_bytes(16, "little"))
        target, base = ops.rescale(s, label, bits), _base(s, label, bits)
        grown = boosting.grow(s, own, candidates, target, base, params, stream, progress or _ignore)
        self._session, self._base, self._leaves = s, grown.base, grown.leaves
        self.splits_: Splits = grown.splits
        return self

    @property
    def leaves_(self) -> SecureArray:
        """The leaves' weights, secret (trees, 2**depth)."""
        return SecureArray(self._fitted("_session"), self._fitted("_leaves"))

    @property
    def base_(self) -> SecureArray:
        """The logit of the base rate, secret ()."""
        return SecureArray(self._fitted("_session"), self._fitted("_base").reshape(()))

    def decision_function(self, x: Table) -> SecureArray:
        """The logit of each row, secret. A round a level for each block of rows."""
        table = Table.of(x)
        s, leaves = table.session, self._fitted("_leaves")
        z = splits.predict(s, self.splits_, self._base, leaves, table.own)
        return SecureArray(s, ops.rescale(s, z, s.fx.frac_bits))

    def predict_proba(self, x: Table) -> SecureArray:
        """P(y = 1) of each row, within 1e-3, secret (rows,)."""
        z = self.decision_function(x)
        return SecureArray(z.session, ops.sigmoid(z.session, z.as_number()))

    def predict(self, x: Table) -> SecureArray:
        """Whether 1 is the likelier label, secret booleans (rows,)."""
        return self.decision_function(x) > 0.0


def _told(s: Session, mine: int) -> tuple[int, ...]:
    """How many candidates each party has, told to all."""
    counts = [ops.share(s, mine if s.rank == r else None, r, (), frac_bits=0) for r in range(len(s.parties))]
    told = ops.open(s, ops.stack([c.reshape(1) for c in counts])).ravel().astype(np.int64)
    if not ((told >= 0) & (told < 1 << 32)).all() or not told.any():
        raise TypeMismatchError("no column has a candidate split: each side needs min_rows rows")
    return tuple(int(n) for n in told)


def _base(s: Session, label: AShare, bits: int) -> AShare:
    """The logit of the secret rate of ones, kept within 1e-3 of 0 and 1; (1,)."""
    rate = ops.clip(s, ops.mean(s, label).reshape(1), 1e-3, 1 - 1e-3)
    logs = ops.log(s, ops.concatenate([rate, 1.0 - rate]), low=5e-4, high=1.0)
    return ops.rescale(s, logs[:1] - logs[1:], bits)


def _ignore(fraction: float, what: str) -> None:
    """Progress that nobody asked for."""

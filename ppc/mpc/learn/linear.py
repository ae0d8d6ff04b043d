"""Linear and generalised linear models on shares: Fisher scoring with a secret solve, or steps over batches."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

import numpy as np

from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.learn import descent
from ppc.mpc.learn.descent import UPDATE_BITS, W_BITS
from ppc.mpc.learn.estimator import Estimator
from ppc.mpc.learn.families import Family, Gaussian, Logistic, Tweedie
from ppc.mpc.learn.table import Column, Table, column
from ppc.mpc.secure_array import SecureArray
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare

CHUNK_WORDS: Final = 1 << 21  # of rows times columns that are weighted at once


class _LinearModel(Estimator):
    """What the models have in common.

    Attributes after `fit`: `coef_` (columns,) and `intercept_` (), secret; `n_iter_`, public; with `errors=True` also
    `coef_errors_` and `intercept_error_`, the standard errors from the inverse information matrix, secret.

    Threat: as the engine's. Leaks: shapes and, with `tol`, how many iterations it took.
    """

    _family: Family

    # --- fitting ---
    def fit(
        self,
        x: Table | SecureArray,
        y: SecureArray,
        *,
        sample_weight: Column | None = None,
        offset: Column | None = None,
    ) -> Self:
        """Fit the model.

        Args:
            x: features (rows, columns), about standardised: a `Table`, or a secret array.
            y: targets (rows,), secret.
            sample_weight: what each row counts, positive, secret.
            offset: what is added to each row's linear predictor (the log of an exposure), secret.
        """
        table = Table.of(x)
        target, weight, shift = (
            column(table, v, what) for v, what in ((y, "y"), (sample_weight, "sample_weight"), (offset, "offset"))
        )
        if target is None or target.ndim != 1:
            raise TypeMismatchError("y is a secret vector with one number for each row of x")
        self._train(table.session, table, target, weight, shift)
        return self

    def _train(self, s: Session, x: Table, y: AShare, weight: AShare | None, shift: AShare | None) -> None:
        raise ConfigError(f"{type(self).__name__} is not used by itself")

    def _set(self, s: Session, w: AShare, iterations: int) -> None:
        self._w, self._session, self.n_iter_ = w, s, iterations

    @property
    def coef_(self) -> SecureArray:
        """The coefficients, secret (columns,)."""
        return SecureArray(self._fitted("_session"), self._fitted("_w")[1:])

    @property
    def intercept_(self) -> SecureArray:
        """The intercept, secret ()."""
        return SecureArray(self._fitted("_session"), self._fitted("_w")[:1].reshape(()))

    # --- using ---
    def decision_function(self, x: Table | SecureArray, *, offset: Column | None = None) -> SecureArray:
        """The linear predictor of each row, secret. 2 rounds."""
        table = Table.of(x)
        eta = predictor(table, self._fitted("_w"), slice(0, len(table)), column(table, offset, "offset"))
        return SecureArray(table.session, eta)

    def predict(self, x: Table | SecureArray, *, offset: Column | None = None) -> SecureArray:
        """The expected value of each row, secret."""
        eta = self.decision_function(x, offset=offset)
        return SecureArray(eta.session, self._family.mean(eta.session, eta.as_number()))


class _ScoredModel(_LinearModel):
    """Fisher scoring (Newton's method for canonical links): a few iterations, each with a secret solve.

    Args:
        alpha: L2 penalty alpha/2 |w|² beside half the mean deviance; the intercept is not penalised.
        max_iter: iterations. tol: stop when no coefficient moved by more; tells everyone one bit an iteration. None
            (the default) tells nothing and does all iterations.
        condition: a public bound of the information matrix's condition number after scaling; see `ops.solve`.
        errors: also compute standard errors.
    """

    _defaults: ClassVar[dict[str, Any]] = {
        "alpha": 0.0, "max_iter": 6, "tol": None, "condition": 1e3, "errors": False,
    }  # fmt: skip

    def _train(self, s: Session, x: Table, y: AShare, weight: AShare | None, shift: AShare | None) -> None:
        p = self._params
        n, k = len(x), x.shape[1] + 1
        if n < k:
            raise TypeMismatchError(f"{n} rows do not determine {k} coefficients")
        penalty = np.full(k, float(p["alpha"]))
        penalty[0] = 0.0
        w = ops.constant(s, np.zeros(k), frac_bits=W_BITS)
        if not (isinstance(self._family, Gaussian | Logistic)):
            first = self._family.start(s, _mean(s, y, weight))
            w = ops.concatenate([ops.rescale(s, first, W_BITS), w[1:]])
        steps = 1 if isinstance(self._family, Gaussian) else int(p["max_iter"])
        gram: AShare | None = None
        done = 0
        for done in range(1, steps + 1):  # noqa: B007
            gradient, information = _sums(s, self._family, x, y, weight, shift, w, with_information=gram is None)
            if penalty.any():
                gradient = gradient + ops.mul_public(s, ops.rescale(s, w, s.fx.frac_bits), penalty)
            matrix = gram if information is None else information + np.diag(penalty)
            if matrix is None:
                raise TypeMismatchError("no information matrix")
            if self._family.constant:
                gram = matrix
            move = ops.rescale(s, ops.solve(s, matrix, gradient, condition=p["condition"]), W_BITS)
            w = w - move
            if p["tol"] is not None and descent.settled(s, move, p["tol"]):
                break
        self._set(s, w, done)
        if p["errors"]:
            self._errors(s, x, y, weight, shift, w, penalty)

    def _errors(
        self, s: Session, x: Table, y: AShare, weight: AShare | None, shift: AShare | None, w: AShare,
        penalty: np.ndarray,
    ) -> None:  # fmt: skip
        _, information = _sums(s, self._family, x, y, weight, shift, w, with_information=True)
        if information is None:
            raise TypeMismatchError("no information matrix")
        inverse = ops.inverse(s, information + np.diag(penalty), condition=self._params["condition"])
        k = inverse.shape[0]
        variance = ops.mul_public(s, inverse.reshape(-1)[:: k + 1], 1.0 / len(x))
        errors = ops.sqrt(s, ops.rescale(s, variance, 36), low=2.0**-34, high=2.0**8)
        self.coef_errors_ = SecureArray(s, errors[1:])
        self.intercept_error_ = SecureArray(s, errors[:1].reshape(()))


class LinearRegression(_ScoredModel):
    """Least squares with an intercept, from the normal equations by one secret solve.

    Penalised (ridge) with `alpha`: scikit-learn's Ridge(alpha=n·alpha). Standard errors are for a residual variance of
    1: multiply by the residuals' standard deviation.

    Error: 1e-4 of the standardised coefficients (measured; condition numbers up to 1e2).
    """

    _family = Gaussian()


class LogisticRegression(_ScoredModel):
    """P(y = 1) = σ(b + w·x) for labels 0 and 1.

    Args:
        solver: `"newton"` (Fisher scoring, full batch; the parameters of `PoissonRegressor`) or `"sgd"` (mini-batches).
        alpha: L2 penalty; scikit-learn's C is 1 / (n alpha). l1: L1 penalty, of `sgd`.
        epochs, batch_size, learning_rate, decay, momentum, seed: of `sgd`. The rate in epoch e is
            learning_rate / (1 + decay e). Batches are runs of rows in a public order from `seed`: shuffle rows before.

    Error: probabilities within 1e-3, so coefficients within a few 1e-3 of a clear fit.
    """

    _family = Logistic()
    _defaults: ClassVar[dict[str, Any]] = {
        "solver": "newton", "alpha": 0.0, "l1": 0.0, "max_iter": 6, "tol": None, "condition": 1e3, "errors": False,
        "epochs": 20, "batch_size": 1024, "learning_rate": 0.1, "decay": 0.1, "momentum": 0.9, "seed": 0,
    }  # fmt: skip

    def _check(self) -> None:
        if self._params["solver"] not in ("newton", "sgd"):
            raise ConfigError(f"solver is newton or sgd, not {self._params['solver']!r}")
        if self._params["solver"] == "newton" and self._params["l1"]:
            raise ConfigError('l1 needs solver="sgd"')

    def _train(self, s: Session, x: Table, y: AShare, weight: AShare | None, shift: AShare | None) -> None:
        if self._params["solver"] == "sgd":
            self._descend(s, x, y, weight, shift)
            return
        super()._train(s, x, y, weight, shift)

    def _descend(self, s: Session, x: Table, y: AShare, weight: AShare | None, shift: AShare | None) -> None:
        p = self._params
        k = x.shape[1] + 1
        penalised = np.ones(k)
        penalised[0] = 0.0
        w = ops.constant(s, np.zeros(k), frac_bits=W_BITS)
        u = ops.constant(s, np.zeros(k), frac_bits=W_BITS)
        runs = descent.batches(len(x), p["batch_size"])
        order = descent.visits(len(runs), p["epochs"], p["seed"])
        plan = [(epoch, runs[i]) for epoch, visit in enumerate(order) for i in visit]
        for (epoch, _), rows in zip(plan, s.repeat([r for _, r in plan]), strict=True):
            rate = p["learning_rate"] / (1.0 + p["decay"] * epoch)
            eta = predictor(x, w, rows, None if shift is None else shift[rows], truncated=False)
            r = ops.sigmoid(s, eta) - y[rows]
            if weight is not None:
                r = ops.mul(s, weight[rows], r)
            gradient = ops.concatenate([r.sum().reshape(1).shift_left(x.frac_bits), x.matmul_t(r, rows)])
            update = descent.times(gradient, rate / (rows.stop - rows.start)) + descent.times(u, p["momentum"])
            if p["alpha"]:
                update = update + descent.times(w, rate * p["alpha"] * penalised)
            u = ops.truncate(s, update, UPDATE_BITS - W_BITS)
            w = w - u
            if p["l1"]:
                threshold = descent.l1_threshold(p["l1"], rate, p["momentum"])
                w = ops.concatenate([w[:1], descent.soften(s, w[1:], threshold)])
        self._set(s, w, p["epochs"])

    def predict_proba(self, x: Table | SecureArray, *, offset: Column | None = None) -> SecureArray:
        """P(y = 1) of each row, secret (rows,). 5 rounds."""
        return super().predict(x, offset=offset)

    def predict(self, x: Table | SecureArray, *, offset: Column | None = None) -> SecureArray:
        """Whether 1 is the likelier label, secret booleans (rows,). 5 rounds."""
        return self.decision_function(x, offset=offset) > 0.0


class TweedieRegressor(_ScoredModel):
    """A model of positive or non-negative targets with log link and variance ∝ mean**power.

    Args:
        power: 1 (Poisson) to 2 (gamma); between, compound Poisson-gamma (claims that are often zero).
        reach: the linear predictor is cut to ±reach (default 8: means between 3e-4 and 3e3).
        alpha, max_iter, tol, condition, errors: as `PoissonRegressor`. The objective is scikit-learn's.

    Error: a few 1e-4 of the standardised coefficients (measured). Standard errors are for a dispersion of 1: multiply
    by its square root for gamma and Tweedie. Sums over rows of mean times feature must stay below 6.7e7.
    """

    _defaults: ClassVar[dict[str, Any]] = {**_ScoredModel._defaults, "max_iter": 8, "power": 1.5, "reach": 8.0}

    def _check(self) -> None:
        if not 1 <= self._params["power"] <= 2:
            raise ConfigError(f"power lies between 1 and 2, not {self._params['power']}")
        if not 0 < self._params["reach"] <= 10:
            raise ConfigError(f"reach lies between 0 and 10, not {self._params['reach']}")

    @property
    def _family(self) -> Family:  # type: ignore[override]
        return Tweedie(float(self._params["power"]), float(self._params["reach"]))


class PoissonRegressor(TweedieRegressor):
    """Counts with log link. Args: alpha, max_iter, tol, condition, errors, reach; see `TweedieRegressor`."""

    _defaults: ClassVar[dict[str, Any]] = {**TweedieRegressor._defaults, "power": 1.0}
    _fixed: ClassVar[frozenset[str]] = frozenset({"power"})


class GammaRegressor(TweedieRegressor):
    """Positive amounts with log link. Args: as `PoissonRegressor`."""

    _defaults: ClassVar[dict[str, Any]] = {**TweedieRegressor._defaults, "power": 2.0}
    _fixed: ClassVar[frozenset[str]] = frozenset({"power"})


def predictor(x: Table, w: AShare, rows: slice, shift: AShare | None, *, truncated: bool = True) -> AShare:
    """b + X w + shift of some rows; with x's fraction bits, or those of x and w if not `truncated`."""
    s = x.session
    eta = x.matmul(w[1:], rows) + w[:1].shift_left(x.frac_bits)
    if shift is not None:
        eta = eta + shift.shift_left(eta.frac_bits - shift.frac_bits)
    return ops.rescale(s, eta, s.fx.frac_bits) if truncated else eta


def _mean(s: Session, y: AShare, weight: AShare | None) -> AShare:
    """The (weighted) mean of the targets, shape (1,): where an intercept may start."""
    if weight is None:
        return ops.mean(s, y).reshape(1)
    total = ops.dot(s, weight, y).reshape(1)
    return ops.divide(s, total, weight.sum().reshape(1))


def _sums(
    s: Session, family: Family, x: Table, y: AShare, weight: AShare | None, shift: AShare | None, w: AShare,
    *, with_information: bool,
) -> tuple[AShare, AShare | None]:  # fmt: skip
    """Gradient (k,) and information matrix (k, k) of half the mean deviance at w."""
    n, k = len(x), x.shape[1] + 1
    f = s.fx.frac_bits
    total: AShare | None = None
    step = max(1, CHUNK_WORDS // k)
    for first in range(0, n, step):
        rows = slice(first, min(first + step, n))
        own_y, own_weight, own_shift = (_rows(v, rows) for v in (y, weight, shift))
        r, h = family.score(s, predictor(x, w, rows, own_shift), own_y)
        if h is None and with_information:
            h = ops.constant(s, np.ones(rows.stop - rows.start))
        right = r.reshape(-1, 1) if h is None else ops.stack([r, h], axis=1)
        if own_weight is not None:
            right = ops.mul(s, right, own_weight.reshape(-1, 1))
        if with_information:
            columns, h = x.columns(rows), right[:, 1]
            if not (family.constant and weight is None):
                columns = ops.rescale(s, ops.mul(s, columns, h.reshape(-1, 1), truncated=False), f)
            right = ops.concatenate([right, columns], axis=1)
        else:
            right = right[:, :1]
        table = ops.concatenate([right.sum(axis=0, keepdims=True).shift_left(x.frac_bits), x.matmul_t(right, rows)])
        total = table if total is None else total + table
    if total is None:
        raise TypeMismatchError("a model of no rows")
    both = ops.mul_public(s, ops.rescale(s, total, f), 1.0 / n)
    return both[:, 0], both[:, 1:] if with_information else None


def _rows(values: AShare | None, rows: slice) -> Any:
    """Some rows; all of them as the very object, whose masked opening later products use again."""
    return values if values is None or rows == slice(0, values.shape[0]) else values[rows]

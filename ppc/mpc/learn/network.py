"""Small neural networks on shares: dense layers with ReLU, trained by stochastic gradients or Adam.

All weights lie in one vector, so that each step updates them with one truncation. They start at public random values
(He initialisation from `seed`), the same at every party, and are secret from the first step on.

Source: He, Zhang, Ren, Sun, ICCV 2015 (start); Kingma, Ba, ICLR 2015 (Adam; here with eps inside the root).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, Self

import numpy as np

from ppc.core.rng import Stream
from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc import ops
from ppc.mpc.learn import descent
from ppc.mpc.learn.descent import UPDATE_BITS, W_BITS
from ppc.mpc.learn.estimator import Estimator
from ppc.mpc.learn.table import Table, column
from ppc.mpc.secure_array import SecureArray
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare

_SQUARE_BITS: Final = 34  # of Adam's mean of squares: gradients up to 32
_EPS: Final = 2.0**-20  # inside Adam's root: a step is at most 1000 gradients long


class _Network(Estimator):
    """What both networks have in common.

    Args:
        hidden: sizes of the hidden layers.
        solver: `"adam"` or `"sgd"` (with momentum).
        learning_rate, momentum, epochs, batch_size: of the steps. The rate is constant.
        alpha: L2 penalty on all weights but the biases.
        seed: of the public start and the public order of the batches; shuffle rows before.

    Attributes after `fit`: `coefs_` and `intercepts_`, lists of secret arrays, one a layer; `n_iter_`, epochs.

    Cost: tests/mpc/learn/test_network.py states the rounds of a step.
    Threat: as the engine's. Leaks: shapes and the parameters above.
    """

    _defaults: ClassVar[dict[str, Any]] = {
        "hidden": (16,), "solver": "adam", "learning_rate": 0.01, "momentum": 0.9, "epochs": 10, "batch_size": 128,
        "alpha": 0.0, "seed": 0,
    }  # fmt: skip

    def _check(self) -> None:
        p = self._params
        if p["solver"] not in ("adam", "sgd"):
            raise ConfigError(f"solver is adam or sgd, not {p['solver']!r}")
        if not all(isinstance(n, int) and n >= 1 for n in p["hidden"]):
            raise ConfigError(f"hidden gives the sizes of layers, at least 1 each, not {p['hidden']!r}")
        if not 0 < p["learning_rate"] <= 1:
            raise ConfigError(f"learning_rate lies between 0 and 1, not {p['learning_rate']}")

    # --- fitting ---
    def fit(self, x: Table | SecureArray, y: SecureArray) -> Self:
        """Train on features (rows, columns), about standardised, and secret targets (rows,) or (rows, outputs)."""
        table = Table.of(x)
        target = column(table, y, "y")
        if target is None or target.ndim > 2:
            raise TypeMismatchError("y is secret, of shape (rows,) or (rows, outputs)")
        self._single = target.ndim == 1
        if self._single:
            target = target.reshape(-1, 1)
        self._sizes = (table.shape[1], *self._params["hidden"], target.shape[1])
        self._session = table.session
        w = self._train(table.session, table, target)
        self._w, self.n_iter_ = w, self._params["epochs"]
        return self

    def _train(self, s: Session, x: Table, y: AShare) -> AShare:
        p = self._params
        start, decayed = self._start()
        w = ops.constant(s, start, frac_bits=W_BITS)
        state = _Adam(s, len(start)) if p["solver"] == "adam" else _Momentum(s, len(start), p["momentum"])
        runs = descent.batches(len(x), p["batch_size"])
        steps = [runs[i] for visit in descent.visits(len(runs), p["epochs"], p["seed"]) for i in visit]
        for rows in s.repeat(steps):
            gradient = self._gradient(s, x, y[rows], w, rows)
            size = rows.stop - rows.start
            penalty = descent.times(w, p["alpha"] * decayed) if p["alpha"] else None
            w = w - state.step(s, gradient, size, p["learning_rate"], penalty)
        return w

    def _start(self) -> tuple[np.ndarray, np.ndarray]:
        """The first weights, and which of them are penalised."""
        stream = Stream(self._params["seed"].to_bytes(16, "little")).derive("weights")
        values, decayed = [], []
        for inputs, outputs in zip(self._sizes[:-1], self._sizes[1:], strict=True):
            u = (stream.uint64(inputs * outputs) >> np.uint64(11)).astype(np.float64) / 2.0**53
            values += [(2 * u - 1) * math.sqrt(6.0 / inputs), np.zeros(outputs)]
            decayed += [np.ones(inputs * outputs), np.zeros(outputs)]
        return np.concatenate(values), np.concatenate(decayed)

    def _layers(self, w: AShare) -> list[tuple[AShare, AShare]]:
        """(matrix, bias) of each layer."""
        found, at = [], 0
        for inputs, outputs in zip(self._sizes[:-1], self._sizes[1:], strict=True):
            matrix = w[at : at + inputs * outputs].reshape(inputs, outputs)
            at += inputs * outputs
            found.append((matrix, w[at : at + outputs]))
            at += outputs
        return found

    def _forward(self, s: Session, x: Table, w: AShare, rows: slice) -> tuple[AShare, list[AShare], list[BShare]]:
        """The last layer's sums, and each hidden layer's activations and which of its units are on."""
        layers = self._layers(w)
        matrix, bias = layers[0]
        z = ops.rescale(s, x.matmul(matrix, rows) + bias.shift_left(x.frac_bits), s.fx.frac_bits)
        active: list[AShare] = []
        on: list[BShare] = []
        for matrix, bias in layers[1:]:
            on.append(~ops.less_than_zero(s, z))
            active.append(ops.bit_mul(s, on[-1], z))
            product = ops.matmul(s, active[-1], matrix, truncated=False)
            z = ops.rescale(s, product + bias.shift_left(product.frac_bits - bias.frac_bits), s.fx.frac_bits)
        return z, active, on

    def _gradient(self, s: Session, x: Table, y: AShare, w: AShare, rows: slice) -> AShare:
        """The gradient of the summed loss in all weights, not truncated."""
        z, active, on = self._forward(s, x, w, rows)
        delta = self._output(s, z) - y  # of squared error, logistic and softmax loss alike
        parts: list[AShare] = []
        layers = self._layers(w)
        for i in reversed(range(len(layers))):
            if i:
                matrix = ops.matmul_t(s, active[i - 1], delta, truncated=False)
            else:
                matrix = x.matmul_t(delta, rows)
            bias = delta.sum(axis=0).shift_left(matrix.frac_bits - delta.frac_bits)
            parts = [matrix.reshape(-1), bias, *parts]
            if i:
                back = ops.rescale(s, ops.matmul(s, delta, layers[i][0].T, truncated=False), s.fx.frac_bits)
                delta = ops.bit_mul(s, on[i - 1], back)
        return ops.concatenate(parts)

    def _output(self, s: Session, z: AShare) -> AShare:
        """What the last layer's sums stand for."""
        return z

    # --- using ---
    @property
    def coefs_(self) -> list[SecureArray]:
        """Each layer's matrix (inputs, outputs), secret."""
        return [SecureArray(self._fitted("_session"), m) for m, _ in self._layers(self._fitted("_w"))]

    @property
    def intercepts_(self) -> list[SecureArray]:
        """Each layer's biases (outputs,), secret."""
        return [SecureArray(self._fitted("_session"), b) for _, b in self._layers(self._fitted("_w"))]

    def _sums(self, x: Table | SecureArray) -> tuple[Session, AShare]:
        w = self._fitted("_w")
        table = Table.of(x)
        if table.shape[1] != self._sizes[0]:
            raise TypeMismatchError(f"the network reads {self._sizes[0]} columns, not {table.shape[1]}")
        z, _, _ = self._forward(table.session, table, w, slice(0, len(table)))
        return table.session, z

    def _shaped(self, s: Session, values: AShare) -> SecureArray:
        return SecureArray(s, values.reshape(-1) if self._single else values)


class MLPRegressor(_Network):
    """A network for numbers, with half the squared error as its loss. Targets should be about standardised."""

    def predict(self, x: Table | SecureArray) -> SecureArray:
        """The expected targets, secret, of y's shape."""
        return self._shaped(*self._sums(x))


class MLPClassifier(_Network):
    """A network for labels: y (rows,) of 0 and 1, or (rows, classes) with a 1 in the column of the class.

    Probabilities are within 1e-3 (two classes) or 5e-5 (softmax).
    """

    def _output(self, s: Session, z: AShare) -> AShare:
        return ops.sigmoid(s, z) if self._single else ops.softmax(s, z)

    def predict_proba(self, x: Table | SecureArray) -> SecureArray:
        """P(y = 1), or of each class, secret, of y's shape."""
        s, z = self._sums(x)
        return self._shaped(s, self._output(s, z))

    def predict(self, x: Table | SecureArray) -> SecureArray:
        """Secret: whether 1 is the likelier label; or the index of the likeliest class (rows,)."""
        s, z = self._sums(x)
        if self._single:
            return SecureArray(s, ops.less_than_zero(s, -z.reshape(-1)))
        return SecureArray(s, ops.argmax(s, z, axis=1))


class _Momentum:
    """Steps with momentum, in one truncation."""

    def __init__(self, s: Session, size: int, momentum: float) -> None:
        self._u = ops.constant(s, np.zeros(size), frac_bits=W_BITS)
        self._momentum = momentum

    def step(self, s: Session, gradient: AShare, rows: int, rate: float, penalty: AShare | None) -> AShare:
        """What is subtracted from the weights; `penalty` has UPDATE_BITS."""
        update = descent.times(gradient, rate / rows) + descent.times(self._u, self._momentum)
        if penalty is not None:
            update = update + ops.rescale(s, penalty, W_BITS).scale(
                np.uint64(round(rate * 2 ** (UPDATE_BITS - W_BITS))), UPDATE_BITS - W_BITS
            )
        self._u = ops.truncate(s, update, UPDATE_BITS - W_BITS)
        return self._u


class _Adam:
    """Adam's steps, with beta 0.9 and 0.999."""

    def __init__(self, s: Session, size: int) -> None:
        self._m = ops.constant(s, np.zeros(size), frac_bits=W_BITS)
        self._v = ops.constant(s, np.zeros(size), frac_bits=_SQUARE_BITS)
        self._steps = 0

    def step(self, s: Session, gradient: AShare, rows: int, rate: float, penalty: AShare | None) -> AShare:
        """What is subtracted from the weights; `penalty` has UPDATE_BITS."""
        self._steps += 1
        g = descent.times(gradient, 1.0 / rows)
        if penalty is not None:
            g = g + penalty
        g = ops.truncate(s, g, UPDATE_BITS - W_BITS)
        self._m = ops.truncate(s, descent.times(self._m, 0.9, 50) + descent.times(g, 0.1, 50), 50 - W_BITS)
        square = ops.rescale(s, ops.square(s, g, truncated=False), _SQUARE_BITS)
        moved = descent.times(self._v, 0.999, 52) + descent.times(square, 0.001, 52)
        self._v = ops.truncate(s, moved, 52 - _SQUARE_BITS)
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        corrected = ops.mul_public(s, self._v, 1.0 / second, frac_bits=16) + _EPS
        root = ops.rescale(s, ops.inverse_sqrt(s, corrected, low=_EPS, high=1024.0), 26)
        direction = ops.rescale(s, ops.mul(s, self._m, root, truncated=False), W_BITS)
        return ops.mul_public(s, direction, rate / first, frac_bits=28)  # the same at every step, for `repeat`

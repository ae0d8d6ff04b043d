"""What secure training and the same training in the clear have in common: parameters, order of rows, steps.

Everything here is public and a pure function of the job, so that both do the same steps on the same rows.

The model: P(y = 1 | x) = sigmoid(b + w·x), features standardised by their owners (mean 0, variance 1 over the training
rows). The objective is (1/n) Σ s_i loss_i + l2/2 |w|² + l1 |w|₁; the intercept b is not penalised; s_i are row weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ppc.core.rng import Stream
from ppc.joint.operator import Params
from ppc.mpc.learn.descent import UPDATE_BITS, batches

Floats = NDArray[np.float64]

#: Fraction bits of standardised features and of probabilities. Products with weights stay below 2**62.
X_BITS: Final = 16
P_BITS: Final = 18

ClassWeight = Literal["balanced"] | dict[Literal["0", "1"], Annotated[float, Field(gt=0, le=1000)]]


class LogisticParams(Params):
    """Parameters of `logistic_regression`.

    label: the label's column, `"column"` or `"party.column"`; default: the only one whose role is `label`.
    positive: the label's value (as text) that counts as 1, if it is not 0/1.
    solver: `"sgd"` (mini-batches) or `"newton"` (iteratively reweighted least squares, with standard errors).
    features: `"all"`, or `"label_holder"` for a model of the label holder's own features.
    drop: columns to leave out, `"column"` or `"party.column"`.
    weights: `"owner"` tells each coefficient to the owner of its feature, `"secret"` to nobody.
    l1, l2: penalties (scikit-learn's C is 1 / (n · l2)). l1 needs `sgd`.
    class_weight: `"balanced"`, or a factor for each class: `{ "0" = 1.0, "1" = 3.0 }`.
    sample_weight: a column of positive row weights, at any party.
    epochs, batch_size, learning_rate, decay, momentum: of `sgd`; the rate in epoch e is learning_rate / (1 + decay e).
    max_iterations: of `newton`.
    early_stop: `"none"` (the default of `sgd`); `"change"` (of `newton`) stops when no weight moved by more than
        `tolerance`: everyone learns that one bit an epoch; `"loss"` stops when the mean squared error fell by less than
        `tolerance`: everyone learns it each epoch.
    save_as: a name under which each party saves its half of the model.
    """

    label: str | None = None
    positive: str | None = None
    solver: Literal["sgd", "newton"] = "sgd"
    features: Literal["all", "label_holder"] = "all"
    drop: tuple[str, ...] = ()
    weights: Literal["owner", "secret"] = "owner"
    l1: float = Field(default=0.0, ge=0, le=10)
    l2: float = Field(default=0.0, ge=0, le=10)
    class_weight: ClassWeight | None = None
    sample_weight: str | None = None
    epochs: int = Field(default=20, ge=1, le=1000)
    batch_size: int = Field(default=1024, ge=8, le=1 << 16)
    learning_rate: float = Field(default=0.1, gt=0, le=2)
    decay: float = Field(default=0.1, ge=0, le=10)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    max_iterations: int = Field(default=12, ge=1, le=50)
    early_stop: Literal["none", "change", "loss"] | None = None
    tolerance: float = Field(default=1e-3, gt=0, le=1)
    save_as: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")

    @model_validator(mode="after")
    def _fits(self) -> LogisticParams:
        if self.solver == "newton" and self.l1:
            raise ValueError('l1 needs solver = "sgd"')
        if isinstance(self.class_weight, dict) and set(self.class_weight) != {"0", "1"}:
            raise ValueError('class_weight gives a factor for "0" and one for "1"')
        return self

    @property
    def stops(self) -> str:
        """`early_stop`, or the solver's default."""
        return self.early_stop or ("change" if self.solver == "newton" else "none")


@dataclass(frozen=True)
class Schedule:
    """The public order of an SGD training: which rows in which batch, which batch when, how far each step goes.

    Rows are shuffled once; each epoch visits the batches in a new order. (So the features stay one masked matrix, and a
    batch is a run of its rows.)
    """

    params: LogisticParams
    rows: int
    stream: Stream
    counted: int | None = None  # how many of the rows count, if not all do; batches are so much larger

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The shuffle of the training rows, shape (rows,)."""
        return self.stream.derive("rows").permutation(self.rows)

    @cached_property
    def batches(self) -> tuple[slice, ...]:
        """Runs of the shuffled rows, all of one size: where they do not divide evenly, neighbours share a row."""
        return tuple(batches(self.rows, max(1, round(self.params.batch_size / self.share))))

    @property
    def share(self) -> float:
        """The fraction of the rows that counts."""
        return 1.0 if self.counted is None else self.counted / self.rows

    @cached_property
    def epochs(self) -> tuple[NDArray[np.int64], ...]:
        """For each epoch the order of the batches."""
        stream = self.stream.derive("batches")
        return tuple(stream.permutation(len(self.batches)) for _ in range(self.params.epochs))

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.params.learning_rate / (1.0 + self.params.decay * epoch)

    def step(self, epoch: int, batch: slice) -> int:
        """Rate / batch size as an integer over 2**STEP_BITS: what a sum of gradients is multiplied by, exactly.

        Of a batch the rows that count are taken, as many as there are on average.
        """
        return max(1, round(self.rate(epoch) / (int(batch.stop - batch.start) * self.share) * 2.0**STEP_BITS))


#: Fraction bits of `Schedule.step`: what is left of an update's bits beside those of features and probabilities.
STEP_BITS: Final = UPDATE_BITS - X_BITS - P_BITS


@dataclass(frozen=True, repr=False, eq=False)
class Scale:
    """How an owner standardises its features: (x - mean) / scale. float64, shape (features,)."""

    mean: Floats
    scale: Floats

    def __repr__(self) -> str:
        return f"<Scale features={len(self.mean)}>"

    @staticmethod
    def of(matrix: Floats) -> Scale:
        """Mean and standard deviation (ddof 0) of the training rows."""
        return Scale(matrix.mean(axis=0), matrix.std(axis=0))

    def apply(self, matrix: Floats) -> Floats:
        """The standardised features, rounded to `X_BITS` fraction bits as both trainings use them."""
        return np.asarray(np.rint((matrix - self.mean) / self.scale * 2.0**X_BITS) / 2.0**X_BITS)


def row_weights(y: Floats, class_weight: ClassWeight | None) -> Floats | None:
    """What each row counts by its class, float64 (rows,); `None` if all count alike."""
    if class_weight is None:
        return None
    if class_weight == "balanced":
        events = float(y.sum())
        n = float(len(y))
        return np.asarray(np.where(y == 1.0, n / (2.0 * events), n / (2.0 * (n - events))))
    return np.asarray(np.where(y == 1.0, class_weight["1"], class_weight["0"]))

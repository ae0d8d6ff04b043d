"""Models that are scored blind: layers of weights, what the client must know of them, and how sklearn's become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import ConfigError, ModelFileError, ProtectionError, TypeMismatchError, ValueRangeError
from ppc.he.keys import Json
from ppc.he.polynomial import Fit, fit, sigmoid

FUNCTIONS: Final[dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "identity": lambda x: x,
    "logistic": sigmoid,
    "tanh": np.tanh,
}
CALIBRATION_MARGIN: Final = 1.25
HIDDEN_DEGREE: Final = 15


@dataclass(frozen=True)
class Layer:
    """x @ weights + bias, then the activation. weights (d, k), bias (k,)."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    activation: str = "identity"

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return FUNCTIONS[self.activation](x @ self.weights + self.bias)


@dataclass(frozen=True)
class Card:
    """What a client learns of a model: its inputs and their ranges, and what to do with the answer. No weights.

    Args:
        features: names, in order.
        max_abs: |x| <= max_abs for each; the calibrated range.
        link: the function that the client applies to what it decrypts: `identity` or `logistic`.
        depth: levels that the client's key needs.
        products: whether the server multiplies ciphertexts.
        reach: with a link that the server applies, the largest |linear predictor| that its polynomial is made for.
        bins: of a scorecard, the inner edges of each feature's bins; the client sends one-hot columns.
    """

    features: tuple[str, ...]
    max_abs: tuple[float, ...]
    link: str
    depth: int
    products: bool
    reach: float | None = None
    bins: tuple[tuple[float, ...], ...] | None = None

    def to_json(self) -> Json:
        return {
            "features": list(self.features),
            "max_abs": list(self.max_abs),
            "link": self.link,
            "depth": self.depth,
            "products": self.products,
            "reach": self.reach,
            "bins": None if self.bins is None else [list(e) for e in self.bins],
        }

    @staticmethod
    def from_json(parts: Any) -> Card:
        """The card of `to_json`.

        Raises:
            ModelFileError: it is none.
        """
        try:
            bins = parts["bins"]
            card = Card(
                tuple(str(f) for f in parts["features"]),
                tuple(float(m) for m in parts["max_abs"]),
                str(parts["link"]),
                int(parts["depth"]),
                bool(parts["products"]),
                None if parts["reach"] is None else float(parts["reach"]),
                None if bins is None else tuple(tuple(float(x) for x in e) for e in bins),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the model's card is malformed") from error
        proper = card.features and len(card.features) == len(card.max_abs) and card.link in ("identity", "logistic")
        if not proper or not all(0 < m < math.inf for m in card.max_abs) or not 0 <= card.depth <= 19:
            raise ModelFileError("the model's card is malformed")
        if card.bins is not None and len(card.bins) != len(card.features):
            raise ModelFileError("the model's card is malformed")
        return card

    def columns(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Rows (n, features) as the columns that are encrypted, within ±1, and which rows are out of range.

        A row out of range is clipped, so that the batch can go on; its score means nothing.
        """
        if self.bins is None:
            scaled = x / np.array(self.max_abs)
            outside = (np.abs(scaled) > 1).any(axis=1)
            return np.clip(scaled, -1, 1), outside
        parts = []
        for j, edges in enumerate(self.bins):
            at = np.searchsorted(np.array(edges), x[:, j], side="right")
            at[np.isnan(x[:, j])] = len(edges) + 1  # the last bin is that of missing values
            parts.append(np.eye(len(edges) + 2)[at])
        return np.concatenate(parts, axis=1), np.zeros(len(x), bool)


@dataclass(frozen=True)
class Model:
    """Layers over features; the last layer's activation is the link.

    Made by `linear`, `logistic`, `scorecard` or `from_sklearn`.

    Args:
        layers: the first takes features divided by their max_abs.
        features: names, in order.
        max_abs: the calibrated range of each.
        reaches: for each hidden layer, the range that its polynomial is made for.
        bins: of a scorecard.
    """

    layers: tuple[Layer, ...]
    features: tuple[str, ...]
    max_abs: tuple[float, ...]
    reaches: tuple[float, ...] = ()
    bins: tuple[tuple[float, ...], ...] | None = None

    @property
    def link(self) -> str:
        return self.layers[-1].activation

    def hidden_fits(self) -> list[Fit]:
        """The polynomials that stand for the hidden activations."""
        pairs = zip(self.layers[:-1], self.reaches, strict=True)
        return [fit(FUNCTIONS[layer.activation], reach, HIDDEN_DEGREE) for layer, reach in pairs]

    def predict(self, x: ArrayLike, *, polynomial: bool = False) -> NDArray[np.float64]:
        """The scores (n,) of rows (n, features) in the clear; with `polynomial`, as the blind scorer computes them.

        The two differ in hidden units only, by what a polynomial of degree 15 misses of the activation.
        """
        a, _ = self._card("identity", 0).columns(rows_of(x, len(self.features)))
        fits: Sequence[Fit | None] = self.hidden_fits() if polynomial else [None] * len(self.reaches)
        for layer, series in zip(self.layers[:-1], fits, strict=True):
            a = layer(a) if series is None else series(a @ layer.weights + layer.bias)
        return np.asarray(self.layers[-1](a)[:, 0])

    def _card(self, link: str, depth: int, reach: float | None = None) -> Card:
        products = len(self.layers) > 1 or reach is not None
        return Card(self.features, self.max_abs, link, depth, products, reach, self.bins)

    # --- makers ---
    @staticmethod
    def linear(
        weights: ArrayLike,
        intercept: float,
        *,
        ranges: ArrayLike,
        features: Sequence[str] | None = None,
        link: str = "identity",
    ) -> Model:
        """weights (d,) over features whose |x| <= ranges (d,); or `ranges` is a table (n, d) to take the range from."""
        w = np.asarray(weights, np.float64).ravel()
        return _model([Layer(w[:, None], np.array([float(intercept)]), link)], ranges, features)

    @staticmethod
    def logistic(
        weights: ArrayLike, intercept: float, *, ranges: ArrayLike, features: Sequence[str] | None = None
    ) -> Model:
        """As `linear`, with a probability as score."""
        return Model.linear(weights, intercept, ranges=ranges, features=features, link="logistic")

    @staticmethod
    def scorecard(points: Mapping[str, tuple[Sequence[float], Sequence[float]]], base: float = 0.0) -> Model:
        """A scorecard: for each feature the inner edges of its bins and the points of every bin, the last for missing.

        k edges make k + 1 bins, closed on the left, and one more for missing values: k + 2 points.
        """
        for name, (edges, values) in points.items():
            if len(values) != len(edges) + 2 or not (np.diff(edges) > 0).all() or not np.isfinite(values).all():
                raise ConfigError(
                    f"{len(edges)} rising edges need {len(edges) + 2} points, not {len(values)}",
                    where=f"feature '{name}'",
                )
        if not points:
            raise ConfigError("a scorecard has at least one feature")
        weights = np.concatenate([np.asarray(p, np.float64) for _, p in points.values()])
        layer = Layer(weights[:, None], np.array([float(base)]))
        bins = tuple(tuple(float(e) for e in edges) for edges, _ in points.values())
        return Model((layer,), tuple(points), (1.0,) * len(points), (), bins)

    @staticmethod
    def from_sklearn(
        estimator: Any,
        *,
        ranges: ArrayLike,
        features: Sequence[str] | None = None,
        calibration: ArrayLike | None = None,
    ) -> Model:
        """A fitted linear model, binary LogisticRegression, MLPClassifier (two classes) or MLPRegressor, or a Pipeline
        of a StandardScaler and one of these.

        Args:
            estimator: the fitted estimator.
            ranges: the largest |x| of each feature (d,), or a table (n, d) to take them from.
            features: names; by default the estimator's.
            calibration: rows (n, d) to take the ranges of hidden units from (with a margin of a quarter); by default
                the ranges that the features' ranges allow, which may be too wide for a good polynomial.

        Raises:
            ProtectionError: an estimator or activation that is not scored blind.
        """
        shift, scale = None, None
        if hasattr(estimator, "steps"):
            *before, (_, estimator) = estimator.steps
            if len(before) != 1 or type(before[0][1]).__name__ != "StandardScaler":
                raise ProtectionError(
                    "a pipeline is scored blind if it is a StandardScaler and a model",
                    hint="Fold other steps yourself.",
                )
            shift, scale = before[0][1].mean_, before[0][1].scale_
        layers = _layers_of(estimator)
        if features is None and hasattr(estimator, "feature_names_in_"):
            features = [str(f) for f in estimator.feature_names_in_]
        if scale is not None:
            first = layers[0]
            w = first.weights / scale[:, None]
            shifted = first.bias - (np.zeros(len(w)) if shift is None else shift) @ w
            layers[0] = Layer(w, shifted, first.activation)
        return _model(layers, ranges, features, calibration)


def _layers_of(estimator: Any) -> list[Layer]:
    kind = type(estimator).__name__
    if hasattr(estimator, "coefs_"):
        hidden, last = estimator.activation, estimator.out_activation_
        if hidden not in FUNCTIONS or last not in ("identity", "logistic"):
            raise ProtectionError(
                f"a network with {hidden} units and a {last} output is not scored blind",
                hint="Train it with activation='tanh' or 'logistic', on two classes.",
            )
        sizes = len(estimator.coefs_)
        names = [hidden] * (sizes - 1) + [last]
        return [
            Layer(np.asarray(w, np.float64), np.asarray(b, np.float64), a)
            for w, b, a in zip(estimator.coefs_, estimator.intercepts_, names, strict=True)
        ]
    if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_"):
        coefficients = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
        classifier = hasattr(estimator, "classes_")
        if len(coefficients) != 1 or (classifier and kind != "LogisticRegression"):
            raise ProtectionError(
                f"a {kind} with {len(coefficients)} outputs is not scored blind", hint="Use one output: two classes."
            )
        bias = np.array([float(np.ravel(estimator.intercept_)[0])])
        return [Layer(coefficients.T, bias, "logistic" if classifier else "identity")]
    raise ProtectionError(
        f"a {kind} is not scored blind", hint="Linear and logistic models, scorecards and small networks are."
    )


def _model(
    layers: list[Layer], ranges: ArrayLike, features: Sequence[str] | None, calibration: ArrayLike | None = None
) -> Model:
    size = layers[0].weights.shape[0]
    for layer in layers:
        if not (np.isfinite(layer.weights).all() and np.isfinite(layer.bias).all()):
            raise ValueRangeError("NaN or infinite", where="the model's weights")
    bounds = np.asarray(ranges, np.float64)
    if bounds.ndim == 2:
        bounds = np.abs(bounds).max(axis=0)
    if bounds.shape != (size,) or not ((bounds > 0) & (bounds < math.inf)).all():
        raise ValueRangeError(f"ranges are {size} positive numbers, one a feature, or a table of so many columns")
    names = tuple(features) if features is not None else tuple(f"x{j}" for j in range(size))
    if len(names) != size:
        raise ConfigError(f"{len(names)} names for {size} features")
    first = layers[0]
    layers = [Layer(first.weights * bounds[:, None], first.bias, first.activation), *layers[1:]]
    rows = None if calibration is None else rows_of(calibration, size) / bounds
    top, reaches = np.ones(size), []
    for layer in layers[:-1]:
        reach = float((top @ np.abs(layer.weights) + np.abs(layer.bias)).max())
        if rows is not None:
            seen = float(np.abs(rows @ layer.weights + layer.bias).max())
            reach, rows = min(reach, CALIBRATION_MARGIN * seen), layer(rows)
        reaches.append(max(reach, 1.0))
        top = np.ones(layer.weights.shape[1])  # of tanh and the logistic function
    return Model(tuple(layers), names, tuple(bounds.tolist()), tuple(reaches))


def rows_of(x: ArrayLike, size: int) -> NDArray[np.float64]:
    """A table (n, size) of float64."""
    try:
        rows = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeMismatchError("the rows are not numbers, or have different lengths") from error
    if rows.ndim != 2 or rows.shape[1] != size:
        raise TypeMismatchError(f"rows of shape {rows.shape}, and {size} features are needed")
    return rows

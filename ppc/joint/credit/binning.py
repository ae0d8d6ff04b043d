"""A binning: which bin of a feature a value falls into, and nothing about labels.

A `Binning` is a plain value. Numeric features are cut at edges into intervals closed on the left, `[a, b)`;
categorical features into groups of categories. Special values (codes such as -999), missing values and categories
that were never seen have their own bins, or point to one of the others when they were too few to stand alone.

A binning holds values of its feature (edges, categories), so it is private to the feature's owner.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppc.errors import ConfigError, ModelFileError, TypeMismatchError, ValueRangeError

FORMAT = "ppc-binning/1"

Kind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class Codes:
    """A categorical column: `codes` (n,) int64 index into `labels`, -1 for missing. Labels are distinct strings."""

    codes: NDArray[np.int64]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def of(values: Iterable[str | None]) -> Codes:
        """The column of `values`, `None` for missing."""
        seen: dict[str, int] = {}
        codes = [-1 if v is None else seen.setdefault(str(v), len(seen)) for v in values]
        return Codes(np.asarray(codes, dtype=np.int64), tuple(seen))

    def take(self, rows: NDArray[Any]) -> Codes:
        """The rows at an index or mask array, with the same labels."""
        return Codes(self.codes[rows], self.labels)


FeatureValues = NDArray[np.float64] | Codes
"""One feature: float64 (n,) with NaN for missing, or `Codes`."""


@dataclass(frozen=True)
class Binning:
    """Bins of one feature, numbered 0 … n_bins - 1.

    The first `n_regular` bins are intervals (numeric, in ascending order) or groups of categories (categorical).
    `special_bins`, `missing_bin` and `other_bin` say where special values, missing values and categories that are
    listed nowhere go: to a bin after the regular ones, or into a regular one. `other_bin` is `None` for numbers.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...]
    groups: tuple[tuple[str, ...], ...]
    specials: tuple[float | str, ...]
    special_bins: tuple[int, ...]
    missing_bin: int
    other_bin: int | None
    n_bins: int

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise ConfigError(problem, where=f"binning of column '{self.name}'")

    def _problem(self) -> str | None:
        if self.kind == "numeric":
            if self.groups or self.other_bin is not None:
                return "a numeric binning has edges only"
            if not all(math.isfinite(e) for e in self.edges):
                return "every edge must be finite"
            if any(not a < b for a, b in zip(self.edges, self.edges[1:], strict=False)):
                return "edges must be strictly ascending"
            if not all(isinstance(v, float) and math.isfinite(v) for v in self.specials):
                return "special values of a numeric feature must be finite numbers"
        elif self.kind == "categorical":
            if self.edges or self.other_bin is None:
                return "a categorical binning has groups and a bin for other categories"
            flat = [c for g in self.groups for c in g]
            if not all(isinstance(v, str) for v in (*flat, *self.specials)):
                return "categories must be strings"
            if len(set(flat)) != len(flat) or set(flat) & set(self.specials):
                return "a category is listed twice"
        else:
            return "the kind must be 'numeric' or 'categorical'"
        if len(set(self.specials)) != len(self.specials) or len(self.specials) != len(self.special_bins):
            return "special values must be distinct, each with its bin"
        bins = (*self.special_bins, self.missing_bin, *(() if self.other_bin is None else (self.other_bin,)))
        reached = set(range(self.n_regular)) | set(bins)
        if reached != set(range(self.n_bins)):
            return f"bins must be numbered 0 to {self.n_bins - 1} without a gap"
        return None

    @property
    def n_regular(self) -> int:
        """How many bins are intervals or groups of categories."""
        return len(self.edges) + 1 if self.kind == "numeric" else len(self.groups)

    @property
    def labels(self) -> tuple[str, ...]:
        """A readable name of each bin, in order; they are distinct."""
        parts: list[list[str]] = [[] for _ in range(self.n_bins)]
        if self.kind == "numeric":
            bounds = ["-inf", *(_number(e) for e in self.edges), "inf"]
            for i in range(self.n_regular):
                parts[i].append(f"[{bounds[i]}, {bounds[i + 1]})")
        else:
            for i, group in enumerate(self.groups):
                parts[i].extend(group)
        for value, at in zip(self.specials, self.special_bins, strict=True):
            parts[at].append(f"special {_number(value) if isinstance(value, float) else value}")
        parts[self.missing_bin].append("missing")
        if self.other_bin is not None:
            parts[self.other_bin].append("other")
        return tuple(" | ".join(p) for p in parts)

    def apply(self, values: FeatureValues) -> NDArray[np.int64]:
        """The bin of each row: (n,) int64 in 0 … n_bins - 1.

        Raises:
            TypeMismatchError: numbers for a categorical binning or the reverse.
            ValueRangeError: an infinite value.
        """
        if isinstance(values, Codes):
            if self.kind != "categorical":
                raise TypeMismatchError("categories were given where numbers are expected", where=self._where)
            return self._apply_codes(values)
        if self.kind != "numeric":
            raise TypeMismatchError("numbers were given where categories are expected", where=self._where)
        x = as_numbers(values, self.name)
        index = np.searchsorted(np.asarray(self.edges, dtype=np.float64), x, side="right").astype(np.int64)
        for value, at in zip(self.specials, self.special_bins, strict=True):
            index[x == value] = at
        index[np.isnan(x)] = self.missing_bin
        return index

    @property
    def _where(self) -> str:
        return f"column '{self.name}'"

    def _apply_codes(self, values: Codes) -> NDArray[np.int64]:
        at: dict[str, int] = {c: i for i, group in enumerate(self.groups) for c in group}
        at |= {str(v): b for v, b in zip(self.specials, self.special_bins, strict=True)}
        other = self.missing_bin if self.other_bin is None else self.other_bin
        # The last entry of the table serves the code -1.
        table = np.asarray([at.get(label, other) for label in values.labels] + [self.missing_bin], dtype=np.int64)
        index: NDArray[np.int64] = table[values.codes]
        return index

    def merge(self, groups: Sequence[Sequence[int]]) -> Binning:
        """The coarser binning whose regular bin k is the union of the regular bins `groups[k]`.

        Each regular bin occurs once; for numbers the groups are runs of neighbours in ascending order. Bins after the
        regular ones keep their order.

        Raises:
            ConfigError: `groups` is not such a partition.
        """
        flat = [i for g in groups for i in g]
        ordered = flat == sorted(flat) or self.kind == "categorical"
        if sorted(flat) != list(range(self.n_regular)) or not ordered or not all(len(g) for g in groups):
            raise ConfigError("the groups are not a partition of the regular bins", where=self._where)
        new = {old: k for k, g in enumerate(groups) for old in g}
        for old in range(self.n_regular, self.n_bins):
            new[old] = len(groups) + old - self.n_regular
        edges = tuple(self.edges[g[-1]] for g in groups[:-1]) if self.kind == "numeric" else ()
        named = tuple(tuple(c for i in g for c in self.groups[i]) for g in groups) if self.groups else ()
        return Binning(
            name=self.name,
            kind=self.kind,
            edges=edges,
            groups=named,
            specials=self.specials,
            special_bins=tuple(new[b] for b in self.special_bins),
            missing_bin=new[self.missing_bin],
            other_bin=None if self.other_bin is None else new[self.other_bin],
            n_bins=self.n_bins - self.n_regular + len(groups),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings; `from_dict` gives back an equal binning, bit for bit."""
        return {
            "format": FORMAT,
            "name": self.name,
            "kind": self.kind,
            "edges": list(self.edges),
            "groups": [list(g) for g in self.groups],
            "specials": list(self.specials),
            "special_bins": list(self.special_bins),
            "missing_bin": self.missing_bin,
            "other_bin": self.other_bin,
            "n_bins": self.n_bins,
        }

    @staticmethod
    def from_dict(parts: dict[str, Any]) -> Binning:
        """The binning that `to_dict` described.

        Raises:
            ModelFileError: a field is missing, of another type, or contradicts the others.
        """
        try:
            if parts["format"] != FORMAT:
                raise ModelFileError("a binning of another format", hint=f"this version reads {FORMAT}")
            numeric = parts["kind"] == "numeric"
            return Binning(
                name=_text(parts["name"]),
                kind=parts["kind"],
                edges=tuple(float(e) for e in parts["edges"]),
                groups=tuple(tuple(_text(c) for c in g) for g in parts["groups"]),
                specials=tuple(float(v) if numeric else _text(v) for v in parts["specials"]),
                special_bins=tuple(_whole(b) for b in parts["special_bins"]),
                missing_bin=_whole(parts["missing_bin"]),
                other_bin=None if parts["other_bin"] is None else _whole(parts["other_bin"]),
                n_bins=_whole(parts["n_bins"]),
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise ModelFileError("a saved binning is damaged", hint="fit the binning again") from error

    def to_json(self) -> str:
        """One JSON object; floats are written with the digits that give the same float back."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Binning:
        """The binning that `to_json` wrote; raises ModelFileError if the text is damaged."""
        try:
            parts = json.loads(text)
        except ValueError as error:
            raise ModelFileError("a saved binning is not JSON") from error
        if not isinstance(parts, dict):
            raise ModelFileError("a saved binning is not a JSON object")
        return Binning.from_dict(parts)


def as_numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    """`values` as float64 (n,), NaN for missing.

    Raises:
        TypeMismatchError: not a one-dimensional array of numbers.
        ValueRangeError: an infinite value; the message names the column.
    """
    if values.ndim != 1 or values.dtype.kind not in "buif":
        raise TypeMismatchError(
            f"expected a one-dimensional array of numbers, got {values.dtype} of shape {values.shape}",
            where=f"column '{name}'",
        )
    x = values.astype(np.float64, copy=False)
    if np.isinf(x).any():
        raise ValueRangeError(
            "a feature holds infinite values",
            where=f"column '{name}'",
            hint="make them missing, or declare them as a special value of your own",
        )
    return x


def _number(value: float) -> str:
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected a whole number")
    return value

"""Make a table anonymous: find a generalization that satisfies k, l and t, and apply it.

`fit` sees distinct tuples and counts only, so an engine can do the GROUP BY over data larger than memory; `transform`
then maps rows one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ppc.dataset.schema import Role
from ppc.desensitize.anonymity import lattice, utility
from ppc.desensitize.anonymity.classes import Codes, Encoded, combine
from ppc.desensitize.anonymity.measures import Distance, encode_labels, has_order
from ppc.desensitize.anonymity.requirement import Diversity, Requirement
from ppc.desensitize.anonymity.tuples import Tuples, collect
from ppc.desensitize.anonymity.utility import Utility
from ppc.desensitize.hierarchy import ANYTHING, Hierarchy
from ppc.errors import ColumnError, ConfigError, DisclosureRefused, did_you_mean

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Method = Literal["auto", "lattice", "mondrian"]
Loss = Literal["granularity", "entropy"]
Progress = Callable[[float, str], None]


class Anonymizer:
    """Finds and applies a generalization under which every released class satisfies the requirement.

    method: 'lattice' gives each column one level of its hierarchy, the best of all combinations; 'mondrian' cuts the
    table into boxes, each with ranges of its own: less loss, but values of different widths. 'auto' is 'lattice' if the
    combinations are at most `lattice.MAX_NODES`, else 'mondrian'.

    Fitted: `levels_` (lattice: name → level), `utility_`, `classes_`, `checked_`.

    Args:
        k: rows a class, at least.
        quasi_identifiers: columns to generalize; default: those whose schema role is quasi_identifier.
        sensitive: the column that l and t protect; default: the only one whose role is sensitive.
        l, diversity, c, t: see `Requirement`; mondrian takes diversity 'distinct' only.
        distance: 'equal' or 'ordered' for t; 'auto' is 'ordered' for numbers and dates.
        hierarchies: name → Hierarchy (or what `Hierarchy.of` takes). A column without one can only become '*' in the
            lattice; mondrian needs none, and uses one for the names of what it joins.
        suppression: the greatest share of rows that may be left out.
        loss: what the lattice minimizes.
    """

    def __init__(
        self,
        *,
        k: int,
        quasi_identifiers: Sequence[str] | None = None,
        sensitive: str | None = None,
        l: float | None = None,
        diversity: Diversity = "distinct",
        c: float = 3.0,
        t: float | None = None,
        distance: Distance = "auto",
        hierarchies: Mapping[str, Any] | None = None,
        method: Method = "auto",
        suppression: float = 0.05,
        loss: Loss = "granularity",
        progress: Progress | None = None,
    ) -> None:
        if not 0 <= suppression < 1:
            raise ConfigError("suppression is a share of rows, from 0 to below 1", where="suppression")
        if method not in ("auto", "lattice", "mondrian"):
            raise ConfigError("method is 'auto', 'lattice' or 'mondrian'", where="method")
        if loss not in ("granularity", "entropy"):
            raise ConfigError("loss is 'granularity' or 'entropy'", where="loss")
        if distance not in ("auto", "equal", "ordered"):
            raise ConfigError("distance is 'auto', 'equal' or 'ordered'", where="distance")
        self.requirement = Requirement(k, l, diversity, c, t)
        self.quasi_identifiers = None if quasi_identifiers is None else tuple(quasi_identifiers)
        self.sensitive = sensitive
        self.distance = distance
        self.hierarchies = {n: Hierarchy.of(h, where=f"hierarchy of '{n}'") for n, h in (hierarchies or {}).items()}
        self.method = method
        self.suppression = suppression
        self.loss = loss
        self._progress = progress

    def __repr__(self) -> str:
        return f"<Anonymizer k={self.requirement.k} method='{self.method}' suppression={self.suppression}>"

    # --- finding ---
    def fit(self, dataset: Dataset, *, count: str | None = None) -> Anonymizer:
        """Find the generalization. `count` names a column that says how many rows each row stands for.

        Raises:
            DisclosureRefused: nothing satisfies the requirement within the allowed suppression.
            ColumnError, ConfigError: a column is missing, or plays two parts.
            ValueRangeError: a hierarchy lacks values.
        """
        names, sensitive = self._columns(dataset)
        ordered = sensitive is not None and (
            self.distance == "ordered" or (self.distance == "auto" and has_order(dataset.column(sensitive).type))
        )
        tuples = collect(dataset, names, sensitive, ordered=ordered, count=count)
        if self.requirement.k > tuples.rows:
            raise DisclosureRefused(f"k is {self.requirement.k}, the table has {tuples.rows} rows", where="k")
        maps = [self._maps(e) for e in tuples.columns]
        size = int(np.prod([len(m) for m in maps], dtype=np.float64))
        if self.method == "lattice" and size > lattice.MAX_NODES:
            raise ConfigError(
                f"the hierarchies have {size} combinations of levels; at most {lattice.MAX_NODES} are searched",
                hint="Use method='mondrian', fewer columns, or hierarchies with fewer levels.",
            )
        self._names, self._encoded = names, tuples.columns
        weights = [
            np.bincount(tuples.codes[:, j], weights=tuples.counts, minlength=e.cardinality)
            for j, e in enumerate(tuples.columns)
        ]
        if self.method == "lattice" or (self.method == "auto" and size <= lattice.MAX_NODES):
            self._fit_lattice(tuples, maps, weights)
        else:
            self._fit_mondrian(tuples, weights)
        return self

    def _fit_lattice(self, tuples: Tuples, maps: list[list[Codes]], weights: list[Any]) -> None:
        losses = {kind: [utility.level_losses(m, w, kind) for m, w in zip(maps, weights, strict=True)]
                  for kind in ("granularity", "entropy")}  # fmt: skip
        found = lattice.search(tuples, maps, losses[self.loss], self.requirement, self.suppression, self._progress)
        self.levels_: dict[str, int] | None = dict(zip(self._names, found.levels, strict=True))
        self.checked_ = found.checked
        labels = [self._labels(e, level) for e, level in zip(tuples.columns, found.levels, strict=True)]
        self._texts = [labels[j].take(_arrow(tuples.codes[:, j])) for j in range(len(labels))]
        mean = {
            kind: float(np.mean([c[l] for c, l in zip(losses[kind], found.levels, strict=True)])) for kind in losses
        }
        self._finish(tuples, found.kept, found.index, mean["granularity"], mean["entropy"])

    def _fit_mondrian(self, tuples: Tuples, weights: list[Any]) -> None:
        from ppc.desensitize.anonymity._kernels import mondrian

        need = self.requirement
        if need.diversity != "distinct" and need.l is not None:
            raise ConfigError(
                "mondrian takes diversity 'distinct' only", hint="Use method='lattice'.", where="diversity"
            )
        secret, overall = np.zeros((len(tuples.counts), 0), np.int64), np.zeros(0)
        if tuples.sensitive is not None and need.needs_sensitive:
            cells = len(tuples.counts) * tuples.sensitive.cardinality
            if cells > 1 << 28:
                raise ConfigError(
                    f"the sensitive column has {tuples.sensitive.cardinality} values; that is too many for mondrian",
                    hint="Group its values first (bucket, generalize).",
                )
            secret = np.zeros((len(tuples.counts), tuples.sensitive.cardinality), np.int64)
            secret[tuples.sensitive.tuple_of, tuples.sensitive.code] = tuples.sensitive.counts
            overall = tuples.sensitive.overall
        spans = np.array([e.cardinality for e in tuples.columns], np.int64)
        ordered = tuples.sensitive is not None and tuples.sensitive.ordered
        if self._progress is not None:
            self._progress(0.1, f"cutting {tuples.rows} rows")
        part, parts = mondrian(
            tuples.codes.astype(np.int32), tuples.counts, spans, need.k, secret, overall,
            float(need.l or 0), -1.0 if need.t is None else float(need.t), ordered,
        )  # fmt: skip
        kept, _ = need.satisfied(part, parts, tuples.counts, tuples.sensitive)
        left_out = int(tuples.counts[~kept[part]].sum())
        if left_out > self.suppression * tuples.rows:
            raise DisclosureRefused(
                f"{left_out} of {tuples.rows} rows would have to be left out, allowed are {self.suppression:.1%}",
                hint="Allow more suppression, ask for a smaller k or l or a larger t, or name fewer quasi-identifiers.",
            )
        self.levels_, self.checked_ = None, parts
        low = np.stack([_extreme(np.minimum, part, parts, tuples.codes[:, j]) for j in range(len(spans))], axis=1)
        high = np.stack([_extreme(np.maximum, part, parts, tuples.codes[:, j]) for j in range(len(spans))], axis=1)
        self._texts = [self._ranges(e, low[:, j], high[:, j]).take(_arrow(part)) for j, e in enumerate(tuples.columns)]
        granularity = [
            float((tuples.counts * (high[part, j] - low[part, j])).sum() / (tuples.rows * max(spans[j] - 1, 1)))
            for j in range(len(spans))
        ]
        entropy = [_box_entropy(w, low[part, j], high[part, j], tuples, j) for j, w in enumerate(weights)]
        self._finish(tuples, kept[part], part, float(np.mean(granularity)), float(np.mean(entropy)))

    def _finish(self, tuples: Tuples, kept: Any, index: Codes, granularity: float, entropy: float) -> None:
        share = float(tuples.counts[~kept].sum() / tuples.rows)
        figures = utility.table_figures(index, tuples.counts, kept, self.requirement.k)
        whole = [(1 - share) * x + share for x in (granularity, entropy)]
        self.utility_ = Utility(whole[0], whole[1], share, *figures)
        self.classes_ = len(np.unique(index[kept]))
        self._kept, self._codes = kept, tuples.codes

    # --- applying ---
    def transform(self, dataset: Dataset) -> Dataset:
        """The rows of a dataset, generalized as found; those left out, or not there at `fit`, are gone.

        The generalized columns become strings; all others stay as they are.
        """
        if not hasattr(self, "_kept"):
            raise ConfigError("fit the anonymizer first", hint="fit_transform(dataset) does both.")
        tuple_of = self._lookup(dataset)
        released = np.flatnonzero((tuple_of >= 0) & self._kept[tuple_of])
        out = dataset.take(released)
        at = _arrow(tuple_of[released])
        for name, texts in zip(self._names, self._texts, strict=True):
            field = dataset.schema[name]
            new = replace(field, type="string", bounds=None, domain=None, unit=None)
            out = out.with_column(name, texts.take(at), new)
        return out

    def fit_transform(self, dataset: Dataset) -> Dataset:
        """`fit`, then `transform` of the same dataset."""
        return self.fit(dataset).transform(dataset)

    def _lookup(self, dataset: Dataset) -> Codes:
        """Each row's fitted tuple, −1 where there is none (rows,)."""
        import pyarrow.compute as pc

        codes = []
        unknown = np.zeros(dataset.num_rows, np.bool_)
        for e in self._encoded:
            column = dataset.column(e.name)
            if column.type != e.values.type:
                raise ColumnError(f"it is {column.type}, at fit it was {e.values.type}", where=f"column '{e.name}'")
            at = pc.index_in(column.combine_chunks(), value_set=e.values)
            index = pc.fill_null(at, -1).to_numpy(zero_copy_only=False).astype(np.int64)
            unknown |= index < 0
            codes.append(np.maximum(index, 0))
        sizes = [e.cardinality for e in self._encoded]
        fitted = [self._codes[:, j] for j in range(len(sizes))]
        both = [np.concatenate([a, b]) for a, b in zip(fitted, codes, strict=True)]
        key, _ = combine(both, sizes)
        known, wanted = key[: len(self._codes)], key[len(self._codes) :]
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
        found = order[place]
        return np.where((known[found] == wanted) & ~unknown, found, -1).astype(np.int64)

    # --- columns and labels ---
    def _columns(self, dataset: Dataset) -> tuple[tuple[str, ...], str | None]:
        schema = dataset.schema
        names = self.quasi_identifiers or tuple(f.name for f in schema.by_role(Role.QUASI_IDENTIFIER))
        if not names:
            raise ConfigError(
                "no quasi-identifiers are named",
                hint="Pass quasi_identifiers=[…], or give columns the role quasi_identifier in the schema.",
            )
        if len(set(names)) != len(names):
            raise ConfigError("a quasi-identifier is named twice", where="quasi_identifiers")
        for name in self.hierarchies:
            if name not in names:
                raise ConfigError(
                    f"there is a hierarchy for '{name}', which is not a quasi-identifier",
                    hint=did_you_mean(name, names),
                )
        sensitive = self.sensitive
        if sensitive is None and self.requirement.needs_sensitive:
            marked = [f.name for f in schema.by_role(Role.SENSITIVE)]
            if len(marked) != 1:
                raise ConfigError(
                    "l and t need one sensitive column", where="sensitive", hint="Pass sensitive='column'."
                )
            sensitive = marked[0]
        if sensitive in names:
            raise ConfigError(f"column '{sensitive}' is both sensitive and a quasi-identifier", where="sensitive")
        for name in (*names, *([sensitive] if sensitive else [])):
            _ = schema[name]
        return names, sensitive

    def _labels(self, column: Encoded, level: int) -> Any:
        """What each of a column's codes becomes at a level; at the top everything, nulls too, is '*'."""
        import pyarrow as pa

        hierarchy = self.hierarchies.get(column.name)
        top = 1 if hierarchy is None else hierarchy.height
        if level == top:
            return pa.array([ANYTHING] * len(column.values), pa.string())
        if hierarchy is None:
            return column.values.cast(pa.string())
        return hierarchy.apply(column.values, level)

    def _maps(self, column: Encoded) -> list[Codes]:
        hierarchy = self.hierarchies.get(column.name)
        top = 1 if hierarchy is None else hierarchy.height
        whole = [np.arange(column.cardinality)]
        return whole + [encode_labels(self._labels(column, level)) for level in range(1, top + 1)]

    def _ranges(self, column: Encoded, low: Codes, high: Codes) -> Any:
        """The names of ranges of codes: the value itself, the lowest group that holds the range, or '[from, to]'."""
        import pyarrow as pa
        import pyarrow.compute as pc

        exact = column.values.cast(pa.string())
        first, last = exact.take(_arrow(low)), exact.take(_arrow(high))
        null = pa.scalar("?", pa.string())
        text = pc.binary_join_element_wise("[", pc.fill_null(first, null), ", ", pc.fill_null(last, null), "]", "")
        hierarchy = self.hierarchies.get(column.name)
        if hierarchy is not None:
            maps = self._maps(column)
            done = np.zeros(len(low), np.bool_)
            for level in range(1, hierarchy.height + 1):
                # A range lies in one group if its codes all have that group: no change of group inside it.
                change = np.concatenate([[0], np.cumsum(maps[level][1:] != maps[level][:-1])])
                inside = (change[high] == change[low]) & ~done
                labels = self._labels(column, level).take(_arrow(low))
                text = pc.if_else(pa.array(inside), labels, text)
                done |= inside
        return pc.if_else(pa.array(low == high), first, text)


def anonymize(dataset: Dataset, **settings: Any) -> Dataset:
    """A dataset whose every class satisfies the requirement; `settings` are those of `Anonymizer`.

    anonymize(patients, k=5, quasi_identifiers=["age", "zip"], hierarchies={"age": {"kind": "interval", …}})
    """
    return Anonymizer(**settings).fit_transform(dataset)


def _arrow(index: Codes) -> Any:
    import pyarrow as pa

    return pa.array(index, pa.int64())


def _extreme(take: Any, part: Codes, parts: int, codes: Codes) -> Codes:
    out = np.full(parts, np.iinfo(np.int64).max if take is np.minimum else -1, np.int64)
    take.at(out, part, codes)
    return out


def _box_entropy(weights: Any, low: Codes, high: Codes, tuples: Tuples, j: int) -> float:
    """Non-uniform entropy of one column cut into ranges, as a share of its greatest possible."""
    cumulative = np.concatenate([[0.0], np.cumsum(weights)])
    inside = cumulative[high + 1] - cumulative[low]
    seen = weights[weights > 0]
    most = float(-(seen * np.log(seen / tuples.rows)).sum())
    nats = float(-(tuples.counts * np.log(weights[tuples.codes[:, j]] / inside)).sum())
    return nats / most if most > 0 else 0.0

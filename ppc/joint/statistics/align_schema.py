"""`align_schema`: every site's own columns, units and codes become those of the study's dictionary.

The dictionary lies in the job, so that everyone sees it: the study's columns, and for each site where they come from.
What does not map is reported: as counts, pooled over the sites, none of them small. A code that is not in the
dictionary is named to all where at least min_cell rows of one site have it; every code, with its count, is in the
site's own file (`UNMAPPED`), and stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ppc.dataset import schema as ds
from ppc.dataset import types
from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError, FrameError, JobFileError, TypeMismatchError, did_you_mean
from ppc.joint.context import Context
from ppc.joint.operator import EVERYONE, Disclosure, PlanView, Summary
from ppc.joint.registry import register
from ppc.joint.statistics.codes import text
from ppc.joint.statistics.study import Counts, Level, RosterChanged, Statistic, Study, StudyParams
from ppc.joint.statistics.units import factor

TABLE = "study"
UNMAPPED = "unmapped"
#: No more codes of a column are named, and no more of each than these characters.
MAX_CODES, MAX_LENGTH = 20, 60


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StudyColumn(_Model):
    """A column of the study. type: "number" or "category" (with levels); unit: of a number; low, high: a value outside
    cannot be right and counts as missing. substance: for units of concentration (see `units`)."""

    name: str
    type: Literal["number", "category"] = "number"
    unit: str | None = None
    substance: str | None = None
    low: float | None = None
    high: float | None = None
    levels: tuple[Level, ...] | None = None


class Source(_Model):
    """Where a site has a column: its own name, its unit, its codes `{own value = level}`, or one value for all rows."""

    column: str | None = None
    unit: str | None = None
    codes: dict[str, Level] | None = None
    value: Level | None = None


class AlignSchemaParams(StudyParams):
    """columns: the study's dictionary. sites: `sites.NAME.COLUMN`, where a site differs from the dictionary."""

    columns: tuple[StudyColumn, ...] = Field(min_length=1)
    sites: dict[str, dict[str, Source]] = Field(default_factory=dict)


@register
class AlignSchema(Statistic[AlignSchemaParams]):
    """Names, units and codes to those of the study."""

    name = "align_schema"
    summary = "bring columns, units and codes to the study's dictionary"
    Params = AlignSchemaParams
    noisy = True
    noise_costs = False

    def columns(self, params: AlignSchemaParams) -> list[str]:
        return []

    def check(self, params: AlignSchemaParams, view: PlanView) -> None:
        names = [c.name for c in params.columns]
        for party in params.sites:
            if party not in view.parties:
                raise JobFileError(f"'{party}' is not a party", where=f"{view.where}, key 'sites'",
                                   hint=did_you_mean(party, view.parties))  # fmt: skip
            for name in params.sites[party]:
                if name not in names:
                    raise JobFileError(f"'{name}' is not in the dictionary", where=f"{view.where}, key 'sites.{party}'",
                                       hint=did_you_mean(name, names))  # fmt: skip
        for column in params.columns:
            if (column.type == "category") != (column.levels is not None):
                raise JobFileError(f"'{column.name}': a category has levels, a number has none", where=view.where)
            for party in view.parties:
                source = source_of(params, party, column)
                if source.value is not None:
                    continue
                field = view.column(party, source.column or column.name)
                if column.type == "number" and not types.is_numeric(field.type):
                    raise TypeMismatchError(
                        f"column '{field.name}' is {field.type}, and '{column.name}' is a number",
                        party=party, where=view.where,
                    )  # fmt: skip
                if source.unit is not None and column.unit is not None:
                    factor(source.unit, column.unit, column.substance, where=f"{view.where}, {party}, '{column.name}'")

    def disclosures(self, params: AlignSchemaParams, view: PlanView) -> list[Disclosure]:
        if view.facts.get("release"):
            return []
        what = "how many values of each column are missing, out of range or of unknown code, of all sites together"
        names = tuple(c.name for c in params.columns)
        found = [
            Disclosure(EVERYONE, f"{what} (not told below {params.min_cell})", columns=names, why="to judge the data")
        ]
        coded = tuple(c.name for c in params.columns if c.levels is not None)
        if coded:
            what = (
                f"each code that is not in the dictionary and that {params.min_cell} rows of one site have, and whose"
            )
            found.append(Disclosure(EVERYONE, what, columns=coded, why="to complete the dictionary"))
        return found

    def after(self, params: AlignSchemaParams, view: PlanView) -> PlanView:
        fields = tuple(ds.Field(c.name, "float64" if c.type == "number" else "string") for c in params.columns)
        levels = {c.name: tuple(text(v) for v in c.levels) for c in params.columns if c.levels is not None}
        units = {c.name: c.unit for c in params.columns if c.unit}
        ranges = {c.name: (c.low, c.high) for c in params.columns if c.low is not None and c.high is not None}
        return replace(view, schemas={p: ds.Schema(fields) for p in view.parties}).with_facts(
            levels=levels, units=units, ranges=ranges
        )

    def release(self, study: Study[AlignSchemaParams]) -> Mapping[str, Any]:
        self._align(study)
        study.say("how many values did not map is not told: everything that this job tells has noise")
        return {"n": None, "columns": []}

    def compute(self, study: Study[AlignSchemaParams]) -> Mapping[str, Any]:
        faults, codes = self._align(study)
        told = study.counts(faults)
        n = study.counts([len(study.data)])[0]
        named = unknown_codes(study, codes)
        lines: list[dict[str, Any]] = []
        for column, (missing, outside, unknown) in zip(study.params.columns, told, strict=True):
            study.say_rows(outside, f"have a value of '{column.name}' out of its range; they count as missing")
            study.say_rows(
                unknown, f"have a code of '{column.name}' that is not in the dictionary; they count as missing"
            )
            lines.append({"column": column.name, "unit": column.unit, "missing": _whole(missing),
                          "out_of_range": _whole(outside), "unknown": _whole(unknown)})  # fmt: skip
            if column.name in named:
                lines[-1]["unknown_codes"] = named[column.name]
                words = ", ".join(f"'{c}'" for c in named[column.name])
                study.say(f"not in the dictionary of '{column.name}': {words}")
        return {"n": _whole(n), "columns": lines}

    @staticmethod
    def _align(study: Study[AlignSchemaParams]) -> tuple[Counts, dict[str, dict[str, int]]]:
        """Leave the aligned rows behind; this site's faults (columns, 3): missing, out of range, unknown; and for each
        column its unknown codes with their counts."""
        columns, faults, unmapped = {}, [], {}
        for column in study.params.columns:
            values, counts, unknown = align(study.data, column, source_of(study.params, study.ctx.me, column))
            if unknown:
                unmapped[column.name] = unknown
            columns[column.name] = values
            faults.append([counts[k] for k in ("missing", "out_of_range", "unknown")])
        aligned = Dataset.from_arrow(pa.table(columns), name=study.data.name)
        study.ctx.artifacts.put_table(TABLE, aligned)
        study.ctx.artifacts.put_json(UNMAPPED, unmapped)
        return np.array(faults, np.int64), unmapped

    def apply(self, ctx: Context[AlignSchemaParams]) -> None:
        ctx.dataset = Dataset.from_arrow(ctx.artifacts_of(ctx.step).table(TABLE), name=ctx.source.name)

    def run(self, ctx: Context[AlignSchemaParams]) -> Summary:
        return super().run(ctx)


def source_of(params: AlignSchemaParams, party: str, column: StudyColumn) -> Source:
    """Where the site has the column."""
    return params.sites.get(party, {}).get(column.name, Source())


def unknown_codes(study: Study[Any], own: Mapping[str, Mapping[str, int]]) -> dict[str, list[str]]:
    """For each column the codes outside the dictionary that at least min_cell rows of some site have."""
    least = max(1, study.limits.min_cell)
    mine = {
        column: sorted(c for c, n in codes.items() if n >= least and len(c) <= MAX_LENGTH)[:MAX_CODES]
        for column, codes in own.items()
    }
    told = study.ctx.pool.gather({column: codes for column, codes in mine.items() if codes})
    if set(told) != set(study.sites):
        raise RosterChanged
    found: dict[str, set[str]] = {}
    for party, columns in told.items():
        if not isinstance(columns, dict) or len(columns) > len(study.params.columns):
            raise FrameError("its list of unknown codes is malformed", party=party, where="align_schema")
        for column, codes in columns.items():
            good = isinstance(codes, list) and len(codes) <= MAX_CODES
            if not good or not all(isinstance(c, str) and len(c) <= MAX_LENGTH for c in codes):
                raise FrameError("its list of unknown codes is malformed", party=party, where="align_schema")
            found.setdefault(column, set()).update(codes)
    return {column: sorted(codes) for column, codes in found.items()}


def align(dataset: Dataset, column: StudyColumn, source: Source) -> tuple[pa.Array, dict[str, int], dict[str, int]]:
    """One study column of a site, how many values did not map, and the codes that did not, with their counts."""
    n = len(dataset)
    counts = {"missing": 0, "out_of_range": 0, "unknown": 0}
    if column.type == "number":
        if source.value is not None:
            x = np.full(n, float(source.value))
        else:
            x = dataset.numpy(source.column or column.name)
            if source.unit is not None and column.unit is not None:
                scale, shift = factor(source.unit, column.unit, column.substance, where=f"column '{column.name}'")
                x = x * scale + shift
        counts["missing"] = int(np.isnan(x).sum())
        with np.errstate(invalid="ignore"):
            low = -np.inf if column.low is None else column.low
            high = np.inf if column.high is None else column.high
            outside = ~np.isnan(x) & ~((x >= low) & (x <= high) & np.isfinite(x))
        counts["out_of_range"] = int(outside.sum())
        x[outside] = np.nan
        return pa.array(x, from_pandas=True), counts, {}
    levels = {text(v) for v in column.levels or ()}
    if source.value is not None:
        if text(source.value) not in levels:
            raise ColumnError(f"'{source.value}' is not a level of '{column.name}'", where="align_schema")
        return pa.array([text(source.value)] * n, pa.string()), counts, {}
    own = dataset.column(source.column or column.name).combine_chunks().dictionary_encode()
    table = {k: text(v) for k, v in (source.codes or {}).items()}
    mapped: list[str | None] = []
    unknown = np.zeros(len(own.dictionary) + 1, bool)
    for i, value in enumerate(own.dictionary.to_pylist()):
        name = None if value is None or value != value else text(value)
        level = None if name is None else table.get(name, name if source.codes is None else None)
        unknown[i] = name is not None and level not in levels
        mapped.append(level if level in levels else None)
    index = own.indices.fill_null(len(mapped)).to_numpy(zero_copy_only=False).astype(np.int64)
    values = np.array([*mapped, None], object)[index]
    counts["unknown"] = int(unknown[index].sum())
    counts["missing"] = int(sum(v is None for v in values)) - counts["unknown"]
    rows = np.bincount(index, minlength=len(unknown))
    codes = {text(v): int(k) for v, k, bad in zip(own.dictionary.to_pylist(), rows, unknown, strict=False) if bad}
    return pa.array(values.tolist(), pa.string()), counts, codes


def _whole(value: float) -> int | None:
    return None if np.isnan(value) else int(value)

"""The only place where data meet noise: exact sums from an engine, noise, and the figures read off both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppc.dp import recipe
from ppc.dp.engines.base import Engine, Request, empty
from ppc.dp.parts import Part
from ppc.dp.recipe import Chosen, Measured, Priced, Recipe
from ppc.dp.release import Figure


def answer(priced: Priced, engine: Engine) -> tuple[tuple[Figure, ...], dict[str, list[Any]], tuple[str, ...]]:
    """Figures, groups and notes of a priced recipe. The cost was reserved."""
    if priced.recipe.open:
        return _found(priced, engine)
    r = priced.recipe
    figures: list[Figure] = []
    request = r.request()
    sums = engine.sums(request) if request.terms else empty(0, r.cells)
    for step in priced.steps:
        if isinstance(step, Chosen):
            counts = engine.sums(r.quantile_request(step.part))[0].reshape(r.cells, -1)
            values, low, high = step.part.release(counts, list(step.choices))
            figures += [Figure(n, values[i], low[i], high[i]) for i, n in enumerate(step.part.figures)]
        else:
            figures += noisy(step, step.part.vector(sums[recipe.term_index(request, step.part.terms)]))
    keys = _labels(r)
    if r.query.top is not None:
        order = np.argsort(-figures[0].values, kind="stable")[: r.query.top]
        figures = [Figure(f.name, f.values[order], f.low[order], f.high[order], f.whole) for f in figures]
        keys = {k: [v[i] for i in order] for k, v in keys.items()}
    return tuple(figures), keys, ()


def noisy(step: Measured, vector: Any) -> list[Figure]:
    """The figures of a part, from its exact vector (rows, cells)."""
    return figures(step, noisy_vector(step, vector))


def noisy_vector(step: Measured, vector: Any) -> Any:
    """An exact vector (rows, cells) with its noise, as float64: the only place where noise meets data."""
    rows, cells = vector.shape
    raw = vector * step.fine + step.noise.draw(rows * cells).reshape(rows, cells)
    return np.array(raw, dtype=np.float64) / step.fine


def figures(step: Measured, raw: Any) -> list[Figure]:
    """What is read off a noisy vector, float64 (rows, cells). No data here any more."""
    part: Part = step.part
    values, half = part.finish(raw, step.sd), step.half_widths(raw)
    if part.whole:
        values = np.rint(values) + 0.0  # no negative zero
    return [
        Figure(n, values[i], values[i] - half[i], values[i] + half[i], part.whole) for i, n in enumerate(part.figures)
    ]


def _found(priced: Priced, engine: Engine) -> tuple[tuple[Figure, ...], dict[str, list[Any]], tuple[str, ...]]:
    """Groups that are not known beforehand: those whose noisy count passes the threshold, in their keys' order."""
    r = priced.recipe
    steps = [s for s in priced.steps if isinstance(s, Measured)]
    first = steps[0]
    request = Request(tuple(dict.fromkeys(t for s in steps for t in s.part.terms)), r.keys, r.where, r.unit)
    names, sums = engine.groups(request)
    order = sorted(range(len(names)), key=lambda i: tuple((type(v).__name__, v) for v in names[i]))
    raw = noisy_vector(first, first.part.vector(sums[recipe.term_index(request, first.part.terms)][:, order]))
    keep = np.flatnonzero(raw[0] >= float(priced.threshold or math.inf))  # before it is rounded
    counts = figures(first, raw)[0]
    kept = [names[order[i]] for i in keep]
    chosen = sums[:, [order[i] for i in keep]]
    out = [Figure(counts.name, counts.values[keep], counts.low[keep], counts.high[keep], True)]
    for step in steps[1:]:
        out += noisy(step, step.part.vector(chosen[recipe.term_index(request, step.part.terms)]))
    if r.query.top is not None:
        best = np.argsort(-out[0].values, kind="stable")[: r.query.top]
        out = [Figure(f.name, f.values[best], f.low[best], f.high[best], f.whole) for f in out]
        kept = [kept[i] for i in best]
    keys = {k.column: [name[j] for name in kept] for j, k in enumerate(r.keys)}
    wanted = set(r.figures)
    note = f"Groups with a noisy count below {priced.threshold or 0:.0f} are left out."
    return tuple(f for f in out if f.name in wanted), keys, (note,)


def _labels(r: Recipe) -> dict[str, list[Any]]:
    """For each key, the value of every cell, in C order."""
    if not r.keys:
        return {}
    out: dict[str, list[Any]] = {}
    grid = np.indices([k.size for k in r.keys]).reshape(len(r.keys), -1)
    for k, at in zip(r.keys, grid, strict=True):
        names: Sequence[Any] = k.values or ()
        if k.edges is not None:
            last = k.size - 1
            names = [
                f"[{a:g}, {b:g}{']' if i == last else ')'}" for i, (a, b) in enumerate(itertools.pairwise(k.edges))
            ]
        out[k.column] = [names[i] for i in at]
    return out

"""How the report of a finished job shows statistics. Each function takes the record and a step's summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ppc.report.document import Block, Cell, Figure, Section, Table, Text
from ppc.report.survival import Curve, Effect, forest, survival

Record = Mapping[str, Any]
Summary = Mapping[str, Any]
Part = tuple[Sequence[Figure], Sequence[Section]]


def _section(title: str, summary: Summary, blocks: Sequence[Block], figures: Sequence[Figure] = ()) -> Part:
    """The blocks, or why there are none; then what the statistic had to say, and whose rows it is about."""
    said: list[Block] = []
    for kind, words in (("refused", "Refused by the limits of disclosure"), ("problem", "There is no answer")):
        if kind in summary:
            said.append(Text(f"{words}: {summary[kind]}.", "note"))
    said += [Text(f"{s[0].upper()}{s[1:]}.", "note") for s in summary.get("statements", ())]
    if "release" in summary:
        r = summary["release"]
        cost = f"ρ = {r['rho']:.3g}, of ε = {r['epsilon']:g} at δ = {r['delta']:g} for the whole job"
        said.append(Text(f"With noise of sd {r['noise_sd']:.1f} rows in each count. Cost: {cost}.", "note"))
    if summary.get("lost"):
        said.append(Text(f"Lost on the way and not in these figures: {lost_in_words(summary['lost'])}.", "note"))
    sites = ", ".join(summary.get("sites", ()))
    return figures, [Section(title, [*blocks, *said], intro=f"All rows of {sites} together.")]


def lost_in_words(lost: Mapping[str, str]) -> str:
    """Who was lost and why; a reason that begins with the name needs no other."""
    return "; ".join(why if why.startswith(f"{site} ") else f"{site}: {why}" for site, why in lost.items())


def _shown(value: Any, few: int) -> Cell:
    return f"<{few} or hidden" if value is None else value


def _few(summary: Summary) -> int:
    return int(summary["limits"]["min_cell"])


def describe(_record: Record, s: Summary) -> Part:
    names: tuple[str, ...] = ("n", "missing", "mean", "sd", "skewness", "kurtosis")
    if any("min" in c for c in s.get("columns", ())):
        names = (*names, "min", "max")
    rows = [[c["column"], c["group"], *(_shown(c.get(k), _few(s)) if k in names[:2] else c.get(k) for k in names)]
            for c in s.get("columns", ())]  # fmt: skip
    return _section("Description", s, [Table(["column", "group", *names], rows, digits=5)] if rows else [])


def align(_record: Record, s: Summary) -> Part:
    few = _few(s)
    rows = [
        [c["column"], c["unit"] or "", *(_shown(c[k], few) for k in ("missing", "out_of_range", "unknown"))]
        for c in s.get("columns", ())
    ]
    table = Table(["column", "unit", "missing", "out of range", "unknown code"], rows)
    return _section("The study's dictionary", s, [table] if rows else [])


def histogram(_record: Record, s: Summary) -> Part:
    if "counts" not in s:
        return _section("Histogram", s, [])
    edges = s["edges"]
    rows = [[f"below {edges[0]:g}", _shown(s["below"], _few(s))]]
    rows += [[f"{a:g} to {b:g}", _shown(c, _few(s))] for a, b, c in zip(edges, edges[1:], s["counts"], strict=False)]
    rows += [[f"above {edges[-1]:g}", _shown(s["above"], _few(s))]]
    return _section(f"Histogram of {s['column']}", s, [Table([s["column"], "rows"], rows)])


def quantiles(_record: Record, s: Summary) -> Part:
    rows = [[q["column"], q["p"], q["value"], q["low"], q["high"], q["n"]] for q in s.get("quantiles", ())]
    return _section("Quantiles", s, [Table(["column", "p", "value", "at least", "below", "n"], rows, digits=6)])


def crosstab(_record: Record, s: Summary) -> Part:
    if "counts" not in s:
        return _section("Cross table", s, [])
    few = _few(s)
    rows: list[list[Cell]] = [
        [str(r), *(_shown(c, few) for c in line), total]
        for r, line, total in zip(s["rows"], s["counts"], s["row_totals"], strict=True)
    ]
    rows.append(["total", *s["column_totals"], s["n"]])
    blocks: list[Block] = [
        Table([f"{s['row_variable']} / {s['column_variable']}", *map(str, s["columns"]), "total"], rows)
    ]
    if "chi2" in s:
        tests: list[list[Cell]] = [["χ²", s["chi2"], s["df"], s["p"]]]
        if "p_fisher" in s:
            tests += [["χ², Yates", s["chi2_yates"], 1, s["p_yates"]], ["Fisher", None, None, s["p_fisher"]]]
        blocks.append(Table(["test", "statistic", "df", "p"], tests))
        ratios = [(n, s[k]) for n, k in (("odds ratio", "odds_ratio"), ("risk ratio", "risk_ratio")) if s.get(k)]
        if ratios:
            blocks.append(
                Table(["", "estimate", "95 % from", "to"], [[n, r["value"], r["low"], r["high"]] for n, r in ratios])
            )
    return _section(f"{s['row_variable']} by {s['column_variable']}", s, blocks)


def ttest(_record: Record, s: Summary) -> Part:
    names = ("difference", "low", "high", "t", "df", "p")
    blocks: list[Block] = []
    if s.get("groups"):
        blocks.append(
            Table(["group", "n", "mean", "sd"], [[str(g["group"]), g["n"], g["mean"], g["sd"]] for g in s["groups"]])
        )
    if "t" in s:
        blocks.append(Table(["difference", "95 % from", "to", "t", "df", "p"], [[s[k] for k in names]]))
    return _section(f"t test of {s.get('column', '')} ({s.get('kind', '')})", s, blocks)


def anova(_record: Record, s: Summary) -> Part:
    blocks: list[Block] = []
    if "f" in s:
        blocks = [
            Table(["group", "n", "mean", "sd"], [[str(g["group"]), g["n"], g["mean"], g["sd"]] for g in s["groups"]]),
            Table(["F", "df", "df", "p", "η²"], [[s[k] for k in ("f", "df1", "df2", "p", "eta2")]]),
        ]
    return _section(f"Analysis of variance of {s.get('column', '')}", s, blocks)


def rank_sum(_record: Record, s: Summary) -> Part:
    rows = [[s[k] for k in ("u", "z", "p", "superiority")]] if "u" in s else []
    return _section(f"Mann–Whitney test of {s.get('column', '')}", s, [Table(["U", "z", "p", "superiority"], rows)])


def correlation(_record: Record, s: Summary) -> Part:
    rows = [[c, *line] for c, line in zip(s.get("columns", ()), s.get("r", ()), strict=True)]
    return _section("Correlation", s, [Table(["", *s.get("columns", ())], rows, caption=s.get("method", ""))])


def _model(title: str, s: Summary, what: Sequence[tuple[str, str]], ratio: str = "") -> Part:
    if "coefficients" not in s:
        return _section(title, s, [])
    test = "t" if "t" in s["coefficients"][0] else "z"
    ratio = ratio if "ratio" in s["coefficients"][0] else ""
    head = ["term", "coefficient", "SE", test, "p"] + ([ratio, "95 % from", "to"] if ratio else ["95 % from", "to"])
    rows = [
        [c["name"], c["coef"], c["se"], c[test], c["p"], *(c["ratio"] if ratio else (c["low"], c["high"]))]
        for c in s["coefficients"]
    ]
    blocks: list[Block] = [Table(head, rows)]
    effects = [
        Effect(c["name"], *(c["ratio"] if ratio else (c["coef"], c["low"], c["high"])))
        for c in s["coefficients"]
        if c["name"] != "intercept"
    ]
    if effects and all(e.low > 0 and e.high < 1e6 for e in effects) == bool(ratio):
        blocks.append(forest(effects, title=title, xlabel=ratio or "coefficient", ratio=bool(ratio)))
    figures = [[label, s[key]] for label, key in what if s.get(key) is not None]
    blocks.append(Table(["", "value"], figures, digits=6))
    return _section(title, s, blocks)


def linear(_record: Record, s: Summary) -> Part:
    what = (
        ("rows", "n"),
        ("R²", "r2"),
        ("adjusted R²", "r2_adjusted"),
        ("F", "f"),
        ("p", "p"),
        ("σ", "sigma"),
        ("AIC", "aic"),
    )
    return _model(f"Linear model of {s.get('outcome', '')}", s, what)


def glm(_record: Record, s: Summary) -> Part:
    what = (
        ("rows", "n"),
        ("deviance", "deviance"),
        ("null deviance", "null_deviance"),
        ("AIC", "aic"),
        ("iterations", "iterations"),
    )
    family = s.get("family", "generalised linear")
    kind = "logistic" if s.get("link") == "logit" else family
    title = f"{kind.capitalize()} model of {s.get('outcome', '')}".removesuffix(" of ")
    return _model(title, s, what, "odds ratio" if s.get("family") == "binomial" else "ratio")


def cox(_record: Record, s: Summary) -> Part:
    what: tuple[tuple[str, str], ...] = (
        ("rows", "n"),
        ("events", "events"),
        ("log partial likelihood", "loglik"),
        ("AIC", "aic"),
        ("iterations", "iterations"),
    )
    found = s.get("concordance")
    if found:
        within = "" if found["exact"] else f" (to {found['within']:.2g})"
        what = (*what, (f"concordance{within}", "c"))
        s = {**s, "c": found["c"]}
    return _model(
        f"Proportional hazards ({s.get('ties', '').capitalize()} ties)" if "ties" in s else "Proportional hazards",
        s,
        what,
        "hazard ratio",
    )


def kaplan_meier(_record: Record, s: Summary) -> Part:
    curves = s.get("curves", ())
    blocks: list[Block] = []
    if curves:
        drawn = [
            Curve(
                f"{s['by']} {c['group']}" if s["by"] else "all",
                c["times"],
                c["survival"],
                c["low"],
                c["high"],
                c["at_risk"],
            )
            for c in curves
        ]
        rows = [
            [str(c["group"]), c["n"], c["total_events"], "not reached" if c["median"] is None else f"{c['median']:g}"]
            for c in curves
        ]
        blocks = [
            survival(drawn, title="Kaplan–Meier estimate", xlabel=s["time"]),
            Table(["group", "rows", "events", "median"], rows),
        ]
    return _section("Survival", s, blocks)


def log_rank(_record: Record, s: Summary) -> Part:
    blocks: list[Block] = []
    if "chi2" in s:
        rows = [[str(g["group"]), g["observed"], g["expected"]] for g in s["groups"]]
        blocks = [
            Table(["group", "observed", "expected"], rows),
            Table(["χ²", "df", "p"], [[s["chi2"], s["df"], s["p"]]]),
        ]
    return _section(f"Log-rank test by {s.get('by', '')}", s, blocks)


def table_one(_record: Record, s: Summary) -> Part:
    if "lines" not in s:
        return _section("Table one", s, [])
    few = _few(s)
    rows: list[list[Cell]] = [["n", *(f"{n}" for n in s["n"]), None]]
    for line in s["lines"]:
        if line["kind"] == "number":
            cells = [
                "" if m is None else f"{m:.1f} ± {d:.1f}" if d is not None else f"{m:.1f}"
                for m, d in zip(line["mean"], line["sd"], strict=True)
            ]
            rows.append([f"{line['column']}, mean ± sd", *cells, line["p"]])
        else:
            rows.append([line["column"], *("" for _ in s["arms"]), line["p"]])
            for level, counts in zip(line["levels"], line["counts"], strict=True):
                shares = [
                    f"<{few} or hidden" if c is None else f"{c} ({c / n:.0%})" if n else f"{c}"
                    for c, n in zip(counts, s["n"], strict=True)
                ]
                rows.append([f"\u2003{level}", *shares, None])
        if any(line["missing"][i] != 0 for i in range(len(s["arms"]))):
            rows.append(["\u2003missing", *(_text(m, few) for m in line["missing"]), None])
    head = ["", *(f"{s['by']} {arm}" for arm in s["arms"]), "p"]
    return _section("Table one", s, [Table(head, rows, digits=3)])


def _text(value: int | None, few: int) -> str:
    return f"<{few} or hidden" if value is None else str(value)


def meta(_record: Record, s: Summary) -> Part:
    if "estimates" not in s:
        return _section("Meta-analysis", s, [])
    effects = [Effect(e["site"], e["estimate"], e["low"], e["high"], 1 / e["se"] ** 2) for e in s["estimates"]]
    for kind in ("fixed", "random"):
        effects.append(Effect(f"{kind} effects", s[kind]["estimate"], s[kind]["low"], s[kind]["high"], summary=True))
    rows = [[s[k] for k in ("q", "df", "p_heterogeneity", "i2", "tau2")]]
    blocks: list[Block] = [
        forest(effects, title="Meta-analysis", xlabel=s["measure"].replace("_", " ")),
        Table(["Q", "df", "p", "I²", "τ²"], rows),
    ]
    return _section(f"Meta-analysis of {s['outcome']} by {s['by']}", s, blocks)


def private(_record: Record, s: Summary) -> Part:
    blocks: list[Block] = []
    if "counts" in s:
        counts = [[c["column"], str(c["level"]), c["count"], s["count_noise_sd"]] for c in s["counts"]]
        means = [[m["column"], m["n"], m["mean"], m["noise_sd"]] for m in s["means"]]
        blocks = [
            Table(["column", "level", "rows", "sd of the noise"], counts),
            Table(["column", "rows", "mean", "sd of the noise"], means),
            Text(f"Cost: ρ = {s['rho']:g}, which is ε = {s['epsilon']:.2f} at δ = {s['delta']:g}."),
        ]
    return _section("With differential privacy", s, blocks)


PARTS: Final[Mapping[str, Callable[[Record, Summary], Part]]] = {
    "align_schema": align,
    "describe": describe,
    "histogram": histogram,
    "quantiles": quantiles,
    "crosstab": crosstab,
    "ttest": ttest,
    "anova": anova,
    "mann_whitney": rank_sum,
    "correlation": correlation,
    "linear_model": linear,
    "glm": glm,
    "kaplan_meier": kaplan_meier,
    "log_rank": log_rank,
    "cox": cox,
    "table_one": table_one,
    "meta_analysis": meta,
    "private_release": private,
}

__all__ = ["PARTS", "lost_in_words"]

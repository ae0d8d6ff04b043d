"""How the credit operators show what a party learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ppc.joint.report import Part, Record
from ppc.report import plots
from ppc.report.document import Block, Figure, Gallery, Plot, Section, Table, Text

Summary = Mapping[str, Any]

#: Features whose bins are drawn; the others are in the table.
_MOST_DRAWN: Final = 12

_FIGURES: Final = {
    "rows": "rows",
    "bad_rate": "bad rate",
    "auc": "AUC",
    "gini": "Gini",
    "ks": "KS",
    "brier": "Brier score",
    "log_loss": "log loss",
    "hosmer_lemeshow": "Hosmer–Lemeshow χ²",
    "hosmer_lemeshow_p": "its p-value",
}


def _align(record: Record, summary: Summary) -> Part:
    held = summary.get("holdout") or 0
    note = f"of {summary['own_rows']} own rows" + (f"; {held} held out" if held else "")
    if "union" in summary:
        note += "; which ones nobody learned"
    return [Figure("customers matched", f"{summary['matched']:,}", note)], []


def _woe(record: Record, summary: Summary) -> Part:
    iv = [(value, name, owner) for owner, values in summary["iv"].items() for name, value in values.items()]
    iv.sort(reverse=True)
    bars = plots.bars(
        [name for _, name, _ in iv], [value for value, *_ in iv],
        title="Information value", xlabel="IV", groups=[owner for *_, owner in iv],
    )  # fmt: skip
    own = [name for _, name, owner in iv if owner == record["party"] and name in summary["tables"]]
    drawn = [_bins(name, summary["tables"][name]) for name in own[:_MOST_DRAWN]]
    rows = [
        [name, b["bin"], b["rows"], b["share"], b["bad_rate"], b["woe"], b["iv"]]
        for name in own
        for b in summary["tables"][name]
    ]
    blocks: list[Block] = [bars]
    if drawn:
        blocks.append(Gallery(drawn))
    blocks.append(Table(["feature", "bin", "rows", "share", "bad rate", "WOE", "IV"], rows))
    intro = (
        f"Bins and WOE of {record['party']}'s own features, counted on {summary['rows']} training rows. "
        "Of the other parties' features only the information value is known here."
    )
    return [], [Section("Features", blocks, intro)]


def _bins(name: str, table: Sequence[Mapping[str, Any]]) -> Plot:
    shown = [b for b in table if b["rows"]]
    return plots.woe(name, [b["bin"] for b in shown], [b["woe"] for b in shown], [b["share"] for b in shown])


def _select(record: Record, summary: Summary) -> Part:
    kept = [[owner, name, "kept"] for owner, names in summary["kept"].items() for name in names]
    removed = [[*name.split(".", 1), why] for name, why in summary["removed"].items()]
    return [], [Section("Selection", [Table(["party", "feature", "outcome"], [*kept, *removed])])]


def _model(record: Record, summary: Summary) -> Part:
    sizes = ", ".join(f"{n} of {party}" for party, n in summary["features"].items())
    blocks: list[Block] = [
        Text(f"{sizes}; {summary['rows']} training rows; {summary['solver']}, {summary['iterations']} iterations.")
    ]
    rows = [[c["feature"], c["coef"], c.get("se"), c.get("z"), c.get("p")] for c in summary.get("coefficients") or ()]
    if summary.get("intercept") is not None:
        rows.insert(0, ["(intercept)", summary["intercept"], summary.get("intercept_se"), None, None])
    if rows:
        known = [i for i in range(5) if any(row[i] is not None for row in rows)]
        names = ["feature", "coefficient", "standard error", "z", "p"]
        blocks.append(Table([names[i] for i in known], [[row[i] for i in known] for row in rows]))
    intro = f"The half of the model that {record['party']} holds; features are standardised."
    return [], [Section("Model", blocks, intro)]


def _trees(record: Record, summary: Summary) -> Part:
    sizes = ", ".join(f"{n} of {party}" for party, n in summary["features"].items())
    made = ", ".join(f"{n} by {party}'s features" for party, n in summary["splits"].items())
    text = (
        f"{sizes}; {summary['rows']} training rows; {summary['trees']} trees of depth {summary['depth']}. "
        f"Splits: {made}; {summary['not_split']} nodes are not split."
    )
    own = sorted(summary["own_splits"], key=lambda row: (-row["splits"], row["feature"]))
    blocks: list[Block] = [Text(text)]
    if own:
        blocks.append(Table(["feature", "splits"], [[row["feature"], row["splits"]] for row in own]))
    intro = f"How often {record['party']}'s own features split a node. Leaf weights are known to nobody."
    return [], [Section("Model", blocks, intro)]


def _scorecard(record: Record, summary: Summary) -> Part:
    rows = [[p["variable"], p["bin"], p.get("woe"), p["points"]] for p in summary["points"]]
    held = "base points and " if summary.get("base_points") is not None else ""
    intro = (
        f"The half of the scorecard that {record['party']} holds: {held}the points of its own features. "
        "A customer's score is the sum over all parties."
    )
    return [], [Section("Scorecard", [Table(["feature", "bin", "WOE", "points"], rows)], intro)]


def _evaluate(record: Record, summary: Summary) -> Part:
    figures = summary.get("shared", summary)
    if figures is None:
        return [], []
    samples = {name: figures[name] for name in ("train", "holdout") if figures.get(name)}
    best = figures.get("holdout") or figures["train"]
    where = "on customers not trained on" if figures.get("holdout") else "on training rows"
    heads = [
        Figure("AUC", f"{best['auc']:.3f}", where),
        Figure("KS", f"{best['ks']:.3f}", where),
        Figure("Gini", f"{best['gini']:.3f}", where),
    ]
    psi = figures["psi"] if "psi" in figures else (figures.get("stability") or {}).get("psi")
    if psi is not None:
        heads.append(Figure("stability (PSI)", f"{psi:.3f}", "holdout against training"))
    table = Table(["figure", *samples], [[word, *(s[key] for s in samples.values())] for key, word in _FIGURES.items()])
    blocks: list[Block] = [table]
    if "curve" in best:
        blocks += [_curves(samples, best), _decisions(samples)]
    return heads, [Section("How good the model is", blocks)]


def _curves(samples: Mapping[str, Any], best: Mapping[str, Any]) -> Gallery:
    calibration, scores = best["calibration"], best["scores"]
    return Gallery(
        [
            plots.roc({name: (s["curve"]["good"], s["curve"]["bad"]) for name, s in samples.items()}),
            plots.ks(best["curve"]["rows"], best["curve"]["bad"], best["curve"]["good"]),
            plots.score_distribution(scores["edges"], scores["bad"], scores["good"]),
            plots.lift(best["gains"]["rows"], best["gains"]["cumulative_lift"]),
            plots.calibration(calibration["predicted"], calibration["observed"], calibration["weight"]),
        ]
    )


def _decisions(samples: Mapping[str, Any]) -> Table:
    keys = list(next(iter(samples.values()))["confusion"])
    rows = [[key.replace("_", " "), *(s["confusion"][key] for s in samples.values())] for key in keys]
    return Table(["decision at the cutoff", *samples], rows, caption="Confusion matrix and the rates that follow")


PARTS: Final = {
    "align": _align,
    "woe": _woe,
    "select": _select,
    "logistic_regression": _model,
    "boosted_trees": _trees,
    "scorecard": _scorecard,
    "evaluate": _evaluate,
}

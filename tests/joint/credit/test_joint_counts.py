from __future__ import annotations

import threading

import numpy as np
import pytest

from ppc.joint.credit import joint_counts
from ppc.joint.credit.joint_counts import count_jointly, one_hot
from ppc.mpc.session import Session
from ppc.net import memory


def two_parties(program):
    """Run `program(session)` at both parties of a session with a dealer; their results by rank."""
    from ppc.mpc.correlations import dealer

    lines = memory.network(["a", "b", "helper"])
    results: dict[int, object] = {}

    def party(rank: int) -> None:
        me, peer = ("a", "b") if rank == 0 else ("b", "a")
        try:
            with Session.additive(me, ["a", "b"], {peer: lines[me][peer]}, lines[me]["helper"]) as s:
                results[rank] = program(s)
        except BaseException as error:
            results[rank] = error
            for channel in lines[me].values():
                channel.cancel()

    threads = [threading.Thread(target=party, args=(r,)) for r in (0, 1)]
    threads.append(threading.Thread(target=dealer.serve, args=(lines["helper"],)))
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    for r in results.values():
        if isinstance(r, BaseException):
            raise r
    return results[0], results[1]


def by_hand(index, columns, bins, min_rows):
    """What the owner may see: sums by bin, with bins of few rows withheld as the docstring says."""
    out = np.zeros((len(index), bins, columns.shape[1] - 1))
    for f, ix in enumerate(index):
        rows = np.bincount(ix, minlength=bins)
        withheld = rows[rows < min_rows].sum()
        if 0 < withheld < min_rows:
            continue
        for b in range(bins):
            if rows[b] >= min_rows:
                out[f, b] = columns[ix == b, :-1].sum(axis=0)
    return out


def counts(index, columns, bins, min_rows, frac_bits=0):
    """The joint counts with the bins at party 1 and the labels at party 0."""
    rows, width = columns.shape

    def program(s):
        return count_jointly(
            s, owner=1, holder=0, index=index if s.rank == 1 else None, features=len(index), bins=bins,
            columns=columns if s.rank == 0 else None, width=width, rows=rows, frac_bits=frac_bits, min_rows=min_rows,
        )  # fmt: skip

    at_holder, at_owner = two_parties(program)
    assert at_holder is None
    return at_owner


@pytest.mark.parametrize("chunk", [1 << 21, 100])
def test_counts_equal_those_in_the_clear(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_counts, "CHUNK_WORDS", chunk)
    rng = np.random.default_rng(0)
    index = np.stack([rng.integers(0, 7, 500), rng.integers(0, 3, 500), np.zeros(500, dtype=np.int64)])
    y = rng.integers(0, 2, 500).astype(float)
    columns = np.column_stack([y, np.ones(500)])
    assert counts(index, columns, 9, 5).tolist() == by_hand(index, columns, 9, 5).tolist()


def test_weights_are_summed_to_the_precision_of_the_fixed_point() -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(0, 4, (2, 300))
    y, w = rng.integers(0, 2, 300).astype(float), rng.random(300) + 0.5
    columns = np.column_stack([y * w, w, np.ones(300)])
    np.testing.assert_allclose(counts(index, columns, 4, 5, 18), by_hand(index, columns, 4, 5), atol=300 * 2**-19)


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ([20, 30, 50], [True, True, True]),
        ([19, 31, 50], [False, False, False]),  # one small bin would follow from the total: nothing is shown
        ([19, 1, 80], [False, False, True]),  # 20 rows together are withheld: their sum tells of no fewer
        ([10, 9, 81], [False, False, False]),
        ([0, 20, 80], [False, True, True]),  # an empty bin withholds nothing
        ([0, 0, 100], [False, False, True]),
        ([1, 0, 99], [False, False, False]),
    ],
)
def test_small_bins_are_withheld_and_do_not_follow_from_the_total(sizes: list[int], shown: list[bool]) -> None:
    index = np.repeat([0, 1, 2], sizes)[None, :]
    columns = np.ones((100, 2))
    told = counts(index, columns, 3, 20)[0, :, 0]
    assert told.tolist() == [float(n) if s else 0.0 for n, s in zip(sizes, shown, strict=True)]


def test_one_feature_that_is_withheld_does_not_withhold_another() -> None:
    index = np.stack([np.repeat([0, 1], [3, 97]), np.repeat([0, 1], [40, 60])])
    told = counts(index, np.ones((100, 2)), 2, 5)
    assert told[:, :, 0].tolist() == [[0, 0], [40, 60]]


def test_the_plain_engine_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    index = rng.integers(0, 5, (3, 200))
    columns = np.column_stack([rng.integers(0, 2, 200), np.ones(200)]).astype(float)
    told = count_jointly(
        Session.plain(), owner=0, holder=0, index=index, features=3, bins=5, columns=columns, width=2, rows=200,
        frac_bits=0, min_rows=30,
    )  # fmt: skip
    assert told.tolist() == by_hand(index, columns, 5, 30).tolist()


def test_one_hot_has_a_one_for_each_feature_in_each_row() -> None:
    hot = one_hot(np.array([[0, 2], [1, 0]]), 3)
    assert hot.tolist() == [[1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]


def test_no_rows() -> None:
    told = counts(np.empty((2, 0), dtype=np.int64), np.empty((0, 2)), 3, 5)
    assert told.tolist() == np.zeros((2, 3, 1)).tolist()

"""Union IDs: one ID a key at both parties, nobody learns who matched, and a bad peer is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, FrameError, PpcError, ProtocolAbort
from ppc.mpc import local
from ppc.mpc.psi import cuckoo, okvs, union
from ppc.mpc.psi.union import UnionIds

HEAVY = os.environ.get("PPC_HEAVY") == "1"


def ids(values: Any) -> dict[str, pa.Array]:
    return {"id": pa.array([None if v is None else f"customer {v}" for v in values], pa.string())}


def together(left: Any, right: Any, **options: Any) -> tuple[UnionIds, UnionIds]:
    sides = [list(left), list(right)]
    a, b = local.run(lambda s: union.universal_ids(s, ids(sides[s.rank]), **options))
    assert (a.ids == b.ids).all()
    keys = [[v for v in side if v is not None] for side in sides]
    assert len(a) == len(b) == len(set(keys[0]) | set(keys[1]))
    assert a.common == b.common == len(set(keys[0]) & set(keys[1]))
    placed = []
    for found, side, own in zip((a, b), sides, keys, strict=True):
        assert found.rows.dtype == found.places.dtype == np.int64
        assert (np.diff(found.places) > 0).all()
        placed.append({side[r]: p for r, p in zip(found.rows.tolist(), found.places.tolist(), strict=True)})
        assert set(placed[-1]) == set(own)
    assert all(placed[0][k] == placed[1][k] for k in set(placed[0]) & set(placed[1]))
    assert set(placed[0].values()) | set(placed[1].values()) == set(range(len(a)))
    assert len(np.unique(a.ids, axis=0)) == len(a)
    return a, b


@settings(max_examples=25 if HEAVY else 3, deadline=None)
@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_agrees_with_python_sets(left: set[int], right: set[int]) -> None:
    together(sorted(left), sorted(right)[::-1])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([], []), ([], [1, 2]), ([1, 2], []), ([1], [1]), (range(300), range(300)), (range(300), range(300, 500)),
        ([1, None, 2], [None, 2, 3]),
    ],
)  # fmt: skip
def test_sizes_and_overlaps(left: Any, right: Any) -> None:
    together(left, right)


def test_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(union, "_IDS_A_FRAME", 5000)
    n = 200_000 if HEAVY else 8_000
    universe = np.random.default_rng(7).permutation(2 * n)
    together(universe[:n].tolist(), universe[n // 2 : n + n // 2].tolist())


def test_cost() -> None:
    n, m = 1_000, 2_500
    sides = [range(n), range(500, 500 + m)]

    def program(s: Any) -> Any:
        before = s.meter
        union.universal_ids(s, ids(sides[s.rank]), randomness="ot")
        return s.meter - before

    receiver, sender = local.run(program)
    bins, joined = cuckoo.bins_for(n), n + m - (n - 500)
    # Each learns a function on its own keys; the receiver, one more in its bins.
    small, large = (2048 + 16) * okvs.layout(n).blocks, (2048 + 16) * okvs.layout(m).blocks
    stores = 3 * 16 * okvs.layout(m).blocks
    shared = (15.75 + 2 * 8.125 + 16) * bins  # compared, multiplied by the bit, shuffled
    assert 0 <= receiver.sent - (2 * small + shared + 16 * bins) < 50_000  # and opened to the sender
    assert 0 <= sender.sent - (large + stores + shared + 16 * joined) < 50_000
    assert receiver.rounds <= 20
    assert sender.rounds <= 20


# --- what each party sees ---
def chi_squared(values: np.ndarray) -> float:
    """Of the bytes against uniform ones, 255 degrees of freedom: above 400 with probability below 1e-7."""
    counts = np.bincount(np.frombuffer(values.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2).sum() / expected)


def test_what_the_sender_is_told_does_not_say_which_of_its_rows_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees as many random IDs as the receiver has keys of its own, in a random order, and zeros."""
    told: list[np.ndarray] = []
    merge = union._merge

    def spy(mine: Any, others: Any, *rest: Any) -> Any:
        told.append(others)
        return merge(mine, others, *rest)

    monkeypatch.setattr(union, "_merge", spy)
    left, right = range(1500), range(1000, 4000)
    a, b = together(left, right)
    (others,) = told
    assert len(others) == 1000
    assert chi_squared(others) < 400
    own = {tuple(i) for i in b.ids[b.places].tolist()}
    assert not own & {tuple(i) for i in others.tolist()}
    # The order is not that of the receiver's rows: the rank correlation of 1,000 shuffled places stays below 0.2
    # with a false alarm below 1e-9 (standard deviation 0.032).
    row_of = {tuple(i): r for i, r in zip(a.ids[a.places].tolist(), a.rows.tolist(), strict=True)}
    rows = np.array([row_of[tuple(i)] for i in others.tolist()], float)
    assert abs(np.corrcoef(rows, np.arange(len(rows)))[0, 1]) < 0.2
    assert abs(np.corrcoef(np.sort(rows), np.arange(len(rows)))[0, 1]) > 0.2  # the check would see an order


def test_ids_are_random_and_of_this_run_only() -> None:
    first, _ = together(range(2000), range(1000, 3000))
    again, _ = together(range(2000), range(1000, 3000))
    assert chi_squared(first.ids[:, 1]) < 400
    assert not {tuple(i) for i in first.ids.tolist()} & {tuple(i) for i in again.ids.tolist()}


# --- disagreement and hostile peers ---
def honest(bad: Callable[[Any], Any], rows: int = 20) -> PpcError:
    """The error of rank 0 (the receiver), which follows the protocol, when rank 1 does `bad`."""
    seen: list[PpcError] = []

    def program(s: Any) -> None:
        if s.rank == 1:
            bad(s)
            return
        try:
            union.universal_ids(s, ids(range(rows)))
        except PpcError as error:
            seen.append(error)
            raise

    with pytest.raises(PpcError):
        local.run(program)
    (error,) = seen
    return error


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lambda u: u[:20], "announces a union"),
        (lambda u: np.concatenate([u, u, u]), "announces a union"),
        (lambda u: u[::-1], "ascending"),
        (lambda u: np.concatenate([u[:1], u[:-1]]), "ascending"),
        (lambda u: u ^ np.uint64(1), "left out"),
    ],
)
def test_a_false_union_is_noticed(monkeypatch: pytest.MonkeyPatch, lie: Callable[[Any], Any], message: str) -> None:
    send = union._send
    monkeypatch.setattr(union, "_send", lambda channel, u: send(channel, np.ascontiguousarray(lie(u))))
    error = honest(lambda s: union.universal_ids(s, ids(range(10, 50))))
    assert isinstance(error, FrameError)
    assert message in error.what
    assert error.party == "party-1"


def test_ids_that_repeat_are_an_error() -> None:
    mine = np.array([[1, 2], [3, 4]], np.uint64)

    class Peer:
        peer = "bank-b"

    with pytest.raises(ProtocolAbort, match="repeat"):
        union._merge(mine, mine[:1], 5, Peer())  # type: ignore[arg-type]
    with pytest.raises(ProtocolAbort):
        union._merge(mine, mine[:1] + np.uint64(8), 0, Peer())  # type: ignore[arg-type]


def test_other_settings_and_a_peer_that_leaves() -> None:
    assert honest(lambda s: union.universal_ids(s, ids([1]), randomness="ot")).party == "party-1"
    assert honest(lambda s: s.channel(0).close()).party == "party-1"
    with pytest.raises(ConfigError, match="two parties"):
        local.run(lambda s: union.universal_ids(s, ids([1])), parties=3)
    with pytest.raises(ConfigError, match="silent, ot"):
        local.run(lambda s: union.universal_ids(s, ids([1]), randomness="dealer"))


@pytest.mark.parametrize("step", ["learn", "hold", "receive_store"])
def test_a_peer_that_dies_in_the_middle_leaves_no_result(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Rank 1 (the sender) stops where it makes its function, learns the other's, or sends its stores."""
    from ppc.mpc.psi import oprf

    made = getattr(oprf, step if step != "receive_store" else "send_store")

    def dies(channel: Any, *args: Any, **options: Any) -> Any:
        if channel.me == "party-1" and (step != "receive_store" or args[0] == "circuit store"):
            channel.close()
            raise ProtocolAbort("the process died")
        return made(channel, *args, **options)

    monkeypatch.setattr(oprf, made.__name__, dies)
    error = honest(lambda s: union.universal_ids(s, ids(range(10, 50))))
    assert error.party == "party-1"


def test_a_key_is_not_shown_or_pickled() -> None:
    import pickle

    from ppc.mpc.psi.oprf import Key

    key = Key(np.zeros((4, 2), np.uint64), np.array([7, 9], np.uint64), okvs.layout(1))
    assert "7" not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)

"""Circuit PSI: right on every kind of set, at its stated cost, and nobody sees who matched."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import bits
from ppc.errors import (
    ConfigError,
    DisclosureRefused,
    FrameError,
    KeyColumnError,
    PpcError,
    ProtocolAbort,
    TypeMismatchError,
    ValueRangeError,
)
from ppc.mpc import local, ops
from ppc.mpc.psi import circuit, cuckoo, okvs, oprf
from ppc.mpc.psi.keys import prepare
from ppc.net import memory, wire
from ppc.net.channel import Spec

HEAVY = os.environ.get("PPC_HEAVY") == "1"


def ids(values: Any) -> dict[str, pa.Array]:
    return {"id": pa.array([f"customer {v}" for v in values], pa.string())}


def columns_of(values: Any, rank: int) -> np.ndarray:
    """Two columns at rank 0, three at rank 1; the first tells whose row it is."""
    x = np.array(list(values), np.float64)
    return np.stack([x, x * 10] if rank == 0 else [x, np.full(len(x), 0.5), -x], axis=1)


def match(left: Any, right: Any, **options: Any) -> dict[str, Any]:
    """Run it, check the result against Python's sets, and give what was seen."""
    sides = [list(left), list(right)]

    def program(s: Any) -> dict[str, Any]:
        before = s.meter
        found = circuit.match(s, ids(sides[s.rank]), columns_of(sides[s.rank], s.rank), **options)
        cost = s.meter - before
        opened = [ops.open(s, c) for c in found.columns]
        return {"found": found, "member": ops.open_bits(s, found.member), "columns": opened, "cost": cost}

    a, b = local.run(program)
    assert (a["member"] == b["member"]).all()
    receiver = a["found"].receiver
    mine, other = (a, b) if receiver == 0 else (b, a)
    assert other["found"].rows is None
    rows, member = mine["found"].rows, a["member"]
    assert len(rows) == a["found"].bins == cuckoo.bins_for(len(sides[receiver]))
    common = sorted(set(sides[0]) & set(sides[1]))
    assert sorted(sides[receiver][i] for i in rows[member]) == common
    if common or len(sides[1 - receiver]):
        assert sorted(rows[rows >= 0]) == list(range(len(sides[receiver])))
    assert [c.shape[1] for c in a["columns"]] == [2, 3]
    for rank, values in enumerate(a["columns"]):
        assert (values[~member] == 0).all(), "columns of a bin that does not match show"
        whose = [sides[receiver][i] for i in rows[member]]
        assert np.allclose(values[member], columns_of(whose, rank).reshape(-1, values.shape[1]))
    return {"a": a, "b": b}


@settings(max_examples=25 if HEAVY else 6, deadline=None)
@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_agrees_with_python_sets(left: set[int], right: set[int]) -> None:
    match(sorted(left), sorted(right)[::-1])


@pytest.mark.parametrize(
    ("left", "right"),
    [([], []), ([], [1]), ([1], []), ([1], [1]), ([1], [2]), (range(300), range(300)), (range(300), range(300, 500))],
)
def test_sizes_and_overlaps(left: Any, right: Any) -> None:
    match(left, right)


@pytest.mark.parametrize("receiver", [0, 1])
def test_either_party_may_hold_the_bins(receiver: int) -> None:
    found = match(range(40), range(20, 400), receiver=receiver)
    assert found["a"]["found"].receiver == receiver


def test_many_rows() -> None:
    n = 200_000 if HEAVY else 9_000
    universe = np.random.default_rng(7).permutation(2 * n)
    match(universe[:n].tolist(), universe[n // 2 : n + n // 2].tolist(), frac_bits=0 if HEAVY else None)


def test_bins_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "_BINS_AT_ONCE", 128)
    monkeypatch.setattr(oprf, "_ROWS_A_FRAME", 100)
    match(range(150), range(100, 300))


def test_nulls_have_no_bin_and_duplicates_are_refused() -> None:
    left = {"id": pa.array(["a", None, "b", "c"])}
    right = {"id": pa.array(["c", "a", None])}

    def program(s: Any) -> tuple[Any, Any]:
        found = circuit.match(s, left if s.rank == 0 else right, receiver=0)
        return found.rows, ops.open_bits(s, found.member)

    rows, member = local.run(program)[0]
    assert sorted(rows[rows >= 0]) == [0, 2, 3]
    assert sorted(rows[member]) == [0, 3]
    with pytest.raises(KeyColumnError, match="repeat"):
        local.run(lambda s: circuit.match(s, ids([1, 1] if s.rank else [1, 2])))


# --- cost ---
def header(tag: str, *specs: Spec) -> int:
    return len(wire.encode_header(wire.Kind.ARRAYS, tag, list(specs), sum(s.nbytes for s in specs)))


def test_cost() -> None:
    n, m = 2_000, 3_000  # rank 0 receives: it has fewer
    found = match(range(n), range(100, 100 + m), randomness="ot")
    bins, store = cuckoo.bins_for(n), okvs.layout(m).blocks
    width = 5
    shared = 15.75 * bins + 8.125 * bins * width  # tags compared, columns multiplied by the bit
    receiver, sender = found["a"]["cost"], found["b"]["cost"]
    assert receiver.rounds <= 12
    assert sender.rounds <= 12
    blocks = okvs.layout(n).blocks
    assert 0 <= receiver.sent - ((16 + 2048) * blocks + shared) < 20_000
    # A tag and three columns are two stores for each of the three places.
    assert 0 <= sender.sent - (3 * 2 * 16 * store + shared) < 30_000
    assert circuit.sent_bytes(n, m, width) >= sender.sent


# --- what each party sees ---
def chi_squared(payload: bytes | np.ndarray) -> float:
    """Of the bytes against uniform ones, 255 degrees of freedom: above 400 with probability below 1e-7."""
    counts = np.bincount(np.frombuffer(bytes(payload), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2).sum() / expected)


def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """All frames that travel between two parties from now on, by the party that sends."""
    frames: dict[str, list[bytes]] = {}
    make = memory.network

    def network(*args: Any, **kwargs: Any) -> Any:
        lines = make(*args, **kwargs)
        for me, ends in lines.items():
            for end in ends.values():
                put = end._out.put
                end._out.put = lambda frame, put=put, me=me: (
                    frames.setdefault(me, []).append(bytes(frame)), put(frame)
                )[1]  # fmt: skip
        return lines

    monkeypatch.setattr(memory, "network", network)
    return frames


@pytest.mark.parametrize("right", [range(3000), range(3000, 6000)])
def test_what_travels_is_uniform_whoever_matches(monkeypatch: pytest.MonkeyPatch, right: range) -> None:
    """All match, and none does: every store and every opened value looks like random bytes."""
    frames = recorded(monkeypatch)

    def program(s: Any) -> Any:
        return circuit.match(s, ids(range(3000) if s.rank == 0 else right), np.zeros((3000, 1)), receiver=0)

    found = local.run(program)
    kinds = {b"oprf store": "party-0", b"circuit store": "party-1", b"and#": "party-0", b"bit_mul#": "party-1"}
    for tag, sender in kinds.items():
        sent = [f for f in frames[sender] if tag in f[:80]]
        assert sent, tag
        assert chi_squared(b"".join(f[200:] for f in sent)) < 400, tag
    # Each party's own share of the bit and of a column (all zeros) is uniform; together they are not.
    for part in found:
        assert chi_squared(part.member.parts[0].tobytes()) < 400
        for column in part.columns:
            if column.shape[1]:
                assert chi_squared(np.ascontiguousarray(column.parts[0]).tobytes()) < 400
    both = found[0].member.parts[0] ^ found[1].member.parts[0]
    assert chi_squared(both.tobytes()) > 1000
    flags = bits.unpack(both, found[0].bins)
    assert flags.sum() == len(set(range(3000)) & set(right))


def test_runs_differ_and_no_key_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = recorded(monkeypatch)
    shares = [local.run(lambda s: circuit.match(s, ids(range(200))))[0].member.parts[0] for _ in range(2)]
    assert (shares[0] != shares[1]).any()
    for value in (0, 199):
        assert not any(f"customer {value}".encode() in f for sent in frames.values() for f in sent)


# --- disagreement and hostile peers ---
def honest(bad: Callable[[Any], Any], good: Callable[[Any], Any] | None = None) -> PpcError:
    """The error of rank 0, which follows the protocol, when rank 1 does `bad`."""
    seen: list[PpcError] = []

    def program(s: Any) -> None:
        if s.rank == 1:
            bad(s)
            return
        try:
            (good or (lambda s: circuit.match(s, ids(range(20)), receiver=0)))(s)
        except PpcError as error:
            seen.append(error)
            raise

    with pytest.raises(PpcError):
        local.run(program)
    (error,) = seen
    return error


def test_other_settings_are_errors() -> None:
    for options in ({"receiver": 1}, {"frac_bits": 3}, {"randomness": "ot"}):
        error = honest(
            lambda s, options=options: circuit.match(s, ids([1]), **options), lambda s: circuit.match(s, ids([1]))
        )
        assert isinstance(error, ProtocolAbort)
        assert error.party == "party-1"
    error = honest(
        lambda s: circuit.match(s, {"id": pa.array([12])}), lambda s: circuit.match(s, ids([1]))
    )  # fmt: skip
    assert isinstance(error, TypeMismatchError)
    error = honest(
        lambda s: circuit.match(s, ids(range(4))), lambda s: circuit.match(s, ids([1]), max_peer_rows=3)
    )  # fmt: skip
    assert isinstance(error, DisclosureRefused)


def test_arguments_are_checked() -> None:
    with pytest.raises(ConfigError, match="two parties"):
        local.run(lambda s: circuit.match(s, ids([1])), parties=3)
    for bad in ({"randomness": "dealer"}, {"receiver": 2}):
        with pytest.raises(ConfigError):
            local.run(lambda s, bad=bad: circuit.match(s, ids([1]), **bad))
    with pytest.raises(TypeMismatchError, match="shape"):
        local.run(lambda s: circuit.match(s, ids([1]), np.zeros((2, 1))))
    with pytest.raises(ValueRangeError):
        local.run(lambda s: circuit.match(s, ids([1]), np.array([[np.nan]])))
    with pytest.raises(ValueRangeError, match="bins"):
        circuit.after_greeting(  # no message is sent before the check
            _Two(), prepare(ids([1])), circuit.MAX_BINS, b"", np.zeros((1, 0), np.uint64), 0, frac_bits=0, receiver=1,
            randomness="silent",
        )  # fmt: skip


class _Two:
    parties, rank = ("a", "b"), 0

    def channel(self, rank: int) -> None:
        return None


def test_frames_of_another_shape_are_refused() -> None:
    def wide(s: Any) -> None:
        keys = prepare(ids(range(20)))
        circuit.greet(s.channel(0), keys, "circuit psi v1 silent 18 party-0", 100)
        s.channel(0).exchange("circuit columns", np.array([5000], np.uint64))

    error = honest(wide)
    assert isinstance(error, FrameError)
    assert "columns" in error.what

    def short(s: Any) -> None:
        keys = prepare(ids(range(20)))
        _, salt = circuit.greet(s.channel(0), keys, "circuit psi v1 silent 18 party-0", 100)
        s.channel(0).exchange("circuit columns", np.array([0], np.uint64))
        oprf.hold(s.channel(0), 20, oprf.salted(salt, "circuit"), "silent")
        s.channel(0).send("circuit store", np.zeros((7, 2), np.uint64))

    error = honest(short)
    assert isinstance(error, FrameError)
    assert error.party == "party-1"


@pytest.mark.parametrize("after", ["greeting", "columns"])
def test_a_peer_that_leaves_in_between(after: str) -> None:
    def leave(s: Any) -> None:
        circuit.greet(s.channel(0), prepare(ids(range(20))), "circuit psi v1 silent 18 party-0", 100)
        if after == "columns":
            s.channel(0).exchange("circuit columns", np.array([0], np.uint64))
        s.channel(0).close()

    assert honest(leave).party == "party-1"


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    local.run(lambda s: circuit.match(s, ids(range(50)), progress=lambda f, what: seen.append(f)))
    assert max(seen) == 1.0

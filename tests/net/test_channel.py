"""What every channel must do, over every transport."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ppc.errors import (
    FrameError,
    JobCancelled,
    KeyColumnError,
    NetError,
    PeerTimeout,
    PeerUnavailable,
    RemoteFailure,
)
from ppc.net import memory, wire
from ppc.net.channel import Channel, Meter, MeterReading, Spec

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
U64 = np.arange(6, dtype=np.uint64).reshape(2, 3)


def test_is_a_channel_and_names_both_parties(make_pair):
    a, b = make_pair()
    assert isinstance(a, Channel)
    assert (a.me, a.peer, b.me, b.peer) == ("bank-a", "bank-b", "bank-b", "bank-a")
    assert "bank-b" in repr(a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_arrives_as_it_was(make_pair, dtype):
    a, b = make_pair()
    x = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype)
    a.send("x", x)
    (y,) = b.recv("x", Spec(dtype, (2, 3, 4)))
    assert y.dtype == x.dtype
    assert y.flags.writeable
    np.testing.assert_array_equal(x, y)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
        max_size=4,
    )
)
def test_any_arrays_arrive_in_memory(arrays):
    a, b = memory.pair("bank-a", "bank-b")
    a.send("x", *arrays)
    a.send("x", *arrays)
    for got in (b.recv("x", *[Spec.of(x) for x in arrays]), b.recv_arrays("x", 1 << 20)):
        assert len(got) == len(arrays)
        for x, y in zip(arrays, got, strict=True):
            assert x.shape == y.shape
            assert x.dtype == y.dtype
            assert x.tobytes() == y.tobytes()


def test_empty_scalar_strided_and_big_endian_arrays(make_pair):
    a, b = make_pair()
    odd = [
        np.empty((0, 3), np.uint64),
        np.array(7, np.int64),
        np.arange(20, dtype=np.uint32)[::3],
        np.arange(6, dtype=np.float64).reshape(2, 3).T,
        np.arange(4, dtype=">u8"),
    ]
    a.send("odd", *odd)
    for x, y in zip(odd, b.recv("odd", *[Spec(x.dtype.newbyteorder("="), x.shape) for x in odd]), strict=True):
        np.testing.assert_array_equal(x, y)
        assert y.dtype.isnative


def test_sent_arrays_may_change_at_once(make_pair):
    a, b = make_pair()
    for n in (4, 200_000):
        x = np.zeros(n, np.uint64)
        sender = threading.Thread(target=lambda x=x: (a.send("x", x), x.fill(9)))
        sender.start()
        (y,) = b.recv("x", Spec("uint64", n))
        sender.join()
        assert not y.any()


def test_frames_keep_their_order_and_sizes(make_pair, together):
    a, b = make_pair()
    sizes = [0, 1, 100, 5000, 4095, 70_000, 3, 16_384, 0]

    def send():
        for i, n in enumerate(sizes):
            a.send(f"step {i}", np.full(n, i, np.uint16))

    def recv():
        return [b.recv(f"step {i}", Spec("uint16", n))[0] for i, n in enumerate(sizes)]

    _, got = together(send, recv)
    for i, (n, x) in enumerate(zip(sizes, got, strict=True)):
        assert x.shape == (n,)
        assert (x == i).all()


def test_bytes(make_pair):
    a, b = make_pair()
    for data in (b"", b"key \x00\xff", bytes(100_000)):
        a.send_bytes("note", data)
        assert b.recv_bytes("note", 100_000) == data


def test_exchange_of_frames_larger_than_any_buffer(make_pair, together):
    a, b = make_pair()
    x = np.arange(8 << 20, dtype=np.uint64)  # 64 MB each way
    y = x[::-1].copy()
    (from_b,), (from_a,) = together(lambda: a.exchange("big", x), lambda: b.exchange("big", y))
    assert np.array_equal(from_b, y)
    assert np.array_equal(from_a, x)
    assert (a.meter.rounds, b.meter.rounds) == (1, 1)


def test_send_on_both_sides_then_receive_does_not_deadlock_either(make_pair, together):
    a, b = make_pair()
    x = np.arange(2 << 20, dtype=np.uint64)

    def party(channel):
        channel.send("x", x)
        return channel.recv("x", Spec.of(x))[0]

    for got in together(lambda: party(a), lambda: party(b)):
        assert np.array_equal(got, x)


# --- the meter ---
def test_cost_is_counted_to_the_byte(make_pair, together):
    a, b = make_pair()
    header = len(wire.encode_header(wire.Kind.ARRAYS, "open", [Spec.of(U64), Spec.of(U64)], 2 * U64.nbytes))
    together(lambda: a.exchange("open", U64, U64), lambda: b.exchange("open", U64, U64))
    size = header + 2 * U64.nbytes
    for end in (a, b):
        assert end.meter.snapshot() == MeterReading(rounds=1, sent=size, received=size, messages=1)
    assert header == 16 + 4 + 2 * (2 + 2 * 8)


def test_rounds_are_receives_after_sends(make_pair):
    a, b = make_pair()
    spec = Spec.of(U64)
    start = a.meter.snapshot()
    for _ in range(3):  # one way: nobody waited for an answer
        a.send("x", U64)
        b.recv("x", spec)
    assert (a.meter.rounds, b.meter.rounds) == (0, 0)
    b.send("y", U64)
    b.send("y", U64)
    a.recv("y", spec)
    a.recv("y", spec)
    assert (a.meter.rounds, b.meter.rounds) == (1, 0)
    a.send("x", U64)
    b.recv("x", spec)
    assert (a.meter.rounds, b.meter.rounds) == (1, 1)
    cost = a.meter.snapshot() - start
    assert cost.messages == 4
    assert cost + cost - cost == cost


def test_meter_shows_no_more_than_figures():
    meter = Meter()
    meter.on_send(3)
    meter.on_receive(4)
    assert repr(meter) == "<Meter rounds=1 sent=3 received=4>"


# --- what is refused ---
@pytest.mark.parametrize(
    ("specs", "field"),
    [
        ((Spec("uint64", (3, 2)),), "shape"),
        ((Spec("uint64", (6,)),), "shape"),
        ((Spec("int64", (2, 3)),), "dtype"),
        ((Spec("uint32", (2, 3)),), "dtype"),
        ((), "array count"),
        ((Spec("uint64", (2, 3)), Spec("uint64", (0,))), "array count"),
    ],
)
def test_another_array_than_expected_is_refused(make_pair, specs, field):
    a, b = make_pair()
    a.send("open", U64)
    with pytest.raises(FrameError) as e:
        b.recv("open", *specs)
    assert e.value.party == "bank-a"
    assert e.value.where is not None
    assert f"'{field}'" in e.value.where
    assert "open" in e.value.where
    with pytest.raises(FrameError):  # out of step: of no more use
        b.recv("open", *specs)


def test_another_tag_or_kind_is_refused(make_pair):
    a, b = make_pair()
    a.send("mul 3", U64)
    with pytest.raises(FrameError, match="'mul 3' came where 'mul 4' was expected"):
        b.recv("mul 4", Spec.of(U64))
    a, b = make_pair()
    a.send_bytes("x", b"123")
    with pytest.raises(FrameError, match="kind"):
        b.recv("x", Spec.of(U64))


def test_caps(make_pair):
    a, b = make_pair(max_frame_bytes=1000)
    with pytest.raises(FrameError, match="cap of 1000"):
        a.send("x", np.zeros(1001, np.uint8))
    with pytest.raises(FrameError, match="cap of 1000"):
        a.send_bytes("x", bytes(1001))
    a.send("x", np.zeros(1000, np.uint8))
    with pytest.raises(FrameError, match="at most 999"):
        b.recv_arrays("x", 999)
    a, b = make_pair()
    a.send_bytes("x", bytes(11))
    with pytest.raises(FrameError, match="at most 10"):
        b.recv_bytes("x", 10)


@pytest.mark.parametrize("tag", ["", "x" * 97, "é", "a\nb", "\x00"])
def test_tags_that_cannot_travel(make_pair, tag):
    a, _ = make_pair()
    with pytest.raises(FrameError, match="tag"):
        a.send(tag, U64)


def test_arrays_that_cannot_travel(make_pair):
    a, _ = make_pair()
    for bad in (np.array(["x"]), np.array([None]), np.array([1j]), np.zeros((1,) * 9), np.zeros(1, np.float16)):
        with pytest.raises(FrameError):
            a.send("x", bad)


# --- ends ---
def test_close_delivers_what_was_sent_and_says_goodbye(make_pair, together):
    a, b = make_pair()
    x = np.arange(300_000, dtype=np.uint64)

    def leave():
        a.send("last", x)
        a.close()

    def stay():
        time.sleep(0.2)
        return b.recv("last", Spec.of(x))[0]

    _, got = together(leave, stay)
    assert np.array_equal(got, x)
    assert not b.closed_by_peer
    with pytest.raises(PeerUnavailable, match="bank-a closed the channel") as e:
        b.recv("more", Spec.of(x))
    assert e.value.party == "bank-a"
    assert b.closed_by_peer
    a.close()
    with pytest.raises(NetError, match="closed"):
        a.send("x", U64)
    b.close()


def test_abort_is_raised_by_the_peer_without_paths_and_hints(make_pair):
    a, b = make_pair()
    reason = KeyColumnError(
        "3 duplicates in /home/alice/secret/customers.csv",
        where="file /home/alice/secret/customers.csv",
        hint="see ~/x",
    )
    a.abort(reason)
    with pytest.raises(RemoteFailure) as e:
        b.recv("x", Spec.of(U64))
    assert e.value.party == "bank-a"
    text = str(e.value) + str(e.value.hint)
    assert "3 duplicates in customers.csv" in text
    assert "PPC-E105" in text
    assert "alice" not in text
    assert "see ~/x" not in text
    with pytest.raises(RemoteFailure):
        b.send("x", U64)
    a.close()
    a.abort(reason)


def test_abort_keeps_the_name_of_who_failed_first(make_pair):
    a, b = make_pair()
    a.abort(RemoteFailure("helper stopped: out of triples", party="helper"))
    with pytest.raises(RemoteFailure, match="helper stopped: out of triples") as e:
        b.recv("x", Spec.of(U64))
    assert e.value.party == "helper"


def test_abort_is_not_echoed_to_who_failed(make_pair):
    a, b = make_pair()
    a.abort(RemoteFailure("bank-b stopped: x", party="bank-b"))
    with pytest.raises(PeerUnavailable, match="closed the channel"):
        b.recv("x", Spec.of(U64))


def test_abort_text_from_a_peer_is_safe_to_print(make_pair):
    a, b = make_pair()
    a.abort(KeyColumnError("bad \x1b[31m" + "x" * 5000))
    with pytest.raises(RemoteFailure) as e:
        b.recv("x", Spec.of(U64))
    assert "\x1b" not in e.value.what
    assert len(e.value.what) < 600


def test_a_sender_learns_why_its_peer_stopped(make_pair, together):
    a, b = make_pair()
    x = np.zeros(1 << 20, np.uint64)

    def fail():
        a.recv("x", Spec.of(x))
        a.abort(KeyColumnError("3 duplicates"))

    def go_on():
        for _ in range(40):
            b.send("x", x)

    _, error = together(fail, go_on)
    assert isinstance(error, RemoteFailure), error
    assert error.party == "bank-a"


def test_abort_in_the_middle_of_an_exchange_of_large_frames(make_pair, together):
    """A frame that is half out is finished first, so that the peer can read the reason."""
    a, b = make_pair()
    x = np.zeros(4 << 20, np.uint64)

    def fail():
        try:
            a.exchange("x", x)
        except FrameError as e:
            a.abort(e)
            raise

    def other():
        b.exchange("y", x)

    mine, theirs = together(fail, other)
    assert isinstance(mine, FrameError)
    assert isinstance(theirs, FrameError | RemoteFailure)


@pytest.mark.parametrize("blocked", ["recv", "recv_bytes", "exchange"])
def test_cancel_frees_a_blocked_call(make_pair, together, blocked):
    a, b = make_pair()
    calls = {
        "recv": lambda: a.recv("x", Spec.of(U64)),
        "recv_bytes": lambda: a.recv_bytes("x", 10),
        "exchange": lambda: a.exchange("x", np.zeros(4 << 20, np.uint64)),
    }
    took = []

    def cancel():
        time.sleep(0.1)
        took.append(time.monotonic())
        a.cancel()

    def wait():
        try:
            return calls[blocked]()
        finally:
            took.append(time.monotonic())

    result, _ = together(wait, cancel)
    assert isinstance(result, JobCancelled)
    assert took[1] - took[0] < 2
    with pytest.raises(JobCancelled):
        a.send("x", U64)
    if blocked != "exchange":
        a.abort(result)
        with pytest.raises(RemoteFailure, match="cancelled"):
            b.recv("x", Spec.of(U64))


def test_silence_gives_a_timeout(make_pair):
    a, b = make_pair(idle_timeout_s=0.5)
    if type(a).__name__ == "StreamChannel":
        b._heartbeat_s = 1e9  # a process that hangs as a whole sends no life signs either
    since = time.monotonic()
    with pytest.raises(PeerTimeout, match="bank-b") as e:
        a.recv("x", Spec.of(U64))
    assert e.value.party == "bank-b"
    assert 0.4 < time.monotonic() - since < 5


def test_context_manager_aborts_with_the_error(make_pair):
    a, b = make_pair()
    with pytest.raises(KeyColumnError), a:
        raise KeyColumnError("3 duplicates")
    with pytest.raises(RemoteFailure, match="3 duplicates"):
        b.recv("x", Spec.of(U64))


def test_spec():
    assert Spec("float64", 3) == Spec(np.float64, (3,))
    assert Spec("uint64", ()).nbytes == 8
    assert Spec.of(U64).nbytes == 48


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(st.tuples(st.sampled_from("abx"), st.sampled_from([0, 1, 7, 4000, 16_384, 40_000, 500_000])), max_size=40)
)
def test_any_program_that_both_follow_runs_to_its_end(make_pair, together, program):
    """Sends by a, by b, and exchanges, of any sizes, in any order: nothing is lost or waited for in vain."""
    a, b = make_pair()

    def party(channel, own):
        for step, (who, n) in enumerate(program):
            x = np.full(n, step % 251, np.uint8)
            if who == "x":
                (y,) = channel.exchange(f"{step}", x)
            elif who == own:
                channel.send(f"{step}", x)
                continue
            else:
                (y,) = channel.recv(f"{step}", Spec.of(x))
            assert y.shape == x.shape
            assert (y == x).all()
        channel.close()

    results = together(lambda: party(a, "a"), lambda: party(b, "b"))
    assert results == [None, None]
    assert a.meter.sent == b.meter.received
    assert b.meter.sent == a.meter.received

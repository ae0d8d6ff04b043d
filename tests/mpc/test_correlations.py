import json
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.core import bits
from ppc.errors import CorrelationError, FrameError, PeerUnavailable, ProtocolAbort
from ppc.mpc import ops, run
from ppc.mpc.correlations import dealer, request
from ppc.mpc.correlations.ahead import WINDOW_BYTES
from ppc.mpc.correlations.comparison import Comparison, merge_products, nibble_products
from ppc.mpc.correlations.kinds import BitTriple, DaBit, Injection, Product, Truncation
from ppc.mpc.correlations.sigmoid import FREQUENCIES, PERIOD_BITS, SINE_BITS, SigmoidSeries
from ppc.mpc.correlations.source import EVERYONE, MaskRef
from ppc.net import memory


def shares_of(correlation, parties=3, masks=()):
    """Every array of a correlation put together again, and the masks it is about."""

    def program(s):
        for _ in masks:
            s.next_id()
        mine = s.take(correlation)
        return mine, [s.correlations.mask(m) for m in masks]

    results = run(program, parties=parties)
    whole = []
    for i, field in enumerate((*correlation.uniform, *correlation.derived)):
        parts = [r[0][i] for r in results]
        assert all(p.shape == field.shape for p in parts)
        combined = parts[0].copy()
        for p in parts[1:]:
            combined = combined ^ p if field.xor else combined + p
        whole.append(combined)
    return whole, [sum((r[1][k] for r in results[1:]), results[0][1][k]) for k in range(len(masks))]


@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("drop", [1, 18, 61])
def test_truncation_pairs(parties, drop):
    (r, hi, top), _ = shares_of(Truncation(100, drop), parties)
    assert (hi == (r % 2**63) >> np.uint64(drop)).all()
    assert (top == r >> np.uint64(63)).all()


@pytest.mark.parametrize("parties", [2, 3])
def test_bits(parties):
    (a, b, c), _ = shares_of(BitTriple(50), parties)
    assert (c == a & b).all()
    (d, number), _ = shares_of(DaBit(100), parties)
    assert (number == bits.unpack(d, 100)).all()
    (d, a, number, product), _ = shares_of(Injection(100), parties)
    assert (number == bits.unpack(d, 100)).all()
    assert (product == number * a).all()


@pytest.mark.parametrize("parties", [2, 3])
def test_comparisons_and_sines(parties):
    (rows, mask2, mask3, r, nibbles, products2, products3, *waves), _ = shares_of(SigmoidSeries(130, 18), parties)
    np.testing.assert_array_equal(bits.unslice_bits(rows, 130), r)
    low = rows.copy()
    low[63] = 0
    np.testing.assert_array_equal(nibbles, nibble_products(low))
    for k in range(2):
        np.testing.assert_array_equal(products2[k], merge_products(mask2[k], 22))
        np.testing.assert_array_equal(products3[k], merge_products(mask3[k], 15))
    angle = 2 * np.pi * np.outer(FREQUENCIES, (r % np.uint64(2 ** (18 + PERIOD_BITS))) / 2.0 ** (18 + PERIOD_BITS))
    for words, exact in zip(waves, (np.cos(angle), np.sin(angle)), strict=True):
        assert np.abs(words.view(np.int64) / 2.0**SINE_BITS - exact).max() <= 2.0**-SINE_BITS
    assert Comparison(130, 2).derived == SigmoidSeries(130, 18).derived[:4]


@pytest.mark.parametrize("owners", [(EVERYONE, EVERYONE), (0, EVERYONE), (EVERYONE, 2), (1, 2), (1, 1)])
@pytest.mark.parametrize("op", [0, 1, 2])
def test_products_of_masks_leave_out_what_the_owner_does_itself(owners, op):
    shapes = {0: ((9, 4), (9, 4)), 1: ((9, 4), (4, 3)), 2: ((9, 4), (9, 3))}[op]
    x, y = (MaskRef(i + 1, o, s[1], 2, 2 + s[0]) for i, (o, s) in enumerate(zip(owners, shapes, strict=True)))

    def program(s):
        s.next_id(), s.next_id()
        return s.take(Product(op, x, y))[0], s.correlations.mask(x), s.correlations.mask(y)

    results = run(program, parties=3)
    z = sum((r[0] for r in results[1:]), results[0][0])
    left = [r[1] for i, r in enumerate(results) if i != y.owner or x.owner >= 0]
    right = [r[2] for i, r in enumerate(results) if i != x.owner]
    a, b = (np.sum(w, axis=0, dtype=np.uint64) for w in (left, right))
    np.testing.assert_array_equal(z, {0: lambda: a * b, 1: lambda: a @ b, 2: lambda: a.T @ b}[op]())


def test_rows_of_a_mask_are_rows_of_the_whole():
    expander = dealer.Expander(bytes(16), 0)
    whole = expander.mask(MaskRef(5, 0, 7, 0, 100))
    np.testing.assert_array_equal(expander.mask(MaskRef(5, 0, 7, 13, 40)), whole[13:40])
    assert not expander.mask(MaskRef(5, 1, 7, 0, 3)).any()
    assert "0" * 8 not in repr(expander)


def test_a_number_is_spent_once():
    def program(s):
        s.correlations.take(7, DaBit(3))
        for used in (7, 6):
            with pytest.raises(CorrelationError, match="spent"):
                s.correlations.take(used, DaBit(3))
        return True

    assert run(program) == [True, True]


def test_the_dealer_refuses_a_number_twice():
    lines = memory.network(["a", "b", "helper"])
    failure = serve_in_thread(lines["helper"])
    first, second = (dealer.DealerSource(lines[p]["helper"], r, 2) for r, p in enumerate("ab"))
    second.take(3, DaBit(3))
    second._last = 0  # a party that cheats
    with pytest.raises(Exception, match="twice"):
        second.take(3, Truncation(3, 1))
    first.close()
    assert isinstance(failure()[0], FrameError)


def serve_in_thread(channels):
    raised = []

    def target():
        try:
            dealer.serve(channels)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()

    def wait():
        thread.join(10)
        assert not thread.is_alive()
        return raised

    return wait


def test_the_dealer_ends_in_peace_when_the_parties_do():
    lines = memory.network(["a", "b", "helper"])
    wait = serve_in_thread(lines["helper"])
    for r, p in enumerate("ab"):
        dealer.DealerSource(lines[p]["helper"], r, 2).close()
    assert wait() == []


def test_a_dealer_that_is_gone_is_named():
    lines = memory.network(["a", "b", "helper"])
    for channel in lines["helper"].values():
        channel.close()
    with pytest.raises(PeerUnavailable) as e:
        dealer.DealerSource(lines["b"]["helper"], 1, 2).take(1, DaBit(3))
    assert e.value.party == "helper"


def test_parties_that_disagree_about_ranks_are_told():
    lines = memory.network(["a", "b", "helper"])
    wait = serve_in_thread(lines["helper"])
    for p in "ab":
        dealer.DealerSource(lines[p]["helper"], 0, 2)
    error = wait()[0]
    assert isinstance(error, ProtocolAbort)
    assert error.party in ("a", "b")


GOOD = [
    Truncation(3, 5), BitTriple(3), DaBit(4), Injection(5), Comparison(6, 2), SigmoidSeries(7, 18),
    Product(0, MaskRef(1, -1, 4, 0, 2), MaskRef(2, 0, 4, 1, 3)),
    Product(1, MaskRef(1, 1, 4, 0, 2), MaskRef(2, -1, 5, 0, 4)),
    Product(2, MaskRef(1, 1, 4, 0, 6), MaskRef(2, -1, 5, 3, 9)),
]  # fmt: skip


def test_requests_come_back_as_they_were():
    items = list(enumerate(GOOD, 1))
    assert request.decode(request.encode(items), peer="b", parties=2) == items


BAD = [
    b"", b"{", b"[]", b"{}", b"null", b"[1]", b"[[1]]", b'[[1,"dabit"]]', b'[[1,"nothing",3]]', b'[[0,"dabit",3]]',
    b'[[1,"dabit",0]]', b'[[1,"dabit",-1]]', b'[[1,"dabit",3.5]]', b'[[1,"dabit",true]]', b'[[1,"dabit",3,3]]',
    b'[[1,"dabit","3"]]', b'[[1,"dabit",99999999999]]', b'[[1,"truncation",3,62]]', b'[[1,"truncation",3,0]]',
    b'[[1,"comparison",99999999,60]]', b'[[1,"product",0]]', b'[[1,"product",3,1,-1,4,0,2,2,0,4,0,2]]',
    b'[[1,"product",0,1,-1,4,0,2,2,0,5,0,2]]', b'[[1,"product",1,1,-1,4,0,2,2,0,5,0,5]]',
    b'[[1,"product",0,1,2,4,0,2,2,0,4,0,2]]', b'[[1,"product",0,1,-1,4,2,2,2,0,4,2,2]]',
    b'[[1,"product",0,1,-1,4,3,2,2,0,4,3,2]]', b'[[1,"product",1,1,-1,1,0,99999999,2,0,99999999,0,1]]',
]  # fmt: skip


@pytest.mark.parametrize("data", BAD)
def test_the_dealer_checks_every_number(data):
    with pytest.raises(FrameError) as e:
        request.decode(data, peer="b", parties=2)
    assert e.value.party == "b"


def test_a_request_has_a_limited_number_of_items():
    with pytest.raises(FrameError):
        request.decode(
            json.dumps([[i, "dabit", 1] for i in range(1, request.MAX_ITEMS + 2)]).encode(), peer="b", parties=2
        )


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=12), st.lists, max_leaves=20))
def test_no_request_gets_past_as_anything_but_an_item_or_a_frame_error(value):
    try:
        items = request.decode(json.dumps(value).encode(), peer="b", parties=2)
    except FrameError:
        return
    assert all(isinstance(number, int) for number, _ in items)


# --- asking ahead ---
def training(s, sizes, stop=None):
    """Gradient steps on batches of a fixed matrix; returns the result and how many requests the dealer got."""
    n, d = sum(sizes), 3
    x = np.arange(n * d).reshape(n, d) / (n * d)
    f = ops.fixed_matrix(s, x if s.rank == 0 else None, 0, (n, d))
    constant = f.rows(slice(0, sizes[0]))  # the same rows in every pass, as in the first
    y = ops.share(s, np.ones(n) if s.rank == 1 else None, 1, n)
    w = ops.constant(s, np.zeros(d))
    starts = np.cumsum([0, *sizes])
    batches = [slice(int(a), int(b)) for a, b in pairwise(starts)] * 2
    before = s.offline
    for i, rows in enumerate(s.repeat(batches)):
        p = ops.sigmoid(s, ops.matmul_fixed(s, f.rows(rows), w))
        w = w - ops.matmul_fixed_t(s, f.rows(rows), p - y[rows])
        w = w - ops.mul_public(s, ops.matmul_fixed_t(s, constant, ops.matmul_fixed(s, constant, w)), 0.01)
        if i == stop:
            break
    after = ops.open(s, ops.mul(s, w, w))
    return after, (s.offline - before).messages, s.last_id


def clear(sizes, stop=None):
    n, d = sum(sizes), 3
    x = np.arange(n * d).reshape(n, d) / (n * d)
    w = np.zeros(d)
    starts = np.cumsum([0, *sizes])
    for i, (a, b) in enumerate(list(pairwise(starts)) * 2):
        w = w - x[a:b].T @ (1 / (1 + np.exp(-x[a:b] @ w)) - 1)
        w = w - 0.01 * x[: sizes[0]].T @ (x[: sizes[0]] @ w)
        if i == stop:
            break
    return w * w


@pytest.mark.parametrize(
    ("sizes", "stop", "most_requests"),
    [
        ([8] * 6, None, 40),
        ([8, 8, 8, 8, 5], None, 70),
        ([8] * 6, 7, 40),
        ([8] * 6, 1, 40),
        ([8, 5, 8, 5, 8], None, 300),
        ([8, 5, 8, 5, 8, 5], 9, 60),
    ],
)
def test_a_loop_is_asked_for_ahead_and_gives_the_same(sizes, stop, most_requests):
    first, last = run(lambda s: training(s, sizes, stop))
    assert np.abs(first[0] - clear(sizes, stop)).max() < 5e-3 * len(sizes)
    np.testing.assert_array_equal(first[0], last[0])
    assert first[1] == 0
    assert 0 < last[1] <= most_requests
    assert first[2] == last[2]  # the parties agree about the numbers that are spent


def test_what_is_asked_for_ahead_is_bounded():
    n = 4096

    def program(s):
        x = ops.constant(s, np.ones(n)) + 0
        for _ in s.repeat(range(60)):
            ops.less_than_zero(s, x)
        return s.offline.messages

    per_pass = 8 * sum(f.size for f in Comparison(n, 1).derived)
    assert WINDOW_BYTES // per_pass < 200
    first, last = run(program)
    assert (first, last < 60) == (1, True)


def test_a_loop_whose_body_changes_is_an_error_and_not_a_wrong_result():
    def program(s):
        for i in s.repeat(range(10)):
            ops.truncate(s, ops.constant(s, np.ones(4 if i < 5 else 6)), 3)

    with pytest.raises(CorrelationError, match="another one"):
        run(program)

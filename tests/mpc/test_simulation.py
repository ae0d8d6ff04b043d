"""What a party sees of an operation can be made up from what the operation is stated to leak: the shapes.

The view of a party is everything that reaches it, from the other parties and from the dealer, and what it sends itself.
A simulator that knows shapes alone writes the same sequence of names, types and shapes, and fills it with random bytes.
Against it are held

* the sequence, which must be the same for every input;
* the bytes of each message, of its sum and its XOR with what the party itself sent under the same name, and of the
  difference of any two messages of one size: two-sample chi-square over 256 bins, real against simulated.

A good protocol is rejected with odds of 1e-10 a test, in about 1e4 tests: 1e-6 a run. Sorting leaks the outcomes of
comparisons too; its simulator plays them on a random permutation.
"""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from ppc.mpc import ops, run
from ppc.mpc.session import Session
from ppc.net.base import FrameChannel

FALSE_ALARM = 1e-10
N = 2048
ENGINES = {"additive": 2, "replicated": 3}


class View:
    """What every party received and sent, by its name: (peer, tag, dtype, shape) and the arrays."""

    def __init__(self, monkeypatch):
        self.received, self.sent = {}, {}
        payload, frame = FrameChannel._payload, FrameChannel._frame

        def on_payload(channel, header):
            arrays = payload(channel, header)
            self.received.setdefault(channel.me, []).append((channel.peer, header.tag, [np.array(a) for a in arrays]))
            return arrays

        def on_frame(channel, tag, arrays):
            self.sent.setdefault(channel.me, []).append((channel.peer, tag, [np.array(a) for a in arrays]))
            return frame(channel, tag, arrays)

        monkeypatch.setattr(FrameChannel, "_payload", on_payload)
        monkeypatch.setattr(FrameChannel, "_frame", on_frame)

    def sequence(self, me):
        """What the simulator has to know: names, types and shapes, in order, for each peer."""
        peers = sorted({peer for peer, _, _ in self.received[me]})
        return [
            [(tag, [(a.dtype.str, a.shape) for a in arrays]) for p, tag, arrays in self.received[me] if p == peer]
            for peer in peers
        ]


def simulate(view, me, seed):
    """The received part of a view, from its shapes alone."""
    r = np.random.default_rng(seed)
    return [
        (peer, tag, [np.frombuffer(r.bytes(a.nbytes), a.dtype).reshape(a.shape) for a in arrays])
        for peer, tag, arrays in view.received[me]
    ]


def derived(received, sent):
    """Every array whose distribution is compared, by name."""
    own = {(peer, tag): arrays for peer, tag, arrays in sent}
    whole = []
    for peer, tag, arrays in received:
        if tag in ("session", "dealer/hello"):
            continue
        for i, array in enumerate(arrays):
            whole.append((f"{tag}.{i} of {peer}", array))
            mine = own.get((peer, tag), [])
            if i < len(mine) and mine[i].shape == array.shape and mine[i].dtype == array.dtype:
                yield f"{tag}.{i} of {peer} added", mine[i] + array
                yield f"{tag}.{i} of {peer} xored", mine[i] ^ array
    yield from whole
    large = [(name, a) for name, a in whole if a.nbytes >= 4096]
    for (a, x), (b, y) in combinations(large[-24:], 2):
        if x.size == y.size and x.dtype == y.dtype:
            yield f"{a} - {b}", x.reshape(-1) - y.reshape(-1)


def same_bytes(a, b):
    """The p-value of two arrays' bytes coming from one distribution."""
    counts = [np.bincount(np.ascontiguousarray(x).reshape(-1).view(np.uint8), minlength=256) for x in (a, b)]
    total = counts[0] + counts[1]
    if total.sum() < 4096:
        return 1.0
    used = total > 0
    statistic = ((counts[0] - counts[1])[used] ** 2 / total[used]).sum()
    return float(stats.chi2.sf(statistic, used.sum() - 1))


def suspicious(view, me, seed=1):
    """The names of what differs from the simulation."""
    real = derived(view.received[me], view.sent[me])
    made_up = derived(simulate(view, me, seed), view.sent[me])
    return [name for (name, a), (_, b) in zip(real, made_up, strict=True) if same_bytes(a, b) < FALSE_ALARM]


def share(s, value, owner=0, n=N):
    return ops.share(s, np.full(n, value) if s.rank == owner else None, owner, n) + 0


def bit(s, value, n=64 * N):
    return ops.share_bits(s, np.full(n, value > 0) if s.rank == 0 else None, 0, n)


def fixed(s, v):
    f = ops.fixed_matrix(s, np.full((N, 4), v) if s.rank == 0 else None, 0, (N, 4))
    return ops.matmul_fixed(s, f, ops.matmul_fixed_t(s, f, share(s, v)))


OPERATIONS = {
    "share": lambda s, v: ops.share(s, np.full(N, v) if s.rank == 1 else None, 1, N),
    "mul": lambda s, v: ops.mul(s, share(s, v), share(s, v, 1)),
    "mul untruncated": lambda s, v: ops.mul(s, share(s, v), share(s, v, 1), truncated=False),
    "square twice": lambda s, v: [ops.square(s, x) for x in [share(s, v)] * 2],
    "matmul": lambda s, v: ops.matmul(s, share(s, v).reshape(64, 32), share(s, v).reshape(32, 64)),
    "fixed matrix": fixed,
    "truncate": lambda s, v: ops.truncate(s, share(s, v), 18),
    "mul public": lambda s, v: ops.mul_public(s, share(s, v), 0.3),
    "less than": lambda s, v: ops.less_than(s, share(s, v), share(s, 1.0)),
    "less than each": lambda s, v: ops.less_than_each(s, share(s, v), [v, 0.0, 100.0]),
    "equal": lambda s, v: ops.equal(s, share(s, v), 0.0),
    "and": lambda s, v: ops.and_(s, bit(s, v), bit(s, v)),
    "b2a": lambda s, v: ops.b2a(s, bit(s, v)[:N]),
    "select": lambda s, v: ops.select(s, bit(s, v)[:N], share(s, v), 1.0),
    "clip": lambda s, v: ops.clip(s, share(s, v), -1.0, 1.0),
    "sigmoid": lambda s, v: ops.sigmoid(s, share(s, v)),
    "shuffle": lambda s, v: ops.shuffle(s, share(s, v)),
    "argmax": lambda s, v: ops.argmax(s, share(s, v).reshape(4, -1)),
    "divide": lambda s, v: ops.divide(s, share(s, v), share(s, abs(v) + 1.0), low=0.5, high=100.0),
    "exp": lambda s, v: ops.exp(s, share(s, v), low=-8.0, high=8.0),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_view_is_simulated_from_the_shapes_alone(engine, name):
    views = []
    for value in (0.0, -5.5):
        with pytest.MonkeyPatch.context() as patch:
            view = View(patch)
            run(lambda s, v=value: [OPERATIONS[name](s, v)], engine=engine, parties=ENGINES[engine])
        views.append(view)
    for rank in range(ENGINES[engine]):
        me = f"party-{rank}"
        assert views[0].sequence(me) == views[1].sequence(me)
        for view in views:
            assert suspicious(view, me) == []


def leaks_in_the_clear(s, v):
    x = share(s, v)
    s.open_sum("mul/mask", x.parts[0])


def masks_twice(s, v):
    x, y = share(s, v), share(s, v)
    mask = s.shared_stream(1 - s.rank, 10**6).uint64(N)
    for operand in (x, y):
        s.exchange("masked", operand.parts[0] * np.uint64(0) + np.uint64(int(4 * v + 100)) + mask)


def tells_by_length(s, v):
    s.exchange("told", np.ones(8 if v else 9, np.uint64))


@pytest.mark.parametrize("leak", [leaks_in_the_clear, masks_twice])
def test_a_planted_leak_is_seen(monkeypatch, leak):
    view = View(monkeypatch)
    run(lambda s: leak(s, -5.5))
    assert suspicious(view, "party-0")


def test_a_leak_by_length_is_seen():
    sequences = []
    for value in (0.0, -5.5):
        with pytest.MonkeyPatch.context() as patch:
            view = View(patch)
            run(lambda s, v=value: tells_by_length(s, v))
        sequences.append(view.sequence("party-0"))
    assert sequences[0] != sequences[1]


# --- sorting: the stated leakage is how a random permutation is sorted ---
SORTED = 4
RUNS = 240


def outcomes(order):
    """All comparisons of a small group, as `_rank` opens them, for keys in this order."""
    return tuple(order[i] < order[j] for i in range(SORTED) for j in range(i + 1, SORTED))


def opened_by_sorting(keys, shuffled=True):
    """The bits that were opened in each of many sorts of the same keys."""
    seen = []
    open_bits = Session.open_xor

    def on_open(s, operation, *arrays):
        words = open_bits(s, operation, *arrays)
        if operation == "open_bits" and s.rank == 0:
            seen.append(tuple(bool(int(words[0][0]) >> i & 1) for i in range(SORTED * (SORTED - 1) // 2)))
        return words

    def program(s):
        for _ in range(RUNS):
            ops.sort(s, ops.share(s, np.array(keys) if s.rank == 0 else None, 0, SORTED))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "open_xor", on_open)
        if not shuffled:
            from ppc.mpc.additive import AdditiveEngine

            patch.setattr(AdditiveEngine, "shuffle", staticmethod(lambda s, x: x))
        run(program)
    return seen


def p_of_uniform_orders(seen):
    possible = [outcomes(p) for p in permutations(range(SORTED))]
    counts = [seen.count(o) for o in possible]
    if sum(counts) != len(seen):
        return 0.0
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize("keys", [[1.0, 2.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0]])
def test_what_sorting_opens_is_that_of_a_random_permutation(keys):
    seen = opened_by_sorting(keys)
    assert len(seen) == RUNS
    assert p_of_uniform_orders(seen) > FALSE_ALARM


def test_sorting_without_a_shuffle_would_be_seen():
    assert p_of_uniform_orders(opened_by_sorting([3.0, 1.0, 2.0, 4.0], shuffled=False)) < FALSE_ALARM

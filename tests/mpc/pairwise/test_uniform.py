"""What a party receives is uniform, whatever the secrets are: chi-square over each byte position of each message.

A good protocol is rejected with odds of 1e-10 a test and about 300 tests: 3e-8 a run. One that forgets to mask is
caught, see the last test.
"""

import numpy as np
import pytest
from scipy import stats

from ppc.mpc import ops, run
from ppc.mpc.pairwise import _kernels
from ppc.mpc.session import Session

FALSE_ALARM = 1e-10
N = 2048


class Recorder:
    """Every array that a party received within the protocols, with the name of its message."""

    def __init__(self, monkeypatch):
        self.received = {}
        exchange = Session.exchange

        def recording(s, operation, *arrays):
            came = exchange(s, operation, *arrays)
            for i, array in enumerate(came[0]):
                self.received[f"{operation}#{s._step}.{i} to {s.rank}"] = np.array(array)
            return came

        monkeypatch.setattr(Session, "exchange", recording)

    def bad(self):
        return [name for name, array in self.received.items() if p_value(name, array) < FALSE_ALARM]


def p_value(name, array):
    octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)
    if len(octets) < 1024 or name.startswith("lattice"):
        return 1.0
    if any(part in name for part in ("/encrypted", "/answers", "/results")):
        octets = octets[:, :7]  # residues below 2**61
    counts = np.stack([np.bincount(column, minlength=256) for column in octets.T])
    return float(stats.chisquare(counts, axis=1).pvalue.min())


def number(s, value, owner=0, shape=N):
    return ops.share(s, np.full(shape, value) if s.rank == owner else None, owner, shape)


def flags(s, value):
    return ops.share_bits(s, np.full(64 * N, value > 0) if s.rank == 1 else None, 1, 64 * N)


OPERATIONS = {
    "mul": lambda s, v: ops.mul(s, number(s, v), number(s, v, 1)),
    "mul computed": lambda s, v: ops.mul(s, number(s, v) + 0, number(s, v, 1) + 0),
    "matmul by transfers": lambda s, v: ops.matmul(s, number(s, v, 0, (20, 20)) + 0, number(s, v, 1, (20, 5)) + 0),
    "matmul by ciphertexts": lambda s, v: ops.matmul(s, number(s, v, 0, (90, 90)), number(s, v, 1, (90, 3))),
    "truncate": lambda s, v: ops.truncate(s, number(s, v), 18),
    "less than each": lambda s, v: ops.less_than_each(s, number(s, v), [v, 100.0]),
    "and": lambda s, v: ops.and_(s, flags(s, v), flags(s, v)),
    "b2a": lambda s, v: ops.b2a(s, flags(s, v)),
    "bit times number": lambda s, v: ops.bit_mul(s, flags(s, v)[:N], number(s, v)),
    "sigmoid": lambda s, v: ops.sigmoid(s, number(s, v)),
}


@pytest.mark.parametrize("value", [0.0, -12.5])
@pytest.mark.parametrize("name", OPERATIONS)
def test_messages_are_uniform(monkeypatch, name, value):
    recorder = Recorder(monkeypatch)
    run(lambda s: OPERATIONS[name](s, value), helper=False)
    assert recorder.received
    assert recorder.bad() == []


def test_a_forgotten_pad_is_noticed(monkeypatch):
    recorder = Recorder(monkeypatch)
    send = _kernels.product_send

    def careless(x, h0, h1, signed, octets, acc):
        send(x, h0, h0, signed, octets, acc)

    monkeypatch.setattr(_kernels, "product_send", careless)
    run(lambda s: ops.mul(s, number(s, 1.5), number(s, 1.5, 1)), helper=False)
    assert recorder.bad()

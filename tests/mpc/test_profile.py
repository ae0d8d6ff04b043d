import numpy as np

from ppc.mpc import ops, run


def test_every_line_of_the_caller_is_charged_with_its_messages():
    def program(s):
        x = ops.share(s, np.ones(1000) if s.rank == 0 else None, 0, 1000) + 0
        with s.profile() as p:
            y = ops.mul(s, x, x + 1)  # the dear one
            for _ in range(3):
                ops.open(s, y[:10])  # the frequent one
        ops.open(s, y)  # outside of the block
        return p

    for p in run(program):
        assert len(p.lines) == 2
        costs = sorted(p.lines.values(), key=lambda c: c.sent)
        assert [(c.messages, c.rounds) for c in costs] == [(3, 3), (2, 2)]
        assert costs[1].sent > 24_000
        assert 0 < sum(c.seconds for c in costs) < 60
        assert any("ops.mul(s, x, x + 1)" in line for line in str(p).splitlines())
        assert str(p).splitlines()[-1].split()[:2] == ["5", f"{costs[0].sent + costs[1].sent:,}"]

"""A bank and a shop count and sum by a secret key, look up a secret table, and release counts with noise nobody knows.

The bank knows each customer's segment, the shop what they spent, row by row for the same customers. They learn the
segments' totals, and nothing of a customer; a report to others gets noise that neither of them could take away.

Both parties run in this process, as threads. Run it: python examples/24_secure_groupby.py
"""

import numpy as np

from ppc.mpc import array, run
from ppc.mpc import secure_functions as f
from ppc.mpc import secure_tables as t

N = 500
r = np.random.default_rng(5)
segment = r.integers(0, 40, N)  # the bank's, among segments that it does not publish
risk_of_segment = np.round(r.uniform(0, 1, 40), 3)  # the bank's table
spent = np.round(r.gamma(2.0, 60.0, N), 2)  # the shop's
loyal = np.sort(r.choice(N, 120, replace=False))  # customer numbers that the shop knows
defaulted = np.sort(r.choice(N, 60, replace=False))  # and that the bank knows


def program(s):
    bank, shop = s.rank == 0, s.rank == 1
    key = f.integers(s, segment if bank else None, owner=0, shape=N, name="segment")
    x = array(s, spent if shop else None, owner=1, shape=N, name="spent")

    groups = t.group_by(key, x)  # as many rows as customers, the segments first: how many there are stays secret
    largest, rows = f.top_k(groups.sums[0], 3, groups.counts)

    risk = t.lookup(array(s, risk_of_segment if bank else None, owner=0, shape=40), key)
    exposure = (risk * x).sum()

    both = t.inner_join_count(
        f.integers(s, defaulted if bank else None, owner=0, shape=len(defaulted)),
        f.integers(s, loyal if shop else None, owner=1, shape=len(loyal)),
    )
    noisy = both + t.discrete_gaussian(s, sigma=2.0, shape=())

    return {
        "segments": groups.present.sum().reveal(),
        "largest totals": largest.reveal(),
        "their customers": rows.reveal(),
        "spending weighted by risk": exposure.reveal(),
        "histogram of spending": t.histogram(x, [0, 50, 100, 200, 1000]).reveal(),
        "loyal and defaulted, with noise": noisy.reveal(),
    }, s.meter


if __name__ == "__main__":
    (answers, cost), _ = run(program)
    for name, value in answers.items():
        print(f"{name:34} {np.asarray(value).tolist()}")
    print(f"\n{cost.rounds} rounds, {cost.sent / 1e6:.2f} MB sent by each party")
    totals = np.bincount(segment, weights=spent)
    print(f"in the clear the largest totals    {np.sort(totals)[::-1][:3].round(2).tolist()}")
    print(f"and the weighted spending          {(risk_of_segment[segment] * spent).sum():.2f}")

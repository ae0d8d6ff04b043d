"""Two shops find out how much their common customers spend together, and what predicts it, without showing a number.

Both parties run in this process, as threads; between institutions the same program runs with `Session.additive` over
mutual TLS. Run it: python examples/20_secure_computation.py
"""

import numpy as np

from ppc.mpc import array, ops, run, where

N = 2000
r = np.random.default_rng(7)
books = r.gamma(2.0, 40.0, N)  # what each customer spends at the first shop
films = 0.4 * books + r.gamma(2.0, 15.0, N)  # and at the second


def program(s):
    x = array(s, books if s.rank == 0 else None, owner=0, shape=N, name="books")
    y = array(s, films if s.rank == 1 else None, owner=1, shape=N, name="films")

    total = x + y
    dear = total > 250
    slope = ((x - x.mean()) * (y - y.mean())).mean() / x.var()
    shown = {
        "mean total": total.mean(),
        "customers above 250": dear.sum(),
        "spent by them": where(dear, total, 0.0).sum(),
        "median total": np.median(total),
        "slope of films on books": slope,
    }
    with s.profile() as profile:
        ops.sigmoid(s, (total / 100).share)
    return {name: float(value.reveal()) for name, value in shown.items()}, s.meter, str(profile)


if __name__ == "__main__":
    (answers, cost, profile), _ = run(program)
    for name, value in answers.items():
        print(f"{name:26} {value:12.3f}")
    print(
        f"\n{cost.rounds} rounds, {cost.sent / 1e6:.2f} MB sent by each party. One sigmoid of all customers:\n{profile}"
    )
    in_clear = np.cov(books, films, ddof=0)[0, 1] / books.var()
    print(f"\nin the clear the slope is  {in_clear:12.3f}")

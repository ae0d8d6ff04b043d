"""An insurer and a telecom model claims together: the telecom has driving hours, the insurer age and claims.

    python examples/25_models_on_shares.py

Synthetic customers, since no such table is public. Both parties are threads here; between institutions the same
program runs over sessions of their own (docs/mpc.md).
"""

import numpy as np

from ppc.mpc import array, learn, run

rng = np.random.default_rng(1)
n = 2000
age, car = rng.normal(size=n), rng.normal(size=n)  # the insurer's, standardised
hours, nights = rng.normal(size=n), rng.normal(size=n)  # the telecom's
exposure = rng.uniform(0.2, 1.0, n)  # years insured
claims = rng.poisson(exposure * np.exp(-0.5 - 0.2 * age + 0.1 * car + 0.4 * hours + 0.2 * nights))

own = [np.column_stack([age, car]), np.column_stack([hours, nights])]


def program(s):
    x = learn.vertical(s, own[s.rank], widths=(2, 2), rows=n)
    y = array(s, claims.astype(float) if s.rank == 0 else None, owner=0, shape=n)
    log_exposure = array(s, np.log(exposure) if s.rank == 0 else None, owner=0, shape=n)

    counts = learn.PoissonRegressor(errors=True).fit(x, y, offset=log_exposure)
    any_claim = learn.BoostedTreesClassifier(trees=3, depth=2, bins=8).fit(x, y > 0.5)
    s_cost = s.meter
    return (
        counts.coef_.reveal(),
        counts.coef_errors_.reveal(),
        any_claim.predict_proba(x)[:5].reveal(to=0),  # to the insurer alone
        s_cost,
    )


insurer, telecom = run(program, parties=["insurer", "telecom"])
for name, truth, weight, error in zip(
    ["age", "car", "hours", "nights"], [-0.2, 0.1, 0.4, 0.2], *insurer[:2], strict=True
):
    print(f"{name:8} {weight:+.3f} ± {1.96 * error:.3f}   (drawn with {truth:+.1f})")
    assert abs(weight - truth) < 4 * error
print("probability of a claim of the first customers, at the insurer:", insurer[2].round(3))
assert telecom[2] is None
print(f"{insurer[3].rounds} rounds, {insurer[3].sent / 1e6:.1f} MB sent by each")

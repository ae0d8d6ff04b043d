"""Score customers with a model that nobody shows, on rows that nobody shows.

A shop has customers; a bank has a credit model. The shop sends encrypted rows, the bank scores them without reading
them, and the shop alone reads the scores. Both sides run in this process; what travels between them are three `bytes`.

python examples/04_private_scoring.py
"""

import time

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ppc.he.scoring import Client, Model, Server

FEATURES = ["age", "income", "balance", "orders", "returns"]


def main() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack(
        [
            rng.integers(18, 80, 1000),
            rng.lognormal(10, 0.5, 1000),
            rng.normal(0, 5000, 1000),
            rng.poisson(12, 1000),
            rng.poisson(2, 1000),
        ]
    ).astype(float)
    default = (rng.random(1000) < 1 / (1 + np.exp(2 + rows[:, 2] / 4000 - rows[:, 4] / 2))).astype(int)

    # The bank: a model from scikit-learn, and the ranges of the features that it is good for.
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, default)
    server = Server(Model.from_sklearn(fitted, features=FEATURES, ranges=rows))

    # The shop: a key made for the model's card, which names the features and their ranges but no weight.
    client = Client(server.card)
    public = client.public_bytes()
    server.accept(public)

    mine = rows[:500].copy()
    mine[7, 1] = 1e9  # an income that the model has never seen
    since = time.perf_counter()
    request = client.encrypt(mine)
    answer = server.score(request)
    scores = client.read(answer)
    seconds = time.perf_counter() - since

    clear = fitted.predict_proba(mine)[:, 1]
    wrong = np.nanmax(np.abs(scores.values - clear))
    print(f"public key  {len(public) / 1e6:5.1f} MB, sent once")
    print(f"request     {len(request) / 1e6:5.1f} MB for {len(mine)} rows")
    print(f"answer      {len(answer) / 1e6:5.1f} MB")
    print(f"scored in {seconds:.2f} s; largest difference from the model in the clear: {wrong:.1e}")
    print(f"out of range: row {np.flatnonzero(scores.out_of_range)}")
    assert wrong < 1e-4
    assert scores.out_of_range.sum() == 1


if __name__ == "__main__":
    main()

"""How many customers three houses share, what a campaign's viewers spent, and a watch list that many may ask.

All parties run in this process, as threads; between institutions the same calls take channels of `ppc.net.tls`.
Run it: python examples/26_other_matches.py
"""

import threading

import numpy as np
import pyarrow as pa

from ppc.joint.totals import PaillierAdder, PaillierSealer
from ppc.mpc.psi import cardinality, multiparty, unbalanced
from ppc.net import memory


def customers(start, stop):
    return {"id": pa.array([f"C{i:06d}" for i in range(start, stop)])}


def together(*calls):
    """Run every party's call at once; what each returns."""
    results = [None] * len(calls)

    def run(i):
        results[i] = calls[i]()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(calls))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


# Three houses: which customers do all of us have?
sets = {"bank": (0, 600), "telecom": (200, 900), "shop": (400, 1300)}
lines = memory.network(list(sets))
rows = together(*(lambda p=p: multiparty.intersect(lines[p], customers(*sets[p])) for p in sets))
print("customers of all three:", [len(r) for r in rows])
assert [len(r) for r in rows] == [200, 200, 200]

# An advertiser and a shop: what did those spend who saw the campaign? Amounts in cents.
spent = np.arange(600, dtype=np.int64)[:, None] * 100
shop, advertiser = memory.pair("shop", "advertiser")
at_shop, at_advertiser = together(
    lambda: cardinality.own_total(shop, customers(0, 600), spent, PaillierSealer()),
    lambda: cardinality.peer_total(advertiser, customers(500, 700), PaillierAdder(), columns=1, min_rows=50),
)
print("at the shop:", at_shop, "— at the advertiser:", at_advertiser)
assert at_shop.sums == (int(spent[500:].sum()),)
assert at_advertiser.sums is None

# A watch list, prepared once: a bank asks for a few customers and gets the reason of those that are on it.
cache = unbalanced.build(customers(0, 1000), labels=pa.array([f"case {i}" for i in range(1000)]))
server, client = memory.pair("bureau", "bank")
_, (match, _) = together(
    lambda: unbalanced.serve(server, cache, max_peer_rows=100),
    lambda: unbalanced.ask(client, customers(995, 1005)),
)
print("on the list:", dict(zip(match.rows.tolist(), match.labels.to_pylist(), strict=True)))
assert len(match.rows) == 5

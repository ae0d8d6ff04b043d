"""Two banks find their common customers without showing the others, by a protocol that suits their size.

Both parties run in this process, as threads; between institutions the same call takes a channel of `ppc.net.tls`.
Run it: python examples/21_match_customers.py
"""

import threading

import pyarrow as pa

from ppc.mpc.psi import protocols
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.net import memory

N = 20_000
customers = {
    "bank-a": pa.array([f"C{i:08d}" for i in range(N)]),
    "bank-b": pa.array([f" c{i:08d} " for i in range(N // 2, N + N // 2)][::-1]),  # written another way
}
rows = {}


def match(channel):
    keys = prepare({"id": customers[channel.me]}, normalise=Normalise(case=True, spaces="trim"))
    rows[channel.me] = protocols.intersect(channel, keys)  # rr22 from 4096 keys on, Diffie-Hellman below


if __name__ == "__main__":
    channels = memory.pair("bank-a", "bank-b")
    threads = [threading.Thread(target=match, args=(c,)) for c in channels]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f"{len(rows['bank-a'])} customers in common")
    for i in range(3):
        pair = [customers[party][int(rows[party][i])].as_py() for party in customers]
        print(f"row {rows['bank-a'][i]} here is row {rows['bank-b'][i]} there: {pair}")
    sent = sum(c.meter.sent for c in channels)
    print(f"{sent / N:.0f} bytes a customer travelled in {channels[0].meter.rounds} rounds")

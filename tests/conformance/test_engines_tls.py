"""Every operation on every engine and ring over real sockets: one session of mutual TLS on loopback for each.

The cases and their tolerances are those of `test_engines.py`; what differs between the channels is framing, buffering
and who waits for whom.
"""

import threading

import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.mpc import Session
from ppc.mpc.correlations import dealer
from ppc.net import identity, tls
from tests.conformance.test_engines import CASES, check, compute, draw

PARTIES = {"additive": ["a", "b"], "replicated": ["a", "b", "c"], "pairwise": ["a", "b"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("identities")
    identity.create_ca(path)
    for name in ("a", "b", "c", "helper"):
        identity.issue(path, name, ["127.0.0.1"])
    return path


def run_over_tls(folder, engine, fx, program):
    """What each party's program returned."""
    names = PARTIES[engine]
    helped = engine == "additive"
    everyone = [*names, "helper"] if helped else names
    me = {n: identity.load(folder, n) for n in everyone}
    listeners = {n: tls.Listener(me[n]) for n in everyone}
    results, failures = {}, []

    def channel_to(name, peer):
        return tls.connect(me[name], peer, *listeners[peer].address, "s", 20)

    def compute_as(rank):
        name = names[rank]
        try:
            to_dealer = channel_to(name, "helper") if helped else None
            channels = {p: channel_to(name, p) for p in names[:rank]}
            channels |= {p: listeners[name].accept("s", p, 20) for p in names[rank + 1 :]}
            if helped:
                session = Session.additive(name, names, channels, to_dealer, fx)
            elif engine == "pairwise":
                session = Session.two_party(name, names, channels, fx)
            else:
                session = Session.replicated(name, names, channels, fx)
            with session as s:
                results[rank] = program(s)
        except BaseException as error:
            failures.append(error)
            for listener in listeners.values():
                listener.close()

    def deal():
        dealer.serve({n: listeners["helper"].accept("s", n, 20) for n in names})

    threads = [threading.Thread(target=compute_as, args=(r,)) for r in range(len(names))]
    if helped:
        threads.append(threading.Thread(target=deal))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for listener in listeners.values():
        listener.close()
    if failures:
        raise failures[0]
    return [results[r] for r in range(len(names))]


@pytest.mark.parametrize(
    ("engine", "ring_bits"),
    [("additive", 64), ("additive", 128), ("replicated", 64), ("replicated", 128), ("pairwise", 64)],
)
def test_every_operation_over_mutual_tls(folder, engine, ring_bits):
    inputs = {name: draw(case, 7, 3, 11) for name, case in CASES.items()}

    def program(s):
        return {name: compute(s, CASES[name], arrays) for name, arrays in inputs.items()}

    everyone = run_over_tls(folder, engine, FixedPoint(18, ring_bits), program)
    for name, arrays in inputs.items():
        check([results[name] for results in everyone], CASES[name], arrays)

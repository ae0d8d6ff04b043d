import contextlib
import threading
import time

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.errors import (
    ConfigError,
    CorrelationError,
    JobCancelled,
    PeerUnavailable,
    PpcError,
    ProtocolAbort,
    RemoteFailure,
    SecretMisuse,
)
from ppc.mpc import Session, ops, run
from ppc.mpc.correlations import dealer
from ppc.net import identity, memory, tls


def gather(programs, *, fx=(None, None), order=(("a", "b"), ("a", "b")), serve=True):
    """Run different programs at two parties; returns what each raised or returned, within 10 s."""
    lines = memory.network(["a", "b", "helper"])
    out = {}

    def party(rank, name):
        try:
            peers = {k: v for k, v in lines[name].items() if k != "helper"}
            with Session.additive(name, order[rank], peers, lines[name]["helper"], fx[rank]) as s:
                out[name] = programs[rank](s)
        except Exception as error:
            out[name] = error
            for channel in lines[name].values():
                channel.close()

    def deal():
        try:
            dealer.serve(lines["helper"])
        except Exception as error:
            out["helper"] = error

    threads = [threading.Thread(target=party, args=(i, n), daemon=True) for i, n in enumerate("ab")]
    if serve:
        threads.append(threading.Thread(target=deal, daemon=True))
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
        assert not t.is_alive(), "a party hangs"
    return out


def number(s, shape=4):
    return ops.constant(s, np.ones(shape)) + 0


def test_another_operation_is_told_at_both_by_name():
    out = gather([lambda s: ops.less_than_zero(s, number(s)), lambda s: ops.truncate(s, number(s), 3)])
    assert isinstance(out["a"], ProtocolAbort)
    assert isinstance(out["b"], ProtocolAbort)
    assert "'compare'" in str(out["a"])
    assert "truncate" in str(out["a"])
    assert "'truncate'" in str(out["b"])
    assert out["a"].party == "b"
    assert out["b"].party == "a"


def test_a_skipped_round_is_told():
    def skips(s):
        ops.open(s, number(s))
        return ops.open(s, number(s))

    out = gather([skips, lambda s: ops.open(s, ops.mul_public(s, number(s), 0.5))])
    assert all(isinstance(e, ProtocolAbort | RemoteFailure) for e in out.values())
    assert "open" in str(out["a"])

    out = gather([lambda s: ops.open(s, number(s)) is not None, skips])
    assert isinstance(out["b"], PeerUnavailable)
    assert out["b"].party == "a"


def test_other_shapes_are_told_at_both():
    out = gather([lambda s: ops.truncate(s, number(s, 4), 3), lambda s: ops.truncate(s, number(s, 5), 3)])
    for error in (out["a"], out["b"]):
        assert isinstance(error, ProtocolAbort)
        assert "truncate" in error.where
        assert "shape" in str(error)


@pytest.mark.parametrize(
    "settings",
    [
        {"fx": (FixedPoint(18), FixedPoint(16))},
        {"order": (("a", "b"), ("b", "a"))},
        {"order": (("a", "b"), ("a", "b", "c"))},
    ],
)
def test_another_session_is_told_before_anything_is_sent(settings):
    out = gather([lambda s: 1, lambda s: 1], **settings)
    errors = [out["a"], out["b"]]
    assert all(isinstance(e, PpcError) for e in errors)
    assert any(isinstance(e, ProtocolAbort | ConfigError) for e in errors)


def test_a_dealer_that_dies_is_named_and_the_other_party_ends_as_well():
    lines = memory.network(["a", "b", "helper"])
    out = {}

    def party(rank, name):
        peers = {k: v for k, v in lines[name].items() if k != "helper"}
        try:
            with Session.additive(name, "ab", peers, lines[name]["helper"]) as s:
                for _ in range(1000):
                    ops.truncate(s, number(s), 3)
                    time.sleep(0.001)
        except PpcError as error:
            out[name] = error

    threads = [threading.Thread(target=party, args=(i, n), daemon=True) for i, n in enumerate("ab")]

    def deal():
        with contextlib.suppress(JobCancelled):
            dealer.serve(lines["helper"])

    helper = threading.Thread(target=deal, daemon=True)
    for t in (*threads, helper):
        t.start()
    time.sleep(0.1)
    for channel in lines["helper"].values():
        channel.cancel()  # the dealer's loop ends with an error and closes its channels
    for t in threads:
        t.join(10)
        assert not t.is_alive()
    assert isinstance(out["b"], PpcError)
    assert out["b"].party == "helper"
    assert isinstance(out["a"], RemoteFailure)
    assert "b stopped" in str(out["a"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dealer_that_was_never_there():
    out = gather([lambda s: s.close(), lambda s: s.close()], serve=False)
    assert out == {"a": None, "b": None}


def test_an_error_of_one_party_reaches_the_others():
    def program(s):
        if s.rank == 1:
            raise PpcError("something is wrong with my data", party=s.me)
        ops.open(s, number(s))

    with pytest.raises(PpcError, match="my data"):
        run(program)
    seen = []

    def watching(s):
        try:
            program(s)
        except RemoteFailure as error:
            seen.append(error)
            raise

    with pytest.raises(PpcError):
        run(watching)
    assert [e.party for e in seen] == ["party-1"]


def test_configuration_errors():
    with pytest.raises(ConfigError, match="two or more"):
        Session.additive("a", ["a"], {}, None)
    with pytest.raises(ConfigError, match="'c'"):
        Session.additive("c", ["a", "b"], {}, None)
    with pytest.raises(ConfigError, match="distinct"):
        Session.plain().__class__(Session.plain().engine, ("a", "a"), 0)
    with pytest.raises(ConfigError, match="engine"):
        run(lambda s: None, engine="magic")
    lines = memory.network(["a", "helper"])
    with pytest.raises(ConfigError, match="channel to party"):
        Session.additive("a", ["a", "b"], {}, lines["a"]["helper"])


def test_the_plain_engine_has_no_dealer():
    s = Session.plain()
    with pytest.raises(CorrelationError):
        s.correlations
    assert s.meter == s.offline
    assert list(s.repeat(range(5))) == [0, 1, 2, 3, 4]
    assert repr(s) == "<Session plain me=plain parties=plain>"


def test_owners_must_give_and_engines_do_not_mix():
    def program(s):
        with pytest.raises(ConfigError, match="owner"):
            ops.share(s, None, s.rank, 3, name="income")
        f = ops.fixed_matrix(Session.plain(), np.ones((2, 2)), 0, (2, 2))
        with pytest.raises(ProtocolAbort, match="another engine"):
            ops.matmul_fixed(s, f, number(s, 2))
        return True

    assert run(program) == [True, True]


def test_reveal_tells_one_party_only():
    def program(s):
        return ops.reveal(s, ops.share(s, [1.5] if s.rank == 0 else None, 0, 1), 1)

    first, second = run(program)
    assert first is None
    assert second.tolist() == [1.5]


def test_shares_differ_between_sessions():
    def program(s):
        return ops.share(s, np.zeros(8) if s.rank == 0 else None, 0, 8).parts[0]

    one, two = run(program), run(program)
    assert not (one[1] == two[1]).any()
    assert ((one[0] + one[1]) == 0).all()


def test_over_mutual_tls(tmp_path):
    identity.create_ca(tmp_path)
    for name in ("bank-a", "bank-b", "helper"):
        identity.issue(tmp_path, name, ["127.0.0.1"])
    names = ["bank-a", "bank-b"]
    me = {n: identity.load(tmp_path, n) for n in (*names, "helper")}
    x = np.random.default_rng(1).normal(size=3000) * 4
    results = {}
    with tls.Listener(me["bank-a"]) as at_a, tls.Listener(me["helper"]) as at_helper:

        def compute(rank):
            name = names[rank]
            to_dealer = tls.connect(me[name], "helper", *at_helper.address, "s", 10)
            if rank == 0:
                peer = at_a.accept("s", "bank-b", 10)
            else:
                peer = tls.connect(me[name], "bank-a", *at_a.address, "s", 10)
            with Session.additive(name, names, {names[1 - rank]: peer}, to_dealer) as s:
                share = ops.share(s, x if rank == 0 else None, 0, x.shape)
                y = ops.mul(s, ops.sigmoid(s, share), share)
                results[rank] = ops.open(s, ops.select(s, ops.less_than(s, y, 1.0), y, 0.0)), s.meter

        def deal():
            dealer.serve({n: at_helper.accept("s", n, 10) for n in names})
            results["dealer"] = "ended"

        threads = [threading.Thread(target=compute, args=(r,)) for r in (0, 1)] + [threading.Thread(target=deal)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
    exact = x / (1 + np.exp(-x))
    far = np.abs(exact - 1) > 0.02
    assert results["dealer"] == "ended"
    for rank in (0, 1):
        got, meter = results[rank]
        assert np.abs(got - np.where(exact < 1, exact, 0))[far].max() < 1e-3 * 15
        assert 11 <= meter.rounds <= 12  # what is given one way is half a round


def test_shares_are_closed_at_both_parties():
    def program(s):
        with pytest.raises(SecretMisuse):
            bool(number(s))
        return repr(number(s))

    assert run(program) == ["<AShare shape=(4,) frac_bits=18>"] * 2

"""Correlations made ahead of time: the same results as with a dealer, and never the same correlation twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ppc.cli import main
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import CorrelationError, FileError, PpcError, ProtocolAbort
from ppc.mpc import Session, ops, run
from ppc.mpc.correlations import cachefile, filesource, needs
from ppc.mpc.correlations.cachefile import CacheFile
from ppc.mpc.correlations.comparison import Comparison
from ppc.mpc.correlations.kinds import BitTriple, DaBit, Truncation
from ppc.mpc.correlations.needs import Needs
from ppc.net import memory

PARTIES = ["party-0", "party-1"]
X = np.round(np.random.default_rng(1).normal(size=300) * 2**18) / 2**18


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("PPC_STATE_DIR", str(tmp_path / "state"))


def program(s):
    """Products, a fixed matrix in a loop, comparisons, a sort, a sigmoid, bits."""
    last = len(s.parties) - 1
    x = ops.share(s, X if s.rank == 0 else None, 0, len(X))
    f = ops.fixed_matrix(s, X.reshape(100, 3) if s.rank == last else None, last, (100, 3))
    w = ops.constant(s, np.zeros(3))
    for rows in s.repeat([slice(i, i + 20) for i in range(0, 100, 20)]):
        w = w + ops.matmul_fixed_t(s, f.rows(rows), ops.sigmoid(s, ops.matmul_fixed(s, f.rows(rows), w)))
    ordered, square = ops.sort(s, x, ops.mul(s, x, x))
    both = ops.and_(s, ops.less_than(s, x, 0.5), ops.less_than(s, x, 0.25))
    total = ops.bit_mul(s, both, x).sum()
    return np.concatenate([ops.open(s, v).ravel() for v in (w, ordered, square, total, ops.group_by(s, x).counts)])


@pytest.fixture(scope="module")
def expected():
    return run(program)[0]


@pytest.fixture(scope="module")
def recorded():
    return needs.record(program)


def test_following_shapes_sees_what_running_sees(recorded):
    seen = needs.record(program, traced=False)
    assert recorded.single == seen.single
    assert [k for k, _ in recorded.pools] == [k for k, _ in seen.pools]
    for (key, n), (_, m) in zip(recorded.pools, seen.pools, strict=True):
        assert 0.8 * m <= n <= 1.25 * m, key


def test_a_program_without_its_data_can_be_made_for(tmp_path):
    def study(s, given=None):
        x = ops.share(s, given if s.rank == 1 else None, 1, 300)
        return ops.open_bits(s, ops.less_than(s, ops.mul(s, x, x), 0.5))

    folder = made(tmp_path / "c", needs.record(study))
    got = run(lambda s: study(s, X), cache=folder)[0]
    assert (got == (X * X < 0.5)).mean() > 0.99


def made(folder, recorded, runs=1, parties=PARTIES):
    folder.mkdir(exist_ok=True)
    cachefile.make(folder, recorded, parties, runs=runs)
    return folder


@pytest.mark.parametrize("parties", [2, 3])
def test_a_program_runs_from_files_and_gives_the_same(tmp_path, parties, expected):
    names = [f"party-{i}" for i in range(parties)]
    folder = made(tmp_path / "c", needs.record(program, parties=parties), 2, names)
    for _ in range(2):
        for got in run(program, parties=parties, cache=folder):
            assert np.abs(got - expected).max() < 1e-3
    with pytest.raises(CorrelationError, match="all 2 runs") as e:
        run(program, parties=parties, cache=folder)
    assert "ppc offline make" in (e.value.hint or "")


def test_the_wide_ring_runs_from_files_too(tmp_path):
    fx = FixedPoint(40, 128)
    folder = tmp_path / "c"
    folder.mkdir()
    cachefile.make(folder, needs.record(program, fx=fx), PARTIES, fx=fx)
    exact = run(program, fx=fx)[0]
    for got in run(program, fx=fx, cache=folder):
        assert np.abs(got - exact).max() < 1e-3
    with CacheFile(folder / "party-0.ppcoff") as file:
        assert "in the ring of 128 bits" in " ".join(file.header.needs.summary())


def test_files_are_secret_small_and_say_nothing(tmp_path, recorded):
    folder = made(tmp_path / "c", recorded)
    first, last = (folder / f"{p}.ppcoff" for p in PARTIES)
    for path in (first, last):
        assert path.stat().st_mode & 0o777 == 0o600
    assert first.stat().st_size < 20_000 < last.stat().st_size
    with CacheFile(first) as file:
        assert repr(file) == "<CacheFile party-0.ppcoff party=party-0 left=1>"
    with pytest.raises(FileError, match="already"):
        cachefile.make(folder, recorded, PARTIES)


def test_two_runs_use_other_seeds(tmp_path, recorded):
    folder = made(tmp_path / "c", recorded, 2)
    with CacheFile(folder / "party-1.ppcoff") as file:
        assert file.claim(0) != file.claim(1)
        with pytest.raises(CorrelationError, match="spent"):
            file.claim(0)
        with pytest.raises(CorrelationError, match="out of correlations"):
            file.claim(2)


def test_a_claimed_seed_is_gone_from_the_file(tmp_path, recorded):
    path = made(tmp_path / "c", recorded, 3) / "party-0.ppcoff"
    before = path.read_bytes()
    with CacheFile(path) as file:
        seed = file.claim(1)  # the other party had spent run 0: it is skipped
        assert (file.spent, file.left) == (2, 1)
    assert seed in before
    after = path.read_bytes()
    assert seed not in after
    assert len(after) == len(before)
    with CacheFile(path) as file, pytest.raises(CorrelationError):
        file.claim(0)


# --- it can not be used twice ---
def test_a_copy_put_back_is_refused(tmp_path, recorded):
    folder = made(tmp_path / "c", recorded, 2)
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    run(program, cache=folder)
    for path in kept.iterdir():
        with pytest.raises(CorrelationError, match="put back"):
            CacheFile(path)


def test_a_copy_put_back_at_one_party_skips_what_the_other_spent(tmp_path, recorded, monkeypatch):
    folder = made(tmp_path / "c", recorded, 2)
    kept = (folder / "party-0.ppcoff").read_bytes()
    claimed = watch_claims(monkeypatch)
    run(program, cache=folder)
    (folder / "party-0.ppcoff").write_bytes(kept)
    shutil.rmtree(tmp_path / "state")  # the machine has forgotten as well
    run(program, cache=folder)
    assert claimed == {"party-0": [0, 1], "party-1": [0, 1]}


def watch_claims(monkeypatch):
    claimed = {p: [] for p in PARTIES}
    claim = CacheFile.claim

    def watched(self, run):
        claimed[self.header.party].append(run)
        return claim(self, run)

    monkeypatch.setattr(CacheFile, "claim", watched)
    return claimed


def test_a_second_process_is_refused_under_whatever_name(tmp_path, recorded):
    path = made(tmp_path / "c", recorded) / "party-0.ppcoff"
    shutil.copy2(path, tmp_path / "other.ppcoff")
    with CacheFile(path):
        for name in (path, tmp_path / "other.ppcoff"):
            with pytest.raises(CorrelationError, match="another process"):
                CacheFile(name)
    CacheFile(path).close()


KILLED = """
import os, signal, sys
from ppc.mpc.correlations.cachefile import CacheFile
fsync = os.fsync
if sys.argv[2] == "before":
    os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
seed = CacheFile(sys.argv[1]).claim(0)
sys.stdout.write(seed.hex()); sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_party_killed_between_spending_and_using_never_uses_it_again(tmp_path, recorded, when, monkeypatch):
    folder = made(tmp_path / "c", recorded, 2)
    path = folder / "party-1.ppcoff"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), when], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert bool(done.stdout) == (when == "after")
    claimed = watch_claims(monkeypatch)
    run(program, cache=folder)
    assert claimed == {p: [1] for p in PARTIES}  # run 0 is lost at both


def test_a_number_is_spent_once_and_in_order(tmp_path, recorded):
    file = CacheFile(made(tmp_path / "c", recorded) / "party-0.ppcoff")
    source = filesource.FileSource(file, 0, file.claim(0))
    number, correlation = recorded.single[2]
    source.take(number, correlation)
    for again in (number, recorded.single[1][0]):
        with pytest.raises(CorrelationError, match="spent before"):
            source.take(again, correlation)
    source.close()


# --- it is for one program, and for its party ---
def test_running_out_says_what_was_asked_what_is_left_and_what_to_do(tmp_path):
    small = lambda s: ops.less_than(s, ops.constant(s, np.zeros(100)), 1.0)  # noqa: E731
    folder = made(tmp_path / "c", needs.record(small, spare=0.0))

    def larger(s):
        ops.less_than(s, ops.constant(s, np.zeros(64)), 1.0)
        ops.less_than(s, ops.constant(s, np.zeros(100)), 1.0)

    with pytest.raises(CorrelationError, match="100 comparisons with 1 thresholds were asked, 64 are left") as e:
        run(larger, cache=folder)
    assert "ppc offline make" in (e.value.hint or "")


def test_another_program_is_refused(tmp_path, recorded):
    folder = made(tmp_path / "c", recorded)

    def other(s):
        x = ops.share(s, X[:7] if s.rank == 0 else None, 0, 7)
        return ops.open(s, ops.mul(s, x, x))

    with pytest.raises(CorrelationError, match="another program"):
        run(other, cache=folder)


def test_files_of_two_makings_do_not_combine(tmp_path, recorded):
    one, two = made(tmp_path / "one", recorded), made(tmp_path / "two", recorded)
    shutil.copy2(two / "party-1.ppcoff", one / "party-1.ppcoff")
    with pytest.raises(ProtocolAbort, match="another cache"):
        run(program, cache=one)
    with CacheFile(one / "party-0.ppcoff") as file:
        assert file.left == 1  # nothing was spent


@pytest.mark.parametrize(
    ("me", "parties", "fx"),
    [
        ("party-1", PARTIES, None),
        ("party-0", ["party-0", "other"], None),
        ("party-0", PARTIES, FixedPoint(20)),
        ("party-0", PARTIES, FixedPoint(18, 128)),
    ],
)
def test_another_partys_file_or_another_session_is_refused(tmp_path, recorded, me, parties, fx):
    path = made(tmp_path / "c", recorded) / "party-0.ppcoff"
    lines = memory.network([*PARTIES, "other"])
    channels = {p: lines[me][p] for p in parties if p != me}
    with pytest.raises(CorrelationError, match="this cache is party-0's"):
        Session.from_cache(me, parties, channels, path, fx)
    with CacheFile(path) as file:
        assert file.left == 1


def test_a_party_without_correlations_does_not_keep_the_other_waiting(tmp_path, recorded):
    folder = made(tmp_path / "c", recorded)
    lines = memory.network(PARTIES)
    raised = []

    def other():
        try:
            Session.from_cache("party-1", PARTIES, {"party-0": lines["party-1"]["party-0"]}, folder / "party-1.ppcoff")
        except PpcError as error:
            raised.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(FileError):
        Session.from_cache("party-0", PARTIES, {"party-1": lines["party-0"]["party-1"]}, folder / "nothing.ppcoff")
    thread.join(20)
    assert not thread.is_alive()
    assert len(raised) == 1


# --- damage ---
def test_damaged_files_are_refused_before_anything_is_spent(tmp_path, recorded):
    path = made(tmp_path / "c", recorded) / "party-1.ppcoff"
    good = path.read_bytes()
    for bad in (b"", good[:40], good[:-8], good + b"x", b"x" * len(good), good[:100] + b"?" + good[101:]):
        path.write_bytes(bad)
        with pytest.raises(FileError):
            CacheFile(path)
    flipped = bytearray(good)
    flipped[-5] ^= 1
    path.write_bytes(flipped)
    with CacheFile(path) as file:
        with pytest.raises(FileError, match="damaged"):
            file.claim(0)
        assert file.left == 1


def test_a_file_that_others_can_read_is_refused(tmp_path, recorded):
    path = made(tmp_path / "c", recorded) / "party-0.ppcoff"
    path.chmod(0o644)
    with pytest.raises(FileError, match="secret"):
        CacheFile(path)


@pytest.mark.parametrize(
    "parts",
    [
        {"single": [[1, "dabit", 0]], "pools": []},
        {"single": [[0, "product"]], "pools": []},
        {"single": [], "pools": [["nothing", [], 64]]},
        {"single": [], "pools": [["dabit", [64], 63]]},
        {"single": [], "pools": [["dabit", [64], -64]]},
        {"single": [], "pools": [["truncation", [90, 64], 64]]},
    ],
)
def test_needs_are_checked(parts):
    with pytest.raises((PpcError, ValueError, TypeError, KeyError)):
        Needs.from_json(parts, 2, "file")


def test_needs_come_back_as_they_were(recorded):
    assert Needs.from_json(json.loads(json.dumps(recorded.to_json())), 2, "file") == recorded


def test_a_pool_is_cut_across_its_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_CHUNK_WORDS", 700)
    sizes = [1, 64, 65, 200, 3, 130]

    def many(s):
        x = ops.share(s, X if s.rank == 0 else None, 0, len(X))
        flags = [ops.open_bits(s, ops.less_than(s, x[:n], 0.1)) for n in sizes]
        bits = [ops.open_bits(s, ops.and_(s, *[ops.random_bits(s, n)] * 2)) for n in sizes]
        halves = [ops.open(s, ops.mul_public(s, x[:n], 0.5)) for n in sizes]
        return flags, len(bits), halves

    recorded = needs.record(many, spare=0.0)
    assert recorded.summary()["comparisons with 1 thresholds"] == 64 + 64 + 128 + 256 + 64 + 192
    assert len(recorded.items()) > 10
    flags, _, halves = run(many, cache=made(tmp_path / "c", recorded))[1]
    for n, flag, half in zip(sizes, flags, halves, strict=True):
        np.testing.assert_array_equal(flag, X[:n] < 0.1)
        assert np.abs(half - X[:n] / 2).max() <= 2.0**-18


def test_what_is_pooled():
    assert needs.pooled(Comparison(100, 3)) == (("comparison", (3, 64)), 100)
    assert needs.pooled(BitTriple(3)) == (("bits", ()), 192)
    assert needs.pooled(Truncation(5, 18)) == (("truncation", (18, 64)), 5)
    assert needs.chunk(("dabit", (128,)), 128) == DaBit(128, 128)
    assert needs.chunk(("bits", ()), 128) == BitTriple(2)
    assert Needs.of([(1, DaBit(1))], spare=0.5).pools == ((("dabit", (64,)), needs.round_up(96 + 4096)),)


@pytest.mark.parametrize("runs", [0, 1 << 17])
def test_bad_numbers_of_runs(tmp_path, recorded, runs):
    with pytest.raises(PpcError):
        cachefile.make(tmp_path, recorded, PARTIES, runs=runs)
    with pytest.raises(PpcError):
        cachefile.make(tmp_path, recorded, ["a", "a"])
    with pytest.raises(PpcError):
        cachefile.make(tmp_path, recorded, ["a", "../b"])
    assert not list(tmp_path.glob("*.ppcoff"))


# --- the command ---
SOURCE = """
import numpy as np
from ppc.mpc import ops
def study(s):
    x = ops.share(s, np.arange(5.0) if s.rank == 0 else None, 0, 5)
    return ops.open(s, ops.mul(s, x, x + 1))
"""


def test_the_command(tmp_path, capsys):
    source = tmp_path / "study_of_five.py"
    source.write_text(SOURCE)
    out = tmp_path / "files"
    argv = ["offline", "make", "--program", f"{source}:study", "--parties", "party-0,party-1", "--out", str(out)]
    assert main([*argv, "--runs", "2", "--run", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs"] == 2
    assert set(answer["files"]) == set(PARTIES)
    got = run(sys.modules["study_of_five"].study, cache=out)[0]
    np.testing.assert_allclose(got, np.arange(5) * np.arange(1, 6), atol=1e-5)
    assert main(["offline", "show", str(out / "party-0.ppcoff"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["left"], shown["runs"], shown["party"]) == (1, 2, "party-0")
    assert main(["offline", "show", str(out / "party-1.ppcoff")]) == 0
    assert "1 of 2 runs left" in capsys.readouterr().out
    assert main(argv) == FileError.exit_status
    assert "already" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["study", "nothing_here:f", "no.py:f", "ppc.mpc.ops:shuffel", "ppc.mpc.ops:"])
def test_the_command_with_a_wrong_program(tmp_path, capsys, program):
    argv = ["offline", "make", "--program", program, "--parties", "a,b", "--out", str(tmp_path / "o")]
    assert main(argv) == 3
    said = capsys.readouterr().err
    assert "--program" in said
    if program.endswith("shuffel"):
        assert "shuffle" in said
    assert not Path(tmp_path / "o").exists()


def test_fsync_comes_before_use(tmp_path, recorded, monkeypatch):
    order = []
    fsync, seed_of = os.fsync, filesource.FileSource.__init__
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(filesource.FileSource, "__init__", lambda self, *a: (order.append("use"), seed_of(self, *a))[1])
    folder = made(tmp_path / "c", recorded)
    order.clear()
    lines = memory.network(PARTIES)

    def party(me):
        other = PARTIES[1 - PARTIES.index(me)]
        Session.from_cache(me, PARTIES, {other: lines[me][other]}, folder / f"{me}.ppcoff").close()

    threads = [threading.Thread(target=party, args=(p,)) for p in PARTIES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert order.count("use") == 2
    assert order.index("fsync") < order.index("use")

"""`ppc keys` and `ppc he`, as a person types them."""

from __future__ import annotations

import json

import pytest

from ppc.cli import main

PASSPHRASE = "correct horse battery"


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPC_PASSPHRASE", PASSPHRASE)

    def call(*words):
        status = main([str(w) for w in words])
        out = capsys.readouterr()
        return status, out.out, out.err

    return call


@pytest.fixture
def key(run, paillier_key, tmp_path):
    paillier_key.write(tmp_path / "k.json", passphrase=PASSPHRASE)
    assert run("keys", "public", "k.json", "pub.json")[0] == 0
    return paillier_key


def test_outsourced_sums(run, key, tmp_path):
    (tmp_path / "a.csv").write_text("branch,amount\nn,1.5\ns,2.25\nn,\n")
    (tmp_path / "b.csv").write_text("branch,amount\ne,10\n")
    for name in "ab":
        status, out, _ = run(
            "he",
            "encrypt",
            f"{name}.csv",
            "-k",
            "pub.json",
            "-c",
            "amount",
            "-o",
            f"{name}.pq.parquet",
            "--frac-bits",
            20,
        )
        assert status == 0
        assert "encrypted: amount" in out
    for question, value in (("sum", 13.75), ("mean", 13.75 / 3)):
        files = ("a.pq.parquet", "b.pq.parquet")
        assert run("he", "sum", *files, "-k", "pub.json", "-o", f"{question}.ppche", "-q", question)[0] == 0
        status, out, _ = run("he", "decrypt", f"{question}.ppche", "-k", "k.json", "--json")
        assert status == 0
        assert json.loads(out) == {f"{question}(amount)": {"value": pytest.approx(value), "count": 3}}
    assert run("he", "sum", "sum.ppche", "sum.ppche", "-k", "pub.json", "-o", "twice.ppche")[0] == 0
    assert "27.5" in run("he", "decrypt", "twice.ppche", "-k", "k.json")[1]


def test_keys(run, tmp_path):
    status, out, _ = run("keys", "new", "new.json", "--bits", 2048, "--json")
    assert status == 0
    made = json.loads(out)
    assert made["parameters"]["bits"] == 2048
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o600
    shown = run("keys", "show", "new.json")[1]
    assert made["key_id"] in shown
    assert "locked by   passphrase" in shown
    assert json.loads(run("keys", "show", "new.json", "--json")[1])["kind"] == "private"
    assert run("keys", "public", "new.json", "pub.json", "--json")[0] == 0
    assert json.loads(run("keys", "show", "pub.json", "--json")[1])["kind"] == "public"
    for again in (("keys", "new", "new.json"), ("keys", "public", "new.json", "pub.json")):
        status, _, err = run(*again)
        assert status == 3
        assert "never overwritten" in err


def test_a_key_file_and_a_passphrase_file_lock(run, tmp_path):
    (tmp_path / "lock").write_bytes(bytes(40))
    (tmp_path / "phrase").write_text("another passphrase\n")
    assert run("keys", "new", "b.json", "-s", "bfv", "--plain-bits", 20, "--depth", 0, "--key-file", "lock")[0] == 0
    assert run("keys", "new", "c.json", "-s", "ckks", "--depth", 0, "--passphrase-file", "phrase")[0] == 0
    assert "scale_bits" in run("keys", "show", "c.json")[1]
    both = ("keys", "new", "d.json", "--key-file", "lock", "--passphrase-file", "phrase")
    assert run(*both)[0] == 3
    assert run("keys", "new", "d.json", "--passphrase-file", "none")[0] == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("keys", "new", "x.json", "--bits", "1024"), "PPC-E216"),
        (("keys", "new", "x.json", "-s", "rsa"), "PPC-E112"),
        (("keys", "new", "x.json", "--depth", "3"), "PPC-E112"),
        (("keys", "show", "none.json"), "PPC-E101"),
        (("he", "sum", "none", "-k", "pub.json", "-o", "o"), "PPC-E101"),
        (("he", "sum", "pub.json", "-k", "pub.json", "-o", "o"), "PPC-E215"),
        (("he", "sum", "pub.json", "-k", "pub.json", "-o", "o", "-q", "max"), "PPC-E112"),
        (("he", "decrypt", "pub.json", "-k", "k.json"), "PPC-E215"),
        (("he", "encrypt", "none.csv", "-k", "pub.json", "-c", "x", "-o", "o.parquet"), "PPC-E101"),
        (("he", "encrypt", "t.csv", "-k", "pub.json", "-c", "y", "-o", "o.parquet"), "PPC-E103"),
    ],
)
def test_mistakes_are_named(run, key, tmp_path, words, code):
    (tmp_path / "t.csv").write_text("x\n1\n")
    status, out, err = run(*words)
    assert status != 0
    assert code in err
    assert out == ""
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "x.json").exists()


def test_another_key_is_noticed_before_a_passphrase_is_asked(run, key, other_paillier_key, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("x\n1\n")
    run("he", "encrypt", "t.csv", "-k", "pub.json", "-c", "x", "-o", "o.parquet")
    run("he", "sum", "o.parquet", "-k", "pub.json", "-o", "s.ppche")
    other_paillier_key.write(tmp_path / "other.json", passphrase=PASSPHRASE)
    monkeypatch.delenv("PPC_PASSPHRASE")
    status, _, err = run("he", "decrypt", "s.ppche", "-k", "other.json")
    assert status == 4
    assert "PPC-E211" in err
    (tmp_path / "wrong").write_text("wrong passphrase")
    status, _, err = run("he", "decrypt", "s.ppche", "-k", "k.json", "--passphrase-file", "wrong")
    assert (status, "PPC-E210" in err) == (4, True)

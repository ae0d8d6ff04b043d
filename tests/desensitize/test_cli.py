"""The commands: desensitize, policy, key."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc.cli import main
from ppc.dataset.schema import Field, Grade, Role, Schema
from ppc.desensitize.draft import draft, suggest
from ppc.desensitize.plan import Plan
from ppc.desensitize.policy import Policy

POLICY = """
[[rule]]
column = "id"
use = "token"
key = "ids"
[[rule]]
column = "phone"
use = "mask_phone"
[[rule]]
column = "n"
use = "noise"
scale = 1.0
keyed = true
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = pa.table({"id": ["a", "b", None], "phone": [f"1381234567{i}" for i in range(3)], "n": [1.0, 2.0, 3.0]})
    pq.write_table(data, "in.parquet")
    Path("p.toml").write_text(POLICY)
    return tmp_path


def test_the_whole_way(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["key", "new", "a.key"]) == 0
    assert main(["key", "new", "a.key"]) == 3  # a key is never overwritten
    monkeypatch.setenv("IDS", "00" * 32)
    capsys.readouterr()
    keys = ["--key", "a.key", "--key", "ids=env:IDS"]
    assert main(["desensitize", "in.parquet", "-p", "p.toml", "-o", "out.csv", "--report", "r.json", *keys]) == 0
    said = capsys.readouterr()
    assert "mask_phone()" in said.out
    assert "wrote out.csv" in said.err
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "id,phone,n"
    assert "138****5670" in lines[1]
    report = json.loads(Path("r.json").read_text())
    assert report["rows"] == 3
    assert main(["desensitize", "in.parquet", "-p", "p.toml", "-o", "out2.csv", "--in-memory", *keys]) == 0
    assert Path("out2.csv").read_text().replace('"', "") == Path("out.csv").read_text().replace('"', "")


def test_dry_run_and_json(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDS", "00" * 32)
    keys = ["-k", "env:IDS", "-k", "ids=env:IDS"]
    assert main(["desensitize", "in.parquet", "-p", "p.toml", "--dry-run", "--json", *keys]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["before"][0]["phone"] == "13812345670"
    assert found["after"][0]["phone"] == "138****5670"
    assert main(["desensitize", "in.parquet", "-p", "p.toml", "--dry-run", *keys]) == 0
    assert "before" in capsys.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == ["in.parquet", "p.toml"]
    assert main(["policy", "check", "p.toml", "--schema", "in.parquet", *keys]) == 0
    assert "token(scope='id')" in capsys.readouterr().out


def test_an_encrypted_key_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    how = s.BestAvailableEncryption(b"pass phrase")
    Path("k.pem").write_bytes(private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, how))
    monkeypatch.setenv("PASS", "pass phrase")
    arguments = ["desensitize", "in.parquet", "-p", "p.toml", "-o", "o.csv", "-k", "k.pem", "-k", "ids=k.pem"]
    assert main(arguments) == 4
    assert "passphrase" in capsys.readouterr().err
    assert main([*arguments, "--passphrase-env", "PASS"]) == 0


def test_a_policy_for_several_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "a.key"]) == 0
    pq.write_table(pa.table({"phone": ["13812345678"]}), "other.parquet")
    arguments = ["desensitize", "other.parquet", "-p", "p.toml", "-o", "o.csv", "-k", "a.key"]
    assert main(arguments) == 3
    assert main([*arguments, "--partial"]) == 0
    assert "138****5678" in Path("o.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.parquet", "-p", "p.toml"], "--out is missing"),
        (["in.parquet", "-p", "p.toml", "-o", "o.csv"], "no key named 'ids'"),
        (["none.parquet", "-p", "p.toml", "-o", "o.csv"], "none.parquet"),
        (["in.parquet", "-p", "none.toml", "-o", "o.csv"], "none.toml"),
        (["in.parquet", "-p", "p.toml", "-o", "o.csv", "-k", "none.key", "-k", "ids=none.key"], "none.key"),
        (["in.parquet", "-p", "p.toml", "-o", "o.csv", "-k", "x=a", "-k", "x=b"], "given twice"),
    ],
)
def test_errors(folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["desensitize", *arguments]) in (3, 4)
    assert said in capsys.readouterr().err
    assert not Path("o.csv").exists()


FIELDS = (
    Field("name", "string", category="person.name"),
    Field("phone", "string", category="person.phone", role=Role.IDENTIFIER),
    Field("phone_number", "int64", category="person.phone"),
    Field("mail", "string", category="person.email"),
    Field("home", "string", category="person.address"),
    Field("born", "date", category="person.birth_date"),
    Field("born_text", "string", category="person.birth_date"),
    Field("ident", "string", category="person.id.cn"),
    Field("card", "string", category="finance.card"),
    Field("account", "float64", category="finance.account"),
    Field("salary", "int64", category="finance.income"),
    Field("paid", "string", category="finance.transaction"),
    Field("overdue", "int64", category="finance.credit"),
    Field("token", "string", category="secret.token"),
    Field("customer", "int64", role=Role.IDENTIFIER),
    Field("score", "float64", role=Role.IDENTIFIER),
    Field("zip", "string", role=Role.QUASI_IDENTIFIER),
    Field("since", "date", role=Role.QUASI_IDENTIFIER),
    Field("age", "int64", role=Role.QUASI_IDENTIFIER),
    Field("diagnosis", "string", role=Role.SENSITIVE, grade=Grade.RESTRICTED),
    Field("feature", "float64", role=Role.FEATURE, grade=Grade.INTERNAL),
    Field("postcode", "string", category="person.postcode"),
    Field("years", "int32", category="person.age"),
    Field("years_text", "string", category="person.age"),
    Field("sex", "string", category="person.sex"),
    Field("belief", "string", category="person.religion"),
    Field("latitude", "float64", category="location.latitude"),
    Field("plate", "string", category="vehicle.plate"),
    Field("mac", "string", category="network.mac"),
    Field("icd", "string", category="health.diagnosis"),
    Field("pages", "list<string>", category="network.url"),
    Field('odd * name "[x]', "string"),
)


def test_a_draft_fits_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = Schema(FIELDS, "customers")
    text = draft(schema)
    policy = Policy.from_toml(text)
    from ppc.desensitize.keys import Key

    plan = Plan.make(policy, schema, Key(bytes(32)))
    used = {c.field.name: c.steps[0].use for c in plan.columns}
    assert used["name"] == "mask_name"
    assert used["born"] == "truncate_date"
    assert used["born_text"] == used["token"] == used["diagnosis"] == used["account"] == "redact"
    assert used["customer"] == used["ident"] == "token"
    assert used["feature"] == used["sex"] == "keep"
    assert used["belief"] == used["icd"] == used["years_text"] == used["pages"] == "redact"
    assert used["latitude"] == "round"
    assert used['odd * name "[x]'] == "redact"
    assert used["age"] == used["salary"] == "bucket", "equal amounts do not share a token"
    assert used["paid"] == used["overdue"] == "redact"
    schema.write(tmp_path / "s.toml")
    assert main(["policy", "draft", str(tmp_path / "s.toml")]) == 0
    assert capsys.readouterr().out == text
    assert main(["policy", "draft", str(tmp_path / "s.toml"), "-o", str(tmp_path / "p.toml")]) == 0
    assert (tmp_path / "p.toml").read_text() == text
    assert main(["policy", "draft", str(tmp_path / "s.toml"), "-o", str(tmp_path / "p.toml")]) == 3


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_every_suggestion_has_a_reason(field: Field) -> None:
    use, _, why = suggest(field)
    assert use
    assert why

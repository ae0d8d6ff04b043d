"""ppc ca, init, coordinator, party, helper, doctor, audit: everything that needs no cluster."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator.audit import AuditLog


@pytest.fixture
def keys(ppc: Any, tmp_path: Path) -> Path:
    """An authority and three certificates."""
    folder = tmp_path / "ca"
    assert ppc("ca", "init", "--dir", folder).status == 0
    for name in ("coordinator", "bank-a", "helper"):
        assert ppc("ca", "issue", name, "--dir", folder).status == 0
    return folder


def test_certificates_from_the_command_line(ppc: Any, keys: Path) -> None:
    assert stat.S_IMODE((keys / "ca.key").stat().st_mode) == 0o600
    shown = json.loads(ppc("ca", "show", keys / "bank-a.pem", "--json").out)
    assert (shown["party"], shown["authority"], shown["days_left"]) == ("bank-a", False, 396)
    assert "bank-a" in ppc("ca", "show", keys / "bank-a.pem").out
    again = ppc("ca", "init", "--dir", keys)
    assert again.status == 3
    assert "does not overwrite" in again.err
    issued = json.loads(ppc("ca", "issue", "bank-z", "--dir", keys, "--host", "z.example", "--json").out)
    assert issued["party"] == "bank-z"
    assert Path(issued["key"]).exists()


@pytest.mark.parametrize("bad", ["bank a", "", "../x", "ä", "x" * 64])
def test_names_that_cannot_be_a_party_s(ppc: Any, keys: Path, bad: str) -> None:
    found = ppc("ca", "issue", "--dir", keys, "--", bad)
    assert found.status == 3
    assert "error[PPC-E112]" in found.err


def test_settings_are_written_once_and_are_valid(ppc: Any, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,x\n1,2\n")
    for arguments, check in (
        (
            ["coordinator", "--party", "bank-a", "--helper", "helper"],
            ["coordinator", "--config", tmp_path / "coordinator.toml"],
        ),
        (
            ["party", "bank-a", "--data", f"customers={tmp_path / 'c.csv'}"],
            ["party", "--config", tmp_path / "party.toml"],
        ),
        (["helper", "--serve", "bank-a"], ["helper", "--config", tmp_path / "helper.toml"]),
    ):
        made = ppc("init", *arguments, "--dir", tmp_path, "--keys", keys)
        assert made.status == 0, made.err
        checked = ppc(*check, "--check")
        assert checked.status == 0, checked.err
        assert "ok" in checked.out
        again = ppc("init", *arguments, "--dir", tmp_path, "--keys", keys)
        assert again.status == 3


def test_doctor_names_each_fault_and_a_fix(ppc: Any, keys: Path, tmp_path: Path) -> None:
    ppc("init", "party", "bank-a", "--data", f"customers={tmp_path / 'none.csv'}", "--dir", tmp_path, "--keys", keys)
    (keys / "bank-a.key").chmod(0o644)
    found = ppc("doctor", "--config", tmp_path / "party.toml", "--json")
    assert found.status == 1
    by = {(f["check"], f["level"]): f for f in json.loads(found.out)}
    assert ("python", "ok") in by
    assert ("processor", "ok") in by or ("processor", "warn") in by
    assert "chmod 600" in by["identity", "fail"]["fix"]
    assert "none.csv" in by["datasets", "fail"]["what"]
    assert "cannot be reached" in by["coordinator", "fail"]["what"]
    text = ppc("doctor", "--config", tmp_path / "party.toml")
    assert "fix: chmod 600" in text.out
    assert text.status == 1
    ppc("init", "coordinator", "--party", "bank-a", "--dir", tmp_path, "--keys", keys)
    assert ppc("doctor", "--config", tmp_path / "coordinator.toml").status == 0


def test_doctor_without_settings_checks_the_installation(ppc: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = ppc("doctor")
    assert found.status == 0, found.out
    assert "no configuration was checked" in found.out


def test_the_audit_log_is_shown_and_verified(ppc: Any, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write("asked", "job-1", submitter="bank-b")
    log.write("approved by rule", "job-1", rule="scorecard")
    log.write("asked", "job-2")
    assert "3 records, the chain is whole" in ppc("audit", "verify", "--file", log.path).out
    shown = ppc("audit", "show", "--file", log.path, "--job", "job-1", "--json").out
    assert [json.loads(line)["event"] for line in shown.splitlines()] == ["asked", "approved by rule"]
    assert "rule: scorecard" in ppc("audit", "show", "--file", log.path).out
    log.path.write_text(log.path.read_text().replace("scorecard", "something"))
    broken = ppc("audit", "verify", "--file", log.path)
    assert broken.status == 3
    assert "line 2" in broken.err


def test_transfers_and_anomalies_of_the_audit_log(ppc: Any, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write("asked", "job-1", submitter="paris")
    assert "nothing is out of the ordinary" in ppc("audit", "anomalies", "--file", log.path).out
    log.write("approved by rule", "job-1", rule="study")
    log.write("transfer", "job-1", to="paris", country="FR", step="describe", columns=["age"], risk="low",
              basis="contract 7", submitter="paris")  # fmt: skip
    for i in range(3):
        log.write("asked", f"bad-{i}", submitter="paris")
        log.write("denied", f"bad-{i}")
    (line,) = ppc("audit", "transfers", "--file", log.path, "--json").out.splitlines()
    told = json.loads(line)
    assert (told["to"], told["country"], told["allowed_by"], told["basis"]) == (
        "paris", "FR", "rule study", "contract 7",
    )  # fmt: skip
    assert "paris (FR)" in ppc("audit", "transfers", "--file", log.path).out
    assert ppc("audit", "transfers", "--file", log.path, "--country", "US", "--json").out == ""
    (found,) = ppc("audit", "anomalies", "--file", log.path, "--json").out.splitlines()
    assert json.loads(found)["kind"] == "refusals"
    log.path.write_text(log.path.read_text().replace("contract 7", "contract 8"))
    for command in ("transfers", "anomalies"):
        broken = ppc("audit", command, "--file", log.path)
        assert broken.status == 3
        assert "line 3" in broken.err


@pytest.mark.parametrize("command", ["party", "helper", "coordinator"])
def test_a_server_without_settings_says_so(ppc: Any, tmp_path: Path, command: str) -> None:
    found = ppc(command, "--config", tmp_path / "x.toml")
    assert found.status == 3
    assert "error[PPC-E101]: there is no such file" in found.err

"""What crosses a border: seen in the plan, held against the policy, audited; and what stands out in the log."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator import borders
from ppc.coordinator.anomalies import BURST, DENIED, LEAST_PAST, find
from ppc.coordinator.audit import Record
from ppc.coordinator.borders import Borders, check_countries, country_of, flows
from ppc.coordinator.jobs import DatasetEntry
from ppc.coordinator.planning import Planned, ask_of, plan_job, public_toml
from ppc.coordinator.policy import Policy, judge, read
from ppc.coordinator.statements import Statement, Word, sign
from ppc.coordinator.templates import policy_toml
from ppc.dataset.schema import Field, Grade, Schema
from ppc.errors import ConfigError, IdentityError, PlanMismatch, PolicyFileError
from ppc.net import identity as certificates

SITES = ("beijing", "shanghai", "paris", "nowhere")
SCHEMA = Schema((Field("age", "int64", grade=Grade(2)), Field("hiv", "int64", grade=Grade(5))))
HOME = Borders(home="CN", parties={"shanghai": "CN", "paris": "FR"}, basis={"FR": "contract 7"})


def planned(*columns: str, operator: str = "describe", **more: Any) -> Planned:
    names = ", ".join(f'"{p}"' for p in SITES)
    data = "\n".join(f'{p} = "patients"' for p in SITES)
    step = f'[[step]]\noperator = "{operator}"\n' + "\n".join(f"{k} = {v}" for k, v in more.items())
    if columns:
        step += f"\ncolumns = [{', '.join(map(repr, columns))}]\n"
    text = f'name = "study"\nparties = [{names}]\n[datasets]\n{data}\n{step}'
    return plan_job(text, [DatasetEntry(p, "patients", public_toml(SCHEMA), 100) for p in SITES])


# --- flows ---
def test_flows_are_what_others_learn_of_us_abroad() -> None:
    found = flows(planned("age"), "beijing", SCHEMA, HOME)
    assert {(f.to, f.country) for f in found} == {("paris", "FR"), ("nowhere", "unknown")}
    pooled = [f for f in found if f.step == "describe"]
    assert {(f.columns, f.grade, f.alone, f.risk) for f in pooled} == {(("age",), 2, False, "low")}
    assert flows(planned("age"), "beijing", SCHEMA, None) == ()
    home = Borders(home="CN", parties=dict.fromkeys(SITES, "CN"))
    assert flows(planned("age"), "beijing", SCHEMA, home) == ()


def test_risk_grows_with_the_grade_and_where_we_stand_alone() -> None:
    def risk(plan: Planned) -> set[str]:
        return {f.risk for f in flows(plan, "beijing", SCHEMA, HOME) if f.step != "start"}

    assert risk(planned("age", "hiv")) == {"medium"}
    own = {"outcome": '"age"', "by": '"hiv"', "levels": "{ hiv = [0, 1] }"}
    assert "high" in risk(planned(operator="meta_analysis", **own))
    unknown = Schema((Field("age", "int64"), Field("hiv", "int64")))
    assert {f.risk for f in flows(planned("age"), "beijing", unknown, HOME) if f.step != "start"} == {"medium"}


def test_the_words_name_receiver_country_risk_and_ground() -> None:
    told = borders.text(flows(planned("age"), "beijing", SCHEMA, HOME), HOME)
    assert told.startswith("Across the border of CN (by our policy):")
    assert "paris in FR" in told
    assert "ground: contract 7" in told
    assert "nowhere in unknown" in told
    assert "no ground is given" in told
    assert borders.text((), HOME) == ""


# --- the policy ---
RULE = """
[[allow]]
partners = ["*"]
operators = ["*"]
datasets = ["*"]
columns = ["*"]
recipients = ["*"]
"""


def verdict(table: str) -> Any:
    policy = Policy.model_validate(tomllib.loads(table + RULE))
    plan = planned("age")
    abroad = tuple((f.to, f.country) for f in flows(plan, "beijing", SCHEMA, policy.borders))
    return judge(policy, replace(ask_of(plan, "beijing", SCHEMA, "paris"), abroad=abroad))


LISTED = '[borders]\nhome = "CN"\nparties = { shanghai = "CN", paris = "FR", nowhere = "US" }\n'


@pytest.mark.parametrize(
    ("table", "allowed", "forbidden"),
    [
        ("", True, False),
        (LISTED, False, False),
        (LISTED + 'allow = ["FR"]\n', False, False),
        (LISTED + 'allow = ["FR", "US"]\n', True, False),
        (LISTED + 'otherwise = "rule"\n', True, False),
        (LISTED + 'otherwise = "deny"\nallow = ["FR"]\n', False, True),
        (LISTED + 'otherwise = "deny"\nallow = ["FR", "US"]\n', True, False),
    ],
)
def test_a_country_that_is_not_allowed_needs_a_person_or_is_refused(table: str, allowed: bool, forbidden: bool) -> None:
    found = verdict(table)
    assert (found.allowed, found.forbidden) == (allowed, forbidden)
    if not allowed:
        assert any("'nowhere' in US" in r for r in found.reasons)


def test_mistakes_in_the_table_are_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    for wrong in ('home = "China"', 'home = "CN"\nalow = ["FR"]', 'home = "CN"\notherwise = "maybe"', 'allow = ["FR"]'):
        path.write_text(f"[borders]\n{wrong}\n")
        with pytest.raises(PolicyFileError, match="borders"):
            read(path)
    text = policy_toml()
    start = text.index("# [borders]")
    lines = [line.removeprefix("# ") for line in text[start:].split("\n\n")[0].splitlines()]
    path.write_text("\n".join(lines))
    assert read(path).borders == Borders(
        home="CN", parties={"hospital-paris": "FR"}, allow=("FR",), basis={"FR": "standard contract of 2026-03"}
    )


# --- certificates ---
def test_a_certificate_that_says_another_country_is_refused(tmp_path: Path) -> None:
    certificates.create_ca(tmp_path)
    signed = {}
    for party, country in (("paris", "DE"), ("shanghai", None)):
        made = certificates.issue(tmp_path, party, country=country)
        signed[party] = sign(Statement(Word.APPROVE, party, "job-1", 1, "0" * 64, "0" * 64), made)
    assert country_of(signed["paris"].certificate) == "DE"
    assert country_of(signed["shanghai"].certificate) is None
    check_countries([("shanghai", signed["shanghai"])], HOME)
    check_countries([("paris", signed["paris"])], None)
    with pytest.raises(IdentityError, match=r"paris says that it is in DE, the policy here that it is in FR"):
        check_countries(list(signed.items()), HOME)
    with pytest.raises(ConfigError, match="country's code"):
        certificates.issue(tmp_path, "rome", country="Italy")


def record(seq: int, time: float, event: str, job: str = "", **detail: Any) -> Record:
    return Record(seq, time, event, job, detail, "", "")


def jobs(sizes: list[int], name: str = "study") -> list[Record]:
    found = []
    for i, size in enumerate(sizes):
        found += [record(0, 9e3 * i, "asked", f"j{i}", submitter="paris", job_name=name),
                  record(0, 9e3 * i + 1, "done", f"j{i}", bytes_sent=size)]  # fmt: skip
    return found


# --- anomalies ---
def test_ordinary_work_is_no_anomaly() -> None:
    assert find([]) == []
    assert find(jobs([1000, 1010, 990, 1050, 1000, 1100, 980])) == []


def test_a_volume_out_of_the_ordinary() -> None:
    (found,) = find(jobs([1000, 1010, 990, 1050, 1000, 9000, 1000]))
    assert (found.kind, found.job, found.party) == ("volume", "j5", "paris")
    assert "9,000 bytes" in found.what
    assert find(jobs([1000] * (LEAST_PAST - 1) + [10**9])) == [], "too little past to tell"


def test_bursts_refusals_and_differencing() -> None:
    burst = [record(0, 60.0 * i, "asked", f"j{i}", submitter="paris") for i in range(BURST)]
    assert [a.kind for a in find(burst)] == ["requests"]
    assert find(burst[:-1]) == []
    slow = [record(0, 7200.0 * i, "asked", f"j{i}", submitter="paris") for i in range(3 * BURST)]
    assert find(slow) == []
    refused = [r for i in range(DENIED) for r in (record(0, 4e3 * i, "asked", f"j{i}", submitter="paris"),
                                                  record(0, 4e3 * i + 1, "denied", f"j{i}"))]  # fmt: skip
    (found,) = find(refused)
    assert (found.kind, found.party) == ("refusals", "paris")
    text = "step: the rows differ by fewer than 5 from those of an earlier question (a, b): …"
    twice = [r for i in range(2) for r in (record(0, 9e4 * i, "asked", f"j{i}", submitter="paris"),
                                           record(0, 9e4 * i + 1, "done", f"j{i}", refused=[text]))]  # fmt: skip
    (found,) = find(twice)
    assert (found.kind, found.party, found.job) == ("differencing", "paris", "j1")
    assert find(twice[:2]) == []


def test_new_countries_missing_grounds_and_signatures_that_do_not_fit() -> None:
    moved = [
        record(0, 1.0, "transfer", "a", to="paris", country="FR", risk="low"),
        record(0, 2.0, "transfer", "b", to="paris", country="FR", risk="high", basis="contract"),
        record(0, 3.0, "transfer", "c", to="boston", country="US", risk="high"),
        record(0, 4.0, "refused", "d", code=PlanMismatch.code, what="paris approved another plan", party="paris"),
        record(0, 5.0, "failed", "e", code="PPC-E000", what="a disk is full"),
    ]
    assert [(a.kind, a.job) for a in find(moved)] == [("new country", "c"), ("no ground", "c"), ("identity", "d")]


def test_one_run_of_refusals_is_one_finding_and_the_next_another() -> None:
    def denied(start: float) -> list[Record]:
        return [r for i in range(4) for r in (record(0, start + i, "asked", f"{start}{i}", submitter="x"),
                                              record(0, start + i, "denied", f"{start}{i}"))]  # fmt: skip

    assert len(find(denied(0.0) + denied(10 * 86400.0))) == 2

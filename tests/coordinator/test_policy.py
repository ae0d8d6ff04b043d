from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppc.coordinator.policy import Ask, ColumnUse, Policy, Rule, judge, read
from ppc.coordinator.templates import policy_toml
from ppc.errors import FileError, PolicyFileError

ASK = Ask(
    me="bank-a",
    submitter="bank-b",
    partners=("bank-b",),
    helper="helper",
    operators=("align", "woe"),
    dataset="customers",
    columns=(ColumnUse("customer_id", "identifier", 3), ColumnUse("age", "feature", 2)),
    recipients=("bank-a", "bank-b"),
)
RULE = Rule(
    name="scorecard",
    partners=("bank-b",),
    helpers=("helper",),
    operators=("align", "woe"),
    datasets=("customers",),
    columns=("customer_id", "age"),
    recipients=("bank-b",),
)


def verdict(rule: dict[str, Any] | None = None, **ask: Any) -> Any:
    rules = (RULE.model_copy(update=rule or {}),)
    return judge(Policy(allow=rules), replace(ASK, **ask))


def test_without_rules_nothing_is_allowed() -> None:
    found = judge(Policy(), ASK)
    assert not found.allowed
    assert not found.forbidden
    assert found.reasons == ("the policy has no rules",)


def test_a_rule_that_covers_everything_allows() -> None:
    found = verdict()
    assert found.allowed
    assert found.rule == "scorecard"


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        ({"partners": ("bank-b", "bank-c")}, "party 'bank-c'"),
        ({"helper": "other-helper"}, "helper 'other-helper'"),
        ({"operators": ("align", "evaluate")}, "operator 'evaluate'"),
        ({"dataset": "payments"}, "dataset 'payments'"),
        ({"columns": (ColumnUse("age"), ColumnUse("income"))}, "column 'income'"),
        ({"recipients": ("bank-a", "bank-c")}, "recipient 'bank-c'"),
    ],
)
def test_one_thing_that_is_not_covered_is_enough_to_refuse(ask: dict[str, Any], named: str) -> None:
    found = verdict(**ask)
    assert not found.allowed
    assert named in found.reasons[0]


def test_submitters_may_be_limited() -> None:
    assert not verdict({"submitters": ("bank-a",)}).allowed
    assert verdict({"submitters": ("bank-a", "bank-b")}).allowed


def test_roles_and_grades_limit_the_columns_further() -> None:
    assert verdict({"roles": ("identifier", "feature"), "max_grade": 3}).allowed
    assert "role 'identifier'" in verdict({"roles": ("feature",)}).reasons[0]
    assert "grade 3" in verdict({"max_grade": 2}).reasons[0]


def test_a_column_without_role_or_grade_does_not_pass_a_limit_on_them() -> None:
    bare = (ColumnUse("age"),)
    assert verdict(columns=bare).allowed
    assert not verdict({"roles": ("*",)}, columns=bare).allowed
    assert not verdict({"max_grade": 5}, columns=bare).allowed


def test_patterns() -> None:
    assert verdict({"columns": ("customer_*", "a?e")}).allowed
    assert not verdict({"columns": ("Customer_*", "age")}).allowed


def test_an_empty_list_allows_nothing() -> None:
    assert not verdict({"operators": ()}).allowed
    assert not verdict({"helpers": ()}).allowed
    assert verdict({"helpers": ()}, helper=None).allowed


def test_the_first_rule_that_covers_is_the_one() -> None:
    rules = (RULE.model_copy(update={"name": "one", "operators": ()}), RULE.model_copy(update={"name": "two"}))
    assert judge(Policy(allow=rules), ASK).rule == "two"


def test_what_is_never_to_be_used_is_forbidden_even_beside_a_rule() -> None:
    found = judge(Policy(allow=(RULE,), never_columns=("customer*",)), ASK)
    assert found.forbidden
    assert not found.allowed
    found = judge(Policy(allow=(RULE,), never_partners=("bank-b",)), ASK)
    assert found.forbidden


@pytest.mark.parametrize(
    ("rule", "rows", "shown"),
    [("exact", 1234, 1234), ("hidden", 1234, 0), ("round:100", 1234, 1200), ("round:100", 3, 100), ("round:1", 7, 7)],
)
def test_row_counts_are_published_as_the_policy_says(rule: str, rows: int, shown: int) -> None:
    assert Policy(rows=rule).published_rows(rows) == shown


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[[allow]]\npartner = ['b']", "partner"),
        ("otherwise = 'maybe'", "otherwise"),
        ("rows = 'round:0'", "rows"),
        ("max_jobs = 0", "max_jobs"),
        ("[[allow]]\npartners = ['b']", "allow.0.operators"),
        ("[[allow]\n", "line 1"),
    ],
)
def test_a_malformed_policy_is_an_error_that_names_the_key(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(PolicyFileError) as caught:
        read(path)
    assert names in str(caught.value)
    assert "policy.toml" in str(caught.value)


def test_a_misspelt_key_gets_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[[allow]]\npartnrs = ['b']\npartners = []\noperators=[]\ndatasets=[]\ncolumns=[]\nrecipients=[]\n")
    with pytest.raises(PolicyFileError) as caught:
        read(path)
    assert caught.value.hint == "Did you mean 'partners'?"


def test_no_policy_file_is_an_error_and_not_a_policy(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        read(tmp_path / "policy.toml")


def test_the_template_denies_everything(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(policy_toml())
    policy = read(path)
    assert policy.allow == ()
    assert not judge(policy, ASK).allowed


def test_limits_of_statistics_are_checked() -> None:
    assert Policy(limits={"min_cell": 10, "exact_times": False}).limits == {"min_cell": 10, "exact_times": False}
    for wrong in ({"min_cel": 10}, {"min_cell": 0}):
        with pytest.raises(ValueError, match="limit"):
            Policy(limits=wrong)


def test_how_many_keys_a_peer_may_bring() -> None:
    assert Policy().peer_rows(1000) == 1500
    assert Policy().peer_rows(0) is None  # hidden in the catalog
    tight = Policy(max_peer_rows=1200, peer_rows_above_plan=0.1)
    assert [tight.peer_rows(n) for n in (0, 1000, 10_000)] == [1200, 1100, 1200]
    for wrong in ({"max_peer_rows": 0}, {"peer_rows_above_plan": -0.1}, {"peer_rows_above_plan": float("nan")}):
        with pytest.raises(ValueError, match="peer_rows"):
            Policy(**wrong)

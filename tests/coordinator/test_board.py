from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ppc.coordinator import statements
from ppc.coordinator.jobs import DirectiveKind, EventKind, Fault, JobState, Notice, Phase, Report
from ppc.coordinator.statements import Statement, Word
from ppc.errors import (
    ColumnError,
    IdentityError,
    JobCancelled,
    JobFileError,
    JobNotFound,
    JobStateError,
    PeerUnavailable,
    PlanMismatch,
    PolicyDenied,
    RemoteFailure,
)

FAULT = Fault.of(ColumnError("column 'x' is constant"), step="woe")


# ---- the way of a job that goes well ----
def test_a_job_goes_from_proposed_to_done(hall: Any) -> None:
    job = hall.submit()
    assert job.state is JobState.PROPOSED
    assert {a.name: [d.kind for d in a.take()] for a in hall.agents.values()} == {
        name: [DirectiveKind.CONSIDER] for name in ("bank-a", "bank-b", "helper")
    }
    hall.agents["bank-a"].approve(job)
    hall.agents["bank-b"].approve(job)
    assert hall.now().state is JobState.PROPOSED
    hall.agents["helper"].approve(job)
    assert hall.now().state is JobState.RUNNING
    assert "state  approved every participant approved the plan" in hall.texts()
    for agent in hall.agents.values():
        (prepare,) = agent.take()
        assert prepare.kind is DirectiveKind.PREPARE
        assert len(prepare.approvals) == 3
    for agent in hall.agents.values():
        assert agent.take() == []
        agent.report(job, Phase.READY, address=f"{agent.name}:1")
    for agent in hall.agents.values():
        (start,) = agent.take()
        assert start.kind is DirectiveKind.START
        assert start.addresses == {"bank-a": "bank-a:1", "bank-b": "bank-b:1", "helper": "helper:1"}
        agent.report(job, Phase.RUNNING)
    for agent in hall.agents.values():
        assert hall.now().state is JobState.RUNNING
        agent.report(job, Phase.DONE)
    assert hall.now().state is JobState.DONE
    assert [d.kind for d in hall.agents["bank-a"].take()] == [DirectiveKind.STOP]


def test_the_dataset_entries_a_job_was_planned_with_stay_with_it(hall: Any) -> None:
    hall.submit()
    assert [(e.party, e.name, e.rows) for e in hall.now().datasets] == [
        ("bank-a", "left", 100),
        ("bank-b", "right", 100),
    ]


def test_an_agent_that_connects_later_is_asked_then(make_hall: Callable[..., Any]) -> None:
    hall = make_hall()
    hall.everyone()
    hall.board.part(hall.agents["bank-b"].member, "stopped")
    hall.submit()
    assert [d.kind for d in hall.connect("bank-b", instance="two").take()] == [DirectiveKind.CONSIDER]


def test_jobs_wait_for_a_free_place_and_start_in_order(make_hall: Callable[..., Any]) -> None:
    hall = make_hall()
    hall.connect("bank-a", max_jobs=2)
    hall.connect("bank-b", max_jobs=1)
    hall.connect("helper", max_jobs=2)
    for name in ("one", "two", "three"):
        job = hall.submit(name)
        for agent in hall.agents.values():
            agent.approve(job)
    assert [hall.now(n).state for n in ("one", "two", "three")] == [
        JobState.RUNNING,
        JobState.APPROVED,
        JobState.APPROVED,
    ]
    hall.say(Word.CANCEL, hall.now("one"), "bank-a")
    assert [hall.now(n).state for n in ("two", "three")] == [JobState.RUNNING, JobState.APPROVED]


# ---- who may do what ----
def test_only_a_party_of_the_job_submits_it(hall: Any) -> None:
    with pytest.raises(PolicyDenied, match="helper is not a party"):
        hall.submit(party="helper")


def test_the_caller_cannot_pass_on_what_another_signed(hall: Any) -> None:
    said = Statement(Word.SUBMIT, "bank-b", "probe-1", 1, "h")
    with pytest.raises(IdentityError, match="bank-a sent a statement of bank-b"):
        hall.board.submit("bank-a", "", statements.sign(said, hall.keys["bank-b"]))


def test_a_job_that_names_someone_unknown_is_refused(hall: Any) -> None:
    with pytest.raises(JobFileError, match="party 'stranger' is not known"):
        hall.submit(text=hall.job_toml.replace('= "helper"', '= "stranger"'))


def test_a_job_that_names_no_such_dataset_is_refused_with_the_nearest(hall: Any) -> None:
    with pytest.raises(JobFileError, match="bank-b has no dataset 'rihgt'") as caught:
        hall.submit(text=hall.job_toml.replace('"right"', '"rihgt"'))
    assert caught.value.hint == "Did you mean 'right'?"


def test_the_same_job_id_cannot_be_used_twice(hall: Any) -> None:
    hall.submit()
    with pytest.raises(JobStateError, match="already a job"):
        hall.submit()


def test_an_old_statement_is_not_accepted(hall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = hall.submit()
    said = Statement(Word.CANCEL, "bank-a", job.id, 1, job.job_hash)
    signed = statements.sign(said, hall.keys["bank-a"])
    real = time.time
    monkeypatch.setattr("ppc.coordinator.board.time.time", lambda: real() + 3600)
    with pytest.raises(IdentityError, match="not of now"):
        hall.board.decide("bank-a", signed)


def test_jobs_are_seen_by_their_participants_only(hall: Any) -> None:
    hall.submit()
    assert [j.id for j in hall.board.jobs("bank-b")] == ["probe-1"]
    assert hall.board.jobs("stranger") == []
    for ask in (hall.board.job, hall.board.watch):
        with pytest.raises(JobNotFound):
            ask("stranger", "probe-1")


def test_a_schema_is_seen_only_by_those_its_owner_named(hall: Any) -> None:
    entry = hall.store.catalog()[1]
    hall.store.publish("bank-b", [replace(entry, visible_to=("bank-c",))])
    assert [e.name for e in hall.board.catalog("bank-a")] == ["left"]
    assert [e.name for e in hall.board.catalog("bank-c")] == ["left", "right"]
    assert [e.name for e in hall.board.catalog("bank-b")] == ["left", "right"]
    with pytest.raises(JobFileError, match="bank-b has no dataset 'right'"):
        hall.submit()


def test_the_number_of_open_jobs_is_limited(make_hall: Callable[..., Any]) -> None:
    hall = make_hall(max_open_jobs=1)
    hall.everyone()
    hall.submit("one")
    with pytest.raises(JobStateError, match="1 jobs are open"):
        hall.submit("two")


def test_a_second_agent_of_one_name_is_refused_while_the_first_lives(hall: Any) -> None:
    with pytest.raises(JobStateError, match="another agent of bank-a"):
        hall.connect("bank-a", instance="two")
    hall.board.part(hall.agents["bank-a"].member, None)
    hall.connect("bank-a", instance="two")


# ---- approvals ----
def test_a_person_approves_what_the_agent_computed(hall: Any) -> None:
    job = hall.submit()
    agent = hall.agents["bank-b"]
    agent.take()
    agent.report(job, Phase.WAITING, plan_hash="plan-1")
    with pytest.raises(PlanMismatch, match="not the plan that the party's agent computed"):
        hall.say(Word.APPROVE, job, "bank-b", plan_hash="plan-2")
    hall.say(Word.APPROVE, job, "bank-b", plan_hash="plan-1")
    (again,) = agent.take()
    assert again.kind is DirectiveKind.CONSIDER
    assert again.decision is not None
    assert hall.now().participants["bank-b"].phase is Phase.WAITING  # until the agent has checked it


def test_two_different_plans_fail_the_job_and_name_both(hall: Any) -> None:
    job = hall.submit()
    hall.agents["bank-a"].approve(job, "plan-1")
    hall.agents["helper"].approve(job, "plan-1")
    hall.agents["bank-b"].approve(job, "plan-2")
    job = hall.now()
    assert job.state is JobState.FAILED
    assert job.fault.code == PlanMismatch.code
    assert "bank-a and bank-b" in job.fault.what


def test_the_submitted_plan_must_be_the_approved_one(hall: Any) -> None:
    job = hall.submit(plan_hash="plan-0")
    for agent in hall.agents.values():
        agent.approve(job, "plan-1")
    assert hall.now().state is JobState.FAILED
    assert hall.now().fault.code == PlanMismatch.code


@pytest.mark.parametrize("change", ["unsigned", "of another job", "of another party", "of another plan"])
def test_an_approval_that_is_not_its_own_fails_the_job(hall: Any, change: str) -> None:
    job = hall.submit()
    said = Statement(Word.APPROVE, "bank-a", job.id, 1, job.job_hash, "plan-1")
    who = "bank-a"
    if change == "of another job":
        said = replace(said, job="probe-2")
    if change == "of another party":
        said, who = replace(said, party="bank-b"), "bank-b"
    if change == "of another plan":
        said = replace(said, plan_hash="plan-2")
    signed = None if change == "unsigned" else statements.sign(said, hall.keys[who])
    hall.agents["bank-a"].report(job, Phase.APPROVED, plan_hash="plan-1", approval=signed)
    assert hall.now().state is JobState.FAILED
    assert hall.now().fault.party == "bank-a"


def test_a_report_out_of_order_changes_nothing(hall: Any) -> None:
    job = hall.submit()
    for phase in (Phase.READY, Phase.RUNNING, Phase.DONE):
        hall.agents["bank-a"].report(job, phase)
    assert hall.now().participants["bank-a"].phase is Phase.PENDING


# ---- how jobs end ----
def test_an_error_at_one_party_reaches_all_and_names_party_and_step(hall: Any) -> None:
    job = hall.running()
    for agent in hall.agents.values():
        agent.take()
    hall.agents["bank-b"].report(job, Phase.FAILED, fault=FAULT)
    job = hall.now()
    assert job.state is JobState.FAILED
    assert (job.fault.party, job.fault.step, job.fault.what) == ("bank-b", "woe", "column 'x' is constant")
    for agent in hall.agents.values():
        (stop,) = agent.take()
        assert (stop.kind, stop.fault.party, stop.fault.step) == (DirectiveKind.STOP, "bank-b", "woe")


def test_the_party_that_is_blamed_tells_its_own_side_first(hall: Any) -> None:
    job = hall.running()
    hurt = Fault.of(RemoteFailure("bank-b failed", party="bank-b"))
    hall.agents["bank-a"].report(job, Phase.FAILED, fault=hurt)
    assert hall.now().state is JobState.RUNNING
    hall.agents["bank-b"].report(job, Phase.FAILED, fault=FAULT)
    assert hall.now().fault.what == "column 'x' is constant"


def test_a_chain_of_blame_is_followed_to_its_end(hall: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = hall.running()
    hall.agents["helper"].report(job, Phase.FAILED, fault=Fault.of(PeerUnavailable("bank-a is gone", party="bank-a")))
    hall.agents["bank-a"].report(job, Phase.FAILED, fault=Fault.of(PeerUnavailable("bank-b is gone", party="bank-b")))
    hall.board.tick()
    assert hall.now().state is JobState.RUNNING
    real = time.monotonic
    monkeypatch.setattr("ppc.coordinator.floor.time.monotonic", lambda: real() + 3)
    hall.board.tick()
    assert hall.now().fault.party == "bank-b"


def test_an_agent_that_vanishes_fails_its_running_jobs_after_the_lease(
    make_hall: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = make_hall(lease_s=2.0)
    hall.everyone()
    hall.running()
    hall.board.part(hall.agents["bank-b"].member, None)
    hall.board.tick()
    assert hall.now().state is JobState.RUNNING  # it may come back
    real = time.monotonic
    monkeypatch.setattr("ppc.coordinator.floor.time.monotonic", lambda: real() + 2.5)
    for name in ("bank-a", "helper"):
        hall.board.heard(hall.agents[name].member)
    hall.board.tick()
    assert hall.now().state is JobState.FAILED
    assert hall.now().fault.what == "bank-b has vanished"
    assert hall.now().fault.code == PeerUnavailable.code


def test_an_agent_that_comes_back_within_its_lease_goes_on(hall: Any) -> None:
    job = hall.running()
    hall.board.part(hall.agents["bank-b"].member, None)
    back = hall.connect("bank-b", jobs=(Report(job.id, 1, Phase.RUNNING),))
    assert hall.now().state is JobState.RUNNING
    for name in ("bank-a", "helper"):
        hall.agents[name].report(job, Phase.DONE)
    back.report(job, Phase.DONE)
    assert hall.now().state is JobState.DONE


def test_what_an_agent_finished_while_it_was_away_counts_when_it_is_back(hall: Any) -> None:
    job = hall.running()
    hall.board.part(hall.agents["bank-b"].member, None)
    for name in ("bank-a", "helper"):
        hall.agents[name].report(job, Phase.DONE)
    hall.connect("bank-b", jobs=(Report(job.id, 1, Phase.DONE),))
    assert hall.now().state is JobState.DONE


def test_an_agent_that_was_restarted_lost_its_running_jobs(hall: Any) -> None:
    hall.running()
    hall.board.part(hall.agents["bank-b"].member, None)
    hall.connect("bank-b", instance="two")
    assert hall.now().state is JobState.FAILED
    assert "bank-b was restarted" in hall.now().fault.what


def test_an_agent_that_says_goodbye_fails_its_running_jobs_at_once(hall: Any) -> None:
    job = hall.running()
    hall.board.notice(hall.agents["bank-b"].member, Notice(job.id, 1, EventKind.PROGRESS, "woe", 0.5, ""))
    hall.board.part(hall.agents["bank-b"].member, "stopped")
    assert hall.now().state is JobState.FAILED
    assert (hall.now().fault.what, hall.now().fault.step) == ("bank-b was stopped", "woe")


def test_a_party_that_does_not_get_ready_is_named(
    make_hall: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = make_hall(prepare_s=1.0, lease_s=60.0)
    hall.everyone()
    job = hall.submit()
    for agent in hall.agents.values():
        agent.approve(job)
    hall.agents["bank-a"].report(job, Phase.READY)
    hall.agents["helper"].report(job, Phase.READY)
    real = time.monotonic
    monkeypatch.setattr("ppc.coordinator.floor.time.monotonic", lambda: real() + 1.5)
    hall.board.tick()
    assert hall.now().fault.what == "bank-b did not get ready within 1 s"


def test_a_proposal_that_nobody_approves_ends_by_itself(make_hall: Callable[..., Any]) -> None:
    hall = make_hall(proposal_s=-1.0)
    hall.everyone()
    hall.submit()
    hall.board.tick()
    assert hall.now().state is JobState.CANCELLED
    assert "not approved in time by bank-a, bank-b, helper" in hall.now().fault.what


# ---- cancel, deny, retry ----
@pytest.mark.parametrize("state", ["proposed", "waiting", "approved", "preparing", "running", "half done"])
def test_cancel_works_in_every_state_that_is_not_an_end(make_hall: Callable[..., Any], state: str) -> None:
    hall = make_hall()
    for name in ("bank-a", "bank-b", "helper"):
        hall.connect(name, max_jobs=1)
    if state == "approved":
        hall.running("before")
    if state in ("running", "half done"):
        job = hall.running()
    else:
        job = hall.submit()
    if state == "waiting":
        hall.agents["bank-b"].report(job, Phase.WAITING, plan_hash="plan-1")
    if state in ("approved", "preparing"):
        for agent in hall.agents.values():
            agent.approve(job)
    if state == "half done":
        hall.agents["bank-a"].report(job, Phase.DONE)
    expected = {"waiting": "proposed", "preparing": "running", "half done": "running"}.get(state, state)
    assert hall.now().state == expected
    for agent in hall.agents.values():
        agent.take()
    hall.say(Word.CANCEL, job, "bank-b")
    job = hall.now()
    assert job.state is JobState.CANCELLED
    assert (job.fault.code, job.fault.party) == (JobCancelled.code, "bank-b")
    for agent in hall.agents.values():
        assert [d.kind for d in agent.take() if d.job_id == job.id] == [DirectiveKind.STOP]


@pytest.mark.parametrize("word", [Word.CANCEL, Word.DENY, Word.APPROVE])
def test_an_ended_job_cannot_be_decided_any_more(hall: Any, word: Word) -> None:
    job = hall.submit()
    hall.say(Word.CANCEL, job, "bank-a")
    with pytest.raises(JobStateError, match="is cancelled"):
        hall.say(word, job, "bank-b")


def test_deny_ends_a_job_and_says_who(hall: Any) -> None:
    job = hall.submit()
    hall.say(Word.DENY, job, "bank-b")
    assert hall.now().state is JobState.CANCELLED
    assert hall.now().fault.code == PolicyDenied.code
    assert hall.now().fault.party == "bank-b"


def test_deny_is_too_late_when_the_job_runs(hall: Any) -> None:
    job = hall.running()
    with pytest.raises(JobStateError):
        hall.say(Word.DENY, job, "bank-b")


def test_another_attempt_asks_everyone_again(hall: Any) -> None:
    job = hall.running()
    hall.agents["bank-b"].report(job, Phase.FAILED, fault=FAULT)
    with pytest.raises(PlanMismatch, match="another attempt"):
        hall.say(Word.RETRY, job, "bank-a", attempt=1)
    for agent in hall.agents.values():
        agent.take()
    hall.say(Word.RETRY, job, "bank-a", attempt=2)
    job = hall.now()
    assert (job.state, job.attempt, job.fault) == (JobState.PROPOSED, 2, None)
    for agent in hall.agents.values():
        (consider,) = agent.take()
        assert (consider.kind, consider.attempt) == (DirectiveKind.CONSIDER, 2)
        agent.report(replace(job, attempt=1), Phase.DONE)  # late news of the first attempt
    assert all(p.phase is Phase.PENDING for p in hall.now().participants.values())


def test_a_done_job_is_not_tried_again(hall: Any) -> None:
    job = hall.running()
    for agent in hall.agents.values():
        agent.report(job, Phase.DONE)
    with pytest.raises(JobStateError):
        hall.say(Word.RETRY, job, "bank-a", attempt=2)


# ---- watching ----
def test_a_watcher_gets_what_was_and_what_comes_until_the_end(hall: Any) -> None:
    job = hall.submit()
    box = hall.board.watch("bank-b", job.id)
    for agent in hall.agents.values():
        agent.approve(job)
    hall.board.notice(hall.agents["bank-a"].member, Notice(job.id, 1, EventKind.PROGRESS, "woe", 0.5, "binning"))
    hall.say(Word.CANCEL, job, "bank-a")
    events = []
    while not box.drained:
        events.append(box.get(1.0))
    kept = [e.seq for e in events if e.seq]
    assert kept == list(range(1, len(kept) + 1))
    assert [(e.party, e.step, e.fraction) for e in events if e.kind is EventKind.PROGRESS] == [("bank-a", "woe", 0.5)]
    assert events[-1].state is JobState.CANCELLED
    replayed = hall.board.watch("bank-b", job.id, after=2)
    assert replayed.get(0).seq == 3


def test_progress_that_is_no_fraction_is_ignored(hall: Any) -> None:
    job = hall.running()
    for fraction in (float("nan"), -0.1, 1.1):
        hall.board.notice(hall.agents["bank-a"].member, Notice(job.id, 1, EventKind.PROGRESS, "woe", fraction, ""))
    assert hall.now().participants["bank-a"].fraction == 0.0


# ---- a new coordinator over the old store ----
def test_after_a_restart_jobs_are_where_they_were(make_hall: Callable[..., Any]) -> None:
    first = make_hall()
    first.everyone()
    job = first.running()
    first.submit("probe-2")
    second = make_hall()
    assert second.now().state is JobState.RUNNING
    assert second.now("probe-2").state is JobState.PROPOSED
    for name in ("bank-a", "bank-b", "helper"):
        agent = second.connect(name, jobs=(Report(job.id, 1, Phase.RUNNING),))
        assert [(d.job_id, d.kind) for d in agent.take()] == [("probe-2", DirectiveKind.CONSIDER)]
    for agent in second.agents.values():
        agent.report(job, Phase.DONE)
    assert second.now().state is JobState.DONE


def test_after_a_restart_who_does_not_come_back_is_named(
    make_hall: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_hall()
    first.everyone()
    job = first.running()
    second = make_hall(lease_s=1.0)
    for name in ("bank-a", "helper"):
        second.connect(name, jobs=(Report(job.id, 1, Phase.RUNNING),))
    second.board.tick()
    assert second.now().state is JobState.RUNNING
    real = time.monotonic
    monkeypatch.setattr("ppc.coordinator.floor.time.monotonic", lambda: real() + 2.5)
    for agent in second.agents.values():
        second.board.heard(agent.member)
    second.board.tick()
    assert second.now().fault.what == "bank-b has vanished"


def test_an_agent_of_a_job_that_ended_meanwhile_is_told_to_stop(hall: Any) -> None:
    job = hall.running()
    hall.board.part(hall.agents["bank-b"].member, None)
    hall.say(Word.CANCEL, job, "bank-a")
    back = hall.connect("bank-b", jobs=(Report(job.id, 1, Phase.RUNNING),))
    assert [d.kind for d in back.take()] == [DirectiveKind.STOP]

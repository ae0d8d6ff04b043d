from __future__ import annotations

import itertools

import pytest

from ppc.coordinator.jobs import (
    MAX_TEXT,
    MOVES,
    Event,
    EventKind,
    Fault,
    JobRecord,
    JobState,
    Participant,
    Phase,
    Role,
    Signed,
    advances,
    check_job_id,
    clip,
    told_heads,
    with_head,
    without_head,
)
from ppc.errors import ColumnError, ConfigError, JobStateError

ALLOWED = {
    ("proposed", "approved"),
    ("proposed", "failed"),
    ("proposed", "cancelled"),
    ("approved", "running"),
    ("approved", "failed"),
    ("approved", "cancelled"),
    ("running", "done"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("failed", "proposed"),
    ("cancelled", "proposed"),
}


def record(state: JobState = JobState.PROPOSED) -> JobRecord:
    participants = {n: Participant(n, Role.PARTY, phase=Phase.APPROVED) for n in ("bank-a", "bank-b")}
    return JobRecord("j", "j", "bank-a", "", "h", Signed(b"", b"", b""), participants, (), state=state)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(JobState, JobState)))
def test_every_pair_of_states_moves_or_refuses(old: JobState, new: JobState) -> None:
    job = record(old)
    if (str(old), str(new)) in ALLOWED:
        job.move(new)
        assert job.state is new
    else:
        with pytest.raises(JobStateError, match=f"it cannot become {new}"):
            job.move(new)
        assert job.state is old


def test_only_done_is_final_and_ended_states_are_those_without_work() -> None:
    assert {s for s in JobState if not MOVES[s]} == {JobState.DONE}
    assert {s for s in JobState if s.ended} == {JobState.DONE, JobState.FAILED, JobState.CANCELLED}


def test_another_attempt_forgets_every_approval() -> None:
    job = record(JobState.FAILED)
    job.fault = Fault("PPC-E103", "x")
    job.reset()
    assert (job.state, job.attempt, job.fault) == (JobState.PROPOSED, 2, None)
    assert all(p.phase is Phase.PENDING and p.approval is None for p in job.participants.values())


def test_phases_only_go_forward() -> None:
    assert advances(Phase.PENDING, Phase.WAITING)
    assert advances(Phase.WAITING, Phase.APPROVED)
    assert advances(Phase.APPROVED, Phase.FAILED)
    assert advances(Phase.RUNNING, Phase.FAILED)
    assert not advances(Phase.APPROVED, Phase.WAITING)
    assert not advances(Phase.DONE, Phase.RUNNING)
    assert not advances(Phase.FAILED, Phase.REFUSED)
    assert not any(advances(p, p) for p in Phase)


def test_a_fault_keeps_the_class_of_its_error_and_names_the_step() -> None:
    error = Fault("PPC-E103", "column 'x' is constant", where="file a.csv", party="bank-b", step="woe").to_error()
    assert isinstance(error, ColumnError)
    assert str(error) == "column 'x' is constant (party bank-b, step woe, file a.csv)"
    assert Fault.from_dict(Fault("PPC-E103", "what").to_dict()) == Fault("PPC-E103", "what")
    assert Fault.from_dict({}) == Fault("PPC-E000", "unknown error")


@pytest.mark.parametrize("bad", ["", "-a", "A", "a/b", "..", "a.b", "a" * 65, "a b", "é", "a\n"])
def test_a_job_id_can_only_name_a_plain_folder(bad: str) -> None:
    with pytest.raises(ConfigError):
        check_job_id(bad)


def test_texts_are_cut_to_one_line() -> None:
    assert clip("a\nb\t c") == "a b c"
    assert len(clip("x" * 1000)) == MAX_TEXT


def test_the_head_of_an_audit_log_travels_with_a_text_and_is_found_again() -> None:
    head = "ab" * 32
    event = Event(1, 0.0, EventKind.PARTY, party="bank-a", text=with_head("waits", head))
    assert told_heads([event], "bank-a") == [head]
    assert told_heads([event], "bank-b") == []
    assert without_head(event.text) == "waits"
    assert with_head("waits", "not a hash") == "waits"


def test_a_quorum_is_more_than_half_of_the_parties() -> None:
    from ppc.coordinator import jobhead
    from ppc.errors import JobFileError

    text = 'name = "j"\nparties = ["a", "b", "c"]\nquorum = {}\n[datasets]\na = "x"\nb = "x"\nc = "x"\n'
    assert jobhead.read(text.format(2)).quorum == 2
    assert jobhead.read(text.replace("quorum = {}", "")).quorum is None
    for wrong in ("1", "4", "true", '"2"'):
        with pytest.raises(JobFileError, match="more than half"):
            jobhead.read(text.format(wrong))


@pytest.mark.parametrize(("n", "allowed"), [(2, True), (33, True), (50, True), (51, False)])
def test_up_to_fifty_parties(n: int, allowed: bool) -> None:
    from ppc.coordinator import jobhead
    from ppc.errors import JobFileError

    names = [f"site-{i}" for i in range(n)]
    data = "\n".join(f'{p} = "patients"' for p in names)
    text = f'name = "j"\nparties = {names!r}\n[datasets]\n{data}\n'.replace("'", '"')
    if allowed:
        assert len(jobhead.read(text).parties) == n
    else:
        with pytest.raises(JobFileError, match="between 2 and 50"):
            jobhead.read(text)

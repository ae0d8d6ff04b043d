from __future__ import annotations

import filecmp
import importlib.util
from pathlib import Path

import pytest

from ppc.coordinator import rpc
from ppc.coordinator.jobs import (
    Cost,
    DatasetEntry,
    Directive,
    DirectiveKind,
    Event,
    EventKind,
    Fault,
    Hello,
    JobRecord,
    JobState,
    Notice,
    Participant,
    Phase,
    Report,
    Role,
    Signed,
)
from ppc.coordinator.proto import generate
from ppc.coordinator.rpc import pb
from ppc.errors import ColumnError, FrameError

SIGNED = Signed(b"p", b"s", b"c")
FAULT = Fault("PPC-E103", "w", "where", "hint", "bank-b", "woe")
ENTRY = DatasetEntry("bank-a", "left", "toml", 7, ("bank-b",))
REPORT = Report("j", 2, Phase.DONE, "ph", SIGNED, "h:1", FAULT, "d", Cost(1, 2, 3, 4.5, 6), "ab" * 32)


def test_jobs_survive_the_wire() -> None:
    participants = {
        p.name: Participant(
            p.name, Role.PARTY, p, "ph", "d", FAULT, SIGNED, None, "", Cost(1, 2, 3, 4.5, 6), "woe", 0.5, True
        )
        for p in Phase
    }
    for state in JobState:
        job = JobRecord(
            "j", "n", "bank-a", "toml", "jh", SIGNED, participants, (ENTRY,), state, 3, "ph", FAULT, 1.5, 2.5
        )
        assert rpc.job_from(pb.Job.FromString(rpc.job_to(job).SerializeToString())) == job


@pytest.mark.parametrize("kind", list(EventKind))
def test_events_survive_the_wire(kind: EventKind) -> None:
    full = Event(3, 1.5, kind, 2, "bank-a", "woe", 0.5, "text", JobState.RUNNING, Phase.READY, FAULT)
    bare = Event(1, 1.0, kind)
    for event in (full, bare):
        assert rpc.event_from(pb.Event.FromString(rpc.event_to(event).SerializeToString())) == event


def test_what_agents_and_coordinator_say_survives_the_wire() -> None:
    hello = Hello(Role.HELPER, "0.1", "i", (ENTRY,), (REPORT, Report("j", 1, Phase.PENDING)), 3)
    assert rpc.hello_from(rpc.hello_to(hello).hello) == hello
    assert rpc.report_from(rpc.report_to(REPORT).report) == REPORT
    notice = Notice("j", 1, EventKind.LOG, "s", 0.5, "t")
    assert rpc.notice_from(rpc.notice_to(notice).event) == notice
    for kind in DirectiveKind:
        directive = Directive(kind, "j", 1, "toml", SIGNED, (ENTRY,), SIGNED, (SIGNED, SIGNED), {"a": "h:1"}, FAULT)
        assert rpc.directive_from(rpc.directive_to(directive).directive) == directive
        bare = Directive(kind, "j", 1)
        assert rpc.directive_from(rpc.directive_to(bare).directive) == bare


def test_errors_travel_with_their_class() -> None:
    error = ColumnError("column 'é' is constant", where="w", hint="h", party="bank-b")
    found = rpc.error_from(rpc.error_metadata(error))
    assert type(found) is ColumnError
    assert found.to_dict() == error.to_dict()
    assert rpc.error_from(None) is None
    assert rpc.error_from([("other", b"x")]) is None
    for bad in (b"", b"[]", b"\xff", b"7"):
        assert rpc.error_from([(rpc.FAULT_KEY, bad)]) is None


def test_values_that_no_version_of_ours_sends_are_refused() -> None:
    with pytest.raises(FrameError, match="phase"):
        rpc.report_from(pb.JobReport(job_id="j", phase=99))
    with pytest.raises(FrameError, match="phase"):
        rpc.report_from(pb.JobReport(job_id="j"))
    with pytest.raises(FrameError, match="kind"):
        rpc.directive_from(pb.Directive(kind=77))
    with pytest.raises(FrameError, match="rows"):
        rpc.entry_from(pb.Dataset(rows=-1))
    with pytest.raises(FrameError, match="max_jobs"):
        rpc.hello_from(pb.Hello(role=1, instance="i", max_jobs=0))


def test_every_value_of_every_enum_has_a_name_on_the_wire() -> None:
    for enum, wrapper in (
        (JobState, pb.JobState),
        (Phase, pb.Phase),
        (Role, pb.Role),
        (EventKind, pb.EventKind),
        (DirectiveKind, pb.DirectiveKind),
    ):
        assert len(wrapper.keys()) == len(list(enum)) + 1  # and UNSPECIFIED


def test_the_generated_code_is_the_proto_file(tmp_path: Path) -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("the compiler, grpcio-tools, is not installed")
    from google.protobuf import descriptor_pb2

    fresh = generate.generate(tmp_path)
    committed = (generate.ROOT / generate.PROTO).parent
    stamp = "Protobuf Python Version"
    versions = [
        next(x for x in p.read_text().splitlines() if stamp in x) for p in (fresh[0], committed / fresh[0].name)
    ]
    if versions[0] == versions[1]:
        for path in fresh:
            assert filecmp.cmp(path, committed / path.name, shallow=False), f"run: python -m {generate.__name__}"
    # Another compiler writes other code; what the code describes must be the same all the same.
    described = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(described)
    out = tmp_path / "set.pb"
    generate.compile_proto(f"--descriptor_set_out={out}")
    compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    for message in (compiled, described):
        message.ClearField("source_code_info")
        _without_json_names(message)
    assert described == compiled


def _without_json_names(message: object) -> None:
    """Compilers differ in whether they write down the default JSON names."""
    for part in list(message.message_type):  # type: ignore[attr-defined]
        for nested in (part, *part.nested_type):
            for field in nested.field:
                field.ClearField("json_name")


def test_only_adapters_import_the_generated_code() -> None:
    root = Path(generate.ROOT).parent.parent
    users = {
        str(p.relative_to(root))
        for p in root.rglob("*.py")
        if "proto" not in p.parts and ("coordinator_pb2" in p.read_text() or "import grpc" in p.read_text())
    }
    assert users <= {"coordinator/rpc.py", "net/relay.py"}

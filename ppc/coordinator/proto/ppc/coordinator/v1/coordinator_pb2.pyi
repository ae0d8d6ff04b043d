from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PARTY: _ClassVar[Role]
    ROLE_HELPER: _ClassVar[Role]

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_PROPOSED: _ClassVar[JobState]
    JOB_STATE_APPROVED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_DONE: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_PENDING: _ClassVar[Phase]
    PHASE_WAITING: _ClassVar[Phase]
    PHASE_APPROVED: _ClassVar[Phase]
    PHASE_REFUSED: _ClassVar[Phase]
    PHASE_READY: _ClassVar[Phase]
    PHASE_RUNNING: _ClassVar[Phase]
    PHASE_DONE: _ClassVar[Phase]
    PHASE_FAILED: _ClassVar[Phase]
    PHASE_STOPPED: _ClassVar[Phase]

class DirectiveKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTIVE_KIND_UNSPECIFIED: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_CONSIDER: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_PREPARE: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_START: _ClassVar[DirectiveKind]
    DIRECTIVE_KIND_STOP: _ClassVar[DirectiveKind]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_STATE: _ClassVar[EventKind]
    EVENT_KIND_PARTY: _ClassVar[EventKind]
    EVENT_KIND_PROGRESS: _ClassVar[EventKind]
    EVENT_KIND_LOG: _ClassVar[EventKind]
    EVENT_KIND_ERROR: _ClassVar[EventKind]
ROLE_UNSPECIFIED: Role
ROLE_PARTY: Role
ROLE_HELPER: Role
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_PROPOSED: JobState
JOB_STATE_APPROVED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_DONE: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
PHASE_UNSPECIFIED: Phase
PHASE_PENDING: Phase
PHASE_WAITING: Phase
PHASE_APPROVED: Phase
PHASE_REFUSED: Phase
PHASE_READY: Phase
PHASE_RUNNING: Phase
PHASE_DONE: Phase
PHASE_FAILED: Phase
PHASE_STOPPED: Phase
DIRECTIVE_KIND_UNSPECIFIED: DirectiveKind
DIRECTIVE_KIND_CONSIDER: DirectiveKind
DIRECTIVE_KIND_PREPARE: DirectiveKind
DIRECTIVE_KIND_START: DirectiveKind
DIRECTIVE_KIND_STOP: DirectiveKind
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_STATE: EventKind
EVENT_KIND_PARTY: EventKind
EVENT_KIND_PROGRESS: EventKind
EVENT_KIND_LOG: EventKind
EVENT_KIND_ERROR: EventKind

class Error(_message.Message):
    __slots__ = ("code", "what", "where", "hint", "party", "step")
    CODE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    code: str
    what: str
    where: str
    hint: str
    party: str
    step: str
    def __init__(self, code: _Optional[str] = ..., what: _Optional[str] = ..., where: _Optional[str] = ..., hint: _Optional[str] = ..., party: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...

class Statement(_message.Message):
    __slots__ = ("payload", "signature", "certificate")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    signature: bytes
    certificate: bytes
    def __init__(self, payload: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class Dataset(_message.Message):
    __slots__ = ("name", "schema_toml", "rows", "visible_to", "party")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_TOML_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_TO_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema_toml: str
    rows: int
    visible_to: _containers.RepeatedScalarFieldContainer[str]
    party: str
    def __init__(self, name: _Optional[str] = ..., schema_toml: _Optional[str] = ..., rows: _Optional[int] = ..., visible_to: _Optional[_Iterable[str]] = ..., party: _Optional[str] = ...) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("datasets", "online")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    online: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., online: _Optional[_Iterable[str]] = ...) -> None: ...

class Cost(_message.Message):
    __slots__ = ("rounds", "bytes_sent", "bytes_received", "seconds", "peak_memory_bytes")
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    rounds: int
    bytes_sent: int
    bytes_received: int
    seconds: float
    peak_memory_bytes: int
    def __init__(self, rounds: _Optional[int] = ..., bytes_sent: _Optional[int] = ..., bytes_received: _Optional[int] = ..., seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...

class Participant(_message.Message):
    __slots__ = ("party", "role", "phase", "plan_hash", "detail", "error", "step", "fraction", "cost", "online", "statement")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    party: str
    role: Role
    phase: Phase
    plan_hash: str
    detail: str
    error: Error
    step: str
    fraction: float
    cost: Cost
    online: bool
    statement: Statement
    def __init__(self, party: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., phase: _Optional[_Union[Phase, str]] = ..., plan_hash: _Optional[str] = ..., detail: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., step: _Optional[str] = ..., fraction: _Optional[float] = ..., cost: _Optional[_Union[Cost, _Mapping]] = ..., online: _Optional[bool] = ..., statement: _Optional[_Union[Statement, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "name", "state", "attempt", "submitter", "job_toml", "job_hash", "plan_hash", "participants", "datasets", "error", "created", "updated", "submission")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    JOB_TOML_FIELD_NUMBER: _ClassVar[int]
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANTS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: JobState
    attempt: int
    submitter: str
    job_toml: str
    job_hash: str
    plan_hash: str
    participants: _containers.RepeatedCompositeFieldContainer[Participant]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    error: Error
    created: float
    updated: float
    submission: Statement
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., attempt: _Optional[int] = ..., submitter: _Optional[str] = ..., job_toml: _Optional[str] = ..., job_hash: _Optional[str] = ..., plan_hash: _Optional[str] = ..., participants: _Optional[_Iterable[_Union[Participant, _Mapping]]] = ..., datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., created: _Optional[float] = ..., updated: _Optional[float] = ..., submission: _Optional[_Union[Statement, _Mapping]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "time", "kind", "party", "step", "fraction", "text", "state", "phase", "error", "attempt")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time: float
    kind: EventKind
    party: str
    step: str
    fraction: float
    text: str
    state: JobState
    phase: Phase
    error: Error
    attempt: int
    def __init__(self, seq: _Optional[int] = ..., time: _Optional[float] = ..., kind: _Optional[_Union[EventKind, str]] = ..., party: _Optional[str] = ..., step: _Optional[str] = ..., fraction: _Optional[float] = ..., text: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., phase: _Optional[_Union[Phase, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...

class AboutRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AboutReply(_message.Message):
    __slots__ = ("name", "version", "time", "caller", "online", "open_jobs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    OPEN_JOBS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    time: float
    caller: str
    online: _containers.RepeatedScalarFieldContainer[str]
    open_jobs: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., time: _Optional[float] = ..., caller: _Optional[str] = ..., online: _Optional[_Iterable[str]] = ..., open_jobs: _Optional[int] = ...) -> None: ...

class GetCatalogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("job_toml", "statement")
    JOB_TOML_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    job_toml: str
    statement: Statement
    def __init__(self, job_toml: _Optional[str] = ..., statement: _Optional[_Union[Statement, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("states", "limit")
    STATES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[JobState]
    limit: int
    def __init__(self, states: _Optional[_Iterable[_Union[JobState, str]]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListJobsReply(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("job_id", "after_seq")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_seq: int
    def __init__(self, job_id: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("statement",)
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    statement: Statement
    def __init__(self, statement: _Optional[_Union[Statement, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("role", "version", "instance", "datasets", "jobs", "max_jobs")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    MAX_JOBS_FIELD_NUMBER: _ClassVar[int]
    role: Role
    version: str
    instance: str
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    jobs: _containers.RepeatedCompositeFieldContainer[JobReport]
    max_jobs: int
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., version: _Optional[str] = ..., instance: _Optional[str] = ..., datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., jobs: _Optional[_Iterable[_Union[JobReport, _Mapping]]] = ..., max_jobs: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: float
    def __init__(self, time: _Optional[float] = ...) -> None: ...

class JobReport(_message.Message):
    __slots__ = ("job_id", "attempt", "phase", "plan_hash", "statement", "address", "error", "detail", "cost", "audit_head")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    AUDIT_HEAD_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    phase: Phase
    plan_hash: str
    statement: Statement
    address: str
    error: Error
    detail: str
    cost: Cost
    audit_head: str
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ..., plan_hash: _Optional[str] = ..., statement: _Optional[_Union[Statement, _Mapping]] = ..., address: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., detail: _Optional[str] = ..., cost: _Optional[_Union[Cost, _Mapping]] = ..., audit_head: _Optional[str] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("job_id", "attempt", "kind", "step", "fraction", "text")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    attempt: int
    kind: EventKind
    step: str
    fraction: float
    text: str
    def __init__(self, job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., kind: _Optional[_Union[EventKind, str]] = ..., step: _Optional[str] = ..., fraction: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class Leave(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class AgentMessage(_message.Message):
    __slots__ = ("hello", "heartbeat", "report", "event", "leave")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    report: JobReport
    event: JobEvent
    leave: Leave
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., report: _Optional[_Union[JobReport, _Mapping]] = ..., event: _Optional[_Union[JobEvent, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ...) -> None: ...

class Directive(_message.Message):
    __slots__ = ("kind", "job_id", "attempt", "job_toml", "submission", "datasets", "decision", "approvals", "addresses", "error", "helper")
    class AddressesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    JOB_TOML_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HELPER_FIELD_NUMBER: _ClassVar[int]
    kind: DirectiveKind
    job_id: str
    attempt: int
    job_toml: str
    submission: Statement
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    decision: Statement
    approvals: _containers.RepeatedCompositeFieldContainer[Statement]
    addresses: _containers.ScalarMap[str, str]
    error: Error
    helper: str
    def __init__(self, kind: _Optional[_Union[DirectiveKind, str]] = ..., job_id: _Optional[str] = ..., attempt: _Optional[int] = ..., job_toml: _Optional[str] = ..., submission: _Optional[_Union[Statement, _Mapping]] = ..., datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., decision: _Optional[_Union[Statement, _Mapping]] = ..., approvals: _Optional[_Iterable[_Union[Statement, _Mapping]]] = ..., addresses: _Optional[_Mapping[str, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., helper: _Optional[str] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("heartbeat", "directive")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVE_FIELD_NUMBER: _ClassVar[int]
    heartbeat: Heartbeat
    directive: Directive
    def __init__(self, heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., directive: _Optional[_Union[Directive, _Mapping]] = ...) -> None: ...

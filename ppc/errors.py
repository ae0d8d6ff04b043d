"""The exception tree of ppc.

    PpcError                         PPC-E000
    ├── InputError                   PPC-E100   what a person gave us: files, columns, values, settings
    │   ├── FileError                PPC-E101
    │   ├── SchemaError              PPC-E102
    │   ├── ColumnError              PPC-E103
    │   ├── ValueRangeError          PPC-E104
    │   ├── KeyColumnError           PPC-E105
    │   ├── LabelError               PPC-E106
    │   ├── NoMatchError             PPC-E107
    │   ├── TypeMismatchError        PPC-E108
    │   ├── JobFileError             PPC-E110
    │   ├── PolicyFileError          PPC-E111
    │   ├── ConfigError              PPC-E112
    │   ├── QueryError               PPC-E113
    │   └── ModelFileError           PPC-E114
    ├── ProtectionError              PPC-E200   a protection that will not, or can not, answer
    │   ├── BudgetExceeded           PPC-E201
    │   ├── DisclosureRefused        PPC-E202
    │   ├── SecretMisuse             PPC-E203
    │   ├── KeyFileError             PPC-E210
    │   ├── KeyMismatch              PPC-E211
    │   ├── ParameterMismatch        PPC-E212
    │   ├── DepthExhausted           PPC-E213
    │   ├── HeadroomExceeded         PPC-E214
    │   ├── EnvelopeError            PPC-E215
    │   └── WeakParameters           PPC-E216
    ├── NetError                     PPC-E300   the wire between parties
    │   ├── PeerUnavailable          PPC-E301
    │   ├── IdentityError            PPC-E302
    │   ├── FrameError               PPC-E303
    │   ├── PeerTimeout              PPC-E304
    │   └── PortInUse                PPC-E305
    ├── ProtocolError                PPC-E400   a secure computation that can not go on
    │   ├── ProtocolAbort            PPC-E401
    │   ├── CorrelationError         PPC-E402
    │   └── CheckFailed              PPC-E403   debug mode: a value out of range, or an error beyond the stated one
    ├── JobError                     PPC-E500   a joint job and its approvals
    │   ├── PolicyDenied             PPC-E501
    │   ├── PlanMismatch             PPC-E502
    │   ├── JobNotFound              PPC-E503
    │   ├── JobCancelled             PPC-E504
    │   ├── JobStateError            PPC-E505
    │   └── RemoteFailure            PPC-E506
    ├── MissingExtra                 PPC-E601   an optional package that is not installed
    └── InternalError                PPC-E900   a defect of ppc itself

Each class has a stable `code` and the exit status that the command line gives for it. A message names files, columns,
parties, steps, shapes and bounds, never a value of somebody's data; it is safe to log and to send to the other parties.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar


class PpcError(Exception):
    """The root: `what` is wrong, `where` (file, column or step), a `hint` what to do, and the `party` it concerns."""

    code: ClassVar[str] = "PPC-E000"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, party: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.party = party

    def __str__(self) -> str:
        place = ", ".join(p for p in (self.party and f"party {self.party}", self.where) if p)
        return f"{self.what} ({place})" if place else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.to_dict())

    def to_dict(self) -> dict[str, str]:
        """The error as plain strings, for a log, a JSON answer or the wire."""
        parts = {
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "hint": self.hint,
            "party": self.party,
        }
        return {k: v for k, v in parts.items() if v is not None}

    @staticmethod
    def from_dict(parts: Mapping[str, str]) -> PpcError:
        """The error that `to_dict` described; an unknown code gives a plain `PpcError`."""
        return _rebuild(_BY_CODE.get(parts.get("code", ""), PpcError), parts)


def _rebuild(cls: type[PpcError], parts: Mapping[str, str]) -> PpcError:
    return cls(
        parts.get("what", "unknown error"),
        where=parts.get("where"),
        hint=parts.get("hint"),
        party=parts.get("party"),
    )


# --- what a person gave us ---
class InputError(PpcError):
    """Something that a person gave is not usable as it is."""

    code = "PPC-E100"
    exit_status = 3


class FileError(InputError):
    """A file is missing, unreadable, of an unknown kind, or cannot be written."""

    code = "PPC-E101"


class SchemaError(InputError):
    """A schema is malformed, or the data do not fit it."""

    code = "PPC-E102"


class ColumnError(InputError):
    """A column is missing, or unfit for what was asked (constant, all null)."""

    code = "PPC-E103"


class ValueRangeError(InputError):
    """A value is NaN, infinite, or outside the range that can be represented; the message names the column."""

    code = "PPC-E104"


class KeyColumnError(InputError):
    """The key that joins two parties is missing, null, or has duplicates."""

    code = "PPC-E105"


class LabelError(InputError):
    """A label is not binary, has nulls, or holds one class only."""

    code = "PPC-E106"


class NoMatchError(InputError):
    """The parties have no row in common."""

    code = "PPC-E107"


class TypeMismatchError(InputError):
    """A column or argument has another type than the operation takes."""

    code = "PPC-E108"


class JobFileError(InputError):
    """A job file is malformed or names something unknown; the message has the line or key."""

    code = "PPC-E110"


class PolicyFileError(InputError):
    """A policy file is malformed; the message has the line or key."""

    code = "PPC-E111"


class ConfigError(InputError):
    """A setting, an option or an argument is not valid."""

    code = "PPC-E112"


class QueryError(InputError):
    """A query is malformed or outside the supported subset."""

    code = "PPC-E113"


class ModelFileError(InputError):
    """A saved model is damaged, of another version, or does not belong to this data."""

    code = "PPC-E114"


# --- protections ---
class ProtectionError(PpcError):
    """A protection can not answer this; the message says why and the hint names the one that can."""

    code = "PPC-E200"
    exit_status = 4


class BudgetExceeded(ProtectionError):
    """A release would cost more privacy budget than is left. Nothing was read."""

    code = "PPC-E201"


class DisclosureRefused(ProtectionError):
    """An answer would disclose too much (a small cell, a difference of two row sets)."""

    code = "PPC-E202"


class SecretMisuse(ProtectionError, TypeError):
    """A secret was used where a plain value is needed (`if x:`, `float(x)`, `x == y`)."""

    code = "PPC-E203"


class KeyFileError(ProtectionError):
    """A key file is damaged, of another version, or its passphrase is wrong."""

    code = "PPC-E210"


class KeyMismatch(ProtectionError):
    """A ciphertext belongs to another key."""

    code = "PPC-E211"


class ParameterMismatch(ProtectionError):
    """Ciphertexts of different schemes, parameters or scales were combined."""

    code = "PPC-E212"


class DepthExhausted(ProtectionError):
    """A ciphertext has no multiplicative level left for the operation."""

    code = "PPC-E213"


class HeadroomExceeded(ProtectionError):
    """The result of an operation would overflow the slots of a ciphertext."""

    code = "PPC-E214"


class EnvelopeError(ProtectionError):
    """A serialised ciphertext or token is truncated, altered, or of another version."""

    code = "PPC-E215"


class WeakParameters(ProtectionError):
    """Parameters below the security level that ppc allows."""

    code = "PPC-E216"


# --- the wire ---
class NetError(PpcError):
    """The connection between two parties failed."""

    code = "PPC-E300"
    exit_status = 5


class PeerUnavailable(NetError):
    """A peer cannot be reached, or has vanished."""

    code = "PPC-E301"


class IdentityError(NetError):
    """A certificate is missing, expired, from another authority, or of another party."""

    code = "PPC-E302"


class FrameError(NetError):
    """A peer sent a frame of the wrong tag, type, shape or length."""

    code = "PPC-E303"


class PeerTimeout(NetError):
    """A peer is connected but sent nothing within the time allowed."""

    code = "PPC-E304"


class PortInUse(NetError):
    """The address to listen on is taken or not permitted."""

    code = "PPC-E305"


# --- protocols ---
class ProtocolError(PpcError):
    """A secure computation can not go on."""

    code = "PPC-E400"
    exit_status = 6


class ProtocolAbort(ProtocolError):
    """The parties are not running the same program, or one of them left it; the message names the operation."""

    code = "PPC-E401"


class CorrelationError(ProtocolError):
    """Correlated randomness is exhausted, of another session, or was asked for twice."""

    code = "PPC-E402"


class CheckFailed(ProtocolError):
    """Debug mode found an operation whose value left the range or is off by more than its stated error."""

    code = "PPC-E403"


# --- jobs ---
class JobError(PpcError):
    """A joint job can not be submitted, approved or finished."""

    code = "PPC-E500"
    exit_status = 7


class PolicyDenied(JobError):
    """A party's policy does not allow the plan."""

    code = "PPC-E501"


class PlanMismatch(JobError):
    """Two parties hold different job files or plans."""

    code = "PPC-E502"


class JobNotFound(JobError):
    """No job of that name is known to the coordinator."""

    code = "PPC-E503"


class JobCancelled(JobError):
    """The job was cancelled."""

    code = "PPC-E504"


class JobStateError(JobError):
    """The job is not in a state that allows this."""

    code = "PPC-E505"


class RemoteFailure(JobError):
    """Another party failed; the message names it and the step."""

    code = "PPC-E506"


# --- the rest ---
class MissingExtra(PpcError):
    """An optional package is not installed; the hint has the pip command."""

    code = "PPC-E601"
    exit_status = 8


class InternalError(PpcError):
    """A defect of ppc itself."""

    code = "PPC-E900"
    exit_status = 70


def _tree(cls: type[PpcError]) -> Iterable[type[PpcError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _tree(sub)


_BY_CODE: dict[str, type[PpcError]] = {c.code: c for c in _tree(PpcError)}


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest of `known`, or lists a few of them; `None` if there are none."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    if not names:
        return None
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"Known names: {shown}"

"""The files a person writes to set up a coordinator, a party or a helper. Paths in them are relative to the file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppc.errors import ConfigError, FileError, InputError
from ppc.net.identity import check_party_name

MAX_CONFIG_BYTES: Final = 1 << 20

M = TypeVar("M", bound=BaseModel)


def _party_name(name: str) -> str:
    try:
        return check_party_name(name)
    except ConfigError as error:
        raise ValueError(f"{error.what}: {error.hint}") from None


def _address(text: str) -> str:
    split_address(text)
    return text


def _ports(text: str) -> str:
    split_ports(text)
    return text


PartyName = Annotated[str, AfterValidator(_party_name)]
Address = Annotated[str, AfterValidator(_address)]
PortRange = Annotated[str, AfterValidator(_ports)]


def split_address(text: str) -> tuple[str, int]:
    """`host:port` (or `[v6]:port`) as its two parts; `ValueError` if it is not one."""
    host, ports = split_ports(text)
    if len(ports) != 1:
        raise ValueError("one port, not a range")
    return host, ports[0]


def split_ports(text: str) -> tuple[str, range]:
    """`host:port` or `host:first-last` as the host and its ports; port 0 stands for any free one."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):(\d{1,5})(?:-(\d{1,5}))?", text)
    if not match:
        raise ValueError("expected host:port")
    first = int(match[2])
    last = int(match[3] or first)
    if not (first <= last <= 65535 and (first > 0 or last == 0)):
        raise ValueError("a port is between 0 and 65535, and a range goes upwards from 1 at least")
    return match[1].strip("[]"), range(first, last + 1)


def join_address(host: str, port: int) -> str:
    """The two parts as one text that `split_address` takes apart again."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentityFiles(_Settings):
    """The certificate that says who one is, its key, and the authority that every peer's certificate must come from."""

    certificate: Path
    key: Path
    ca: Path


class CoordinatorAddress(_Settings):
    """Where the coordinator listens, and the name its certificate must carry."""

    address: Address
    name: PartyName = "coordinator"


class DataPlane(_Settings):
    """Where shares arrive. A range of ports lets as many jobs run side by side; peers connect to `advertise`."""

    listen: PortRange = "127.0.0.1:0"
    advertise: str | None = None


class DatasetSettings(_Settings):
    """A file (or duckdb URL) that jobs may name. Columns that match `hide` do not exist for anybody else."""

    path: str
    schema_file: Path | None = Field(default=None, alias="schema")
    hide: tuple[str, ...] = ()
    visible_to: tuple[str, ...] = ("*",)


class _Member(_Settings):
    """What a party and a helper have in common."""

    name: PartyName
    coordinator: CoordinatorAddress
    identity: IdentityFiles
    data_plane: DataPlane = DataPlane()
    workdir: Path = Path("work")
    # Modules that register operators of one's own.
    operators: tuple[str, ...] = ()
    # How long a running job goes on without a coordinator that could cancel it.
    orphan_s: float = Field(default=60.0, gt=0, le=86400)
    # How long a peer may be silent before the job is given up.
    idle_timeout_s: float = Field(default=60.0, gt=0, le=86400)


class PartyConfig(_Member):
    """party.toml"""

    policy: Path = Path("policy.toml")
    datasets: dict[str, DatasetSettings] = {}


class HelperConfig(_Member):
    """helper.toml: a dealer of correlated randomness, which holds no data."""

    serve: tuple[str, ...]
    max_jobs: int = Field(default=2, ge=1, le=64)


class MemberConfig(_Member):
    """The part of party.toml or helper.toml that a client needs; the rest is not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Roster(_Settings):
    """Who may speak to the coordinator. A pin holds a party to one certificate (SHA-256 of its DER form, in hex)."""

    parties: tuple[PartyName, ...] = ()
    helpers: tuple[PartyName, ...] = ()
    pins: dict[PartyName, Annotated[str, Field(pattern=r"^(sha256:)?[0-9a-f]{64}$")]] = {}


class CoordinatorConfig(_Settings):
    """coordinator.toml"""

    name: PartyName = "coordinator"
    listen: Address = "127.0.0.1:7400"
    store: str = "sqlite:///coordinator.db"
    identity: IdentityFiles
    # "roster": those named below. "ca": whoever holds a certificate of the authority.
    admit: Literal["roster", "ca"] = "roster"
    roster: Roster = Roster()
    lease_s: float = Field(default=5.0, ge=1.0, le=60.0)
    prepare_s: float = Field(default=120.0, ge=1.0, le=3600.0)
    proposal_days: float = Field(default=7.0, gt=0, le=365.0)
    max_message_bytes: int = Field(default=4 << 20, ge=1 << 16, le=1 << 28)
    max_open_jobs: int = Field(default=200, ge=1, le=100_000)

    @model_validator(mode="after")
    def _someone_is_admitted(self) -> CoordinatorConfig:
        if self.admit == "roster" and not self.roster.parties:
            raise ValueError('roster.parties is empty, so nobody could connect; list them, or set admit = "ca"')
        return self


def load(path: Path, model: type[M], error: type[InputError] = ConfigError) -> M:
    """Reads and checks a TOML file; raises `error` naming the file and the key."""
    return check(read_toml(path, error), model, error, where=str(path))


def read_toml(path: Path, error: type[InputError] = ConfigError) -> dict[str, Any]:
    """The tables of a TOML file; raises `FileError`, or `error` with the line that is malformed."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise error(f"the file is larger than {MAX_CONFIG_BYTES} bytes", where=str(path))
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileError("there is no such file", where=str(path), hint=_neighbour(path)) from None
    except OSError as problem:
        raise FileError(f"cannot read the file: {problem.strerror}", where=str(path)) from problem
    except UnicodeDecodeError:
        raise error("the file is not UTF-8 text", where=str(path)) from None
    except tomllib.TOMLDecodeError as problem:
        raise error(f"not valid TOML: {problem}", where=str(path)) from None


def check(parts: dict[str, Any], model: type[M], error: type[InputError] = ConfigError, *, where: str) -> M:
    """`parts` as the model; raises `error` that names the first bad key, with the nearest good one."""
    try:
        return model.model_validate(parts)
    except ValidationError as problem:
        found = problem.errors(include_url=False, include_input=False, include_context=False)
        # A misspelt key gives two errors: the one that names it helps more than the one that misses the right one.
        first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])
        key = ".".join(str(p) for p in first["loc"])
        place = f"{where}, key '{key}'" if key else where
        if first["type"] == "extra_forbidden":
            raise error(f"unknown key '{first['loc'][-1]}'", where=place, hint=_near_key(model, first["loc"])) from None
        if first["type"] == "missing":
            raise error(f"the key '{key}' is missing", where=place) from None
        message = first["msg"].removeprefix("Value error, ")
        raise error(message[:1].lower() + message[1:], where=place) from None


def _near_key(model: type[BaseModel], loc: Sequence[int | str]) -> str | None:
    """The key of the nearest name at the place of an unknown one."""
    here: type[BaseModel] | None = model
    for part in loc[:-1]:
        if here is None:
            return None
        field = here.model_fields.get(str(part)) or next(
            (f for f in here.model_fields.values() if f.alias == str(part)), None
        )
        if field is None:
            continue  # an index of a list, or the name in a table of tables
        here = next((t for t in _types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)), None)
    if here is None:
        return None
    names = [f.alias or n for n, f in here.model_fields.items()]
    near = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.6)
    return f"Did you mean '{near[0]}'?" if near else f"known keys: {', '.join(names)}"


def _types(annotation: Any) -> list[Any]:
    return [annotation, *(t for a in get_args(annotation) for t in _types(a))]


def _neighbour(path: Path) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    near = difflib.get_close_matches(path.name, [f.name for f in folder.glob("*.toml")], n=1)
    return f"Did you mean '{near[0]}'?" if near else None


def beside(config: Path, path: Path | str) -> Path:
    """`path` as seen from the folder of the file `config`."""
    return Path(os.path.normpath(config.resolve().parent / Path(path).expanduser()))

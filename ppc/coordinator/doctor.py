"""Checks of an installation: each says what it found and, if something is wrong, what to do."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ppc.coordinator import policy as policies
from ppc.coordinator.config import (
    CoordinatorConfig,
    HelperConfig,
    IdentityFiles,
    PartyConfig,
    beside,
    load,
    read_toml,
    split_ports,
)
from ppc.errors import PpcError

_PACKAGES: Final = ("numpy", "numba", "pyarrow", "duckdb", "pydantic", "cryptography", "PyNaCl", "grpcio", "SQLAlchemy")
_SKEW_S: Final = 30.0
_EXPIRY_DAYS: Final = 30
_MEMORY_BYTES: Final = 2 << 30
_DISK_BYTES: Final = 1 << 30


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    level: Level
    what: str
    fix: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Runs every check; with a configuration also those of its identity, ports, policy and coordinator."""
    for check in (_python, _packages, _processor, _compiled, _memory):
        yield from _safely(check.__name__.strip("_"), check)
    if config is None:
        yield Finding("config", Level.WARN, "no configuration was checked", "give one: ppc doctor --config party.toml")
        return
    yield from _safely("config", lambda: _config(config))


def _safely(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The check's findings; an error of it is one too."""
    try:
        yield from check()
    except PpcError as error:
        yield Finding(name, Level.FAIL, str(error), error.hint or "")
    except Exception as error:
        yield Finding(name, Level.FAIL, f"the check broke off ({type(error).__name__})", "run it with --debug")


# ---- this machine ----
def _python() -> Iterator[Finding]:
    version = platform.python_version()
    # What else is older than ppc supports, pip refused to install.
    yield Finding("python", Level.OK, f"Python {version} on {platform.system()} {platform.machine()}")
    if sys.platform == "win32":
        yield Finding("python", Level.FAIL, "Windows is not supported by the agents", "use WSL, or a Linux machine")


def _packages() -> Iterator[Finding]:
    import ppc

    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding(
            "packages", Level.FAIL, f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    yield Finding("packages", Level.OK, f"ppc {ppc.__version__}; {', '.join(found)}")


def _processor() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    flags = _cpu_flags()
    if flags is None:
        yield Finding("processor", Level.OK, f"{cores} cores; its features are not known here")
        return
    wanted = {"aes": "AES instructions (pseudo-random streams)", "avx2": "AVX2 (ring kernels)"}
    missing = [what for flag, what in wanted.items() if flag not in flags]
    if platform.machine().startswith(("arm", "aarch")):
        missing = [] if "aes" in flags else [wanted["aes"]]
    if missing:
        yield Finding(
            "processor", Level.WARN, f"{cores} cores, without {' and '.join(missing)}", "jobs run, several times slower"
        )
    else:
        yield Finding("processor", Level.OK, f"{cores} cores with AES{' and AVX2' if 'avx2' in flags else ''}")


def _cpu_flags() -> set[str] | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return None


def _compiled() -> Iterator[Finding]:
    import numba

    cache = str(getattr(numba.config, "CACHE_DIR", "")) or str(Path(__file__).parent.parent / "core" / "__pycache__")
    writable = os.access(cache if Path(cache).exists() else Path(cache).parent, os.W_OK)
    if writable:
        yield Finding("compiled code", Level.OK, "compiled kernels are kept between runs")
    else:
        fix = "set NUMBA_CACHE_DIR to a folder that you can write to, so that kernels are not compiled at each start"
        yield Finding("compiled code", Level.WARN, f"the cache of compiled kernels cannot be written: {cache}", fix)


def _memory() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} GiB of {memory.total / 2**30:.1f} GiB memory free"
    if memory.available < _MEMORY_BYTES:
        yield Finding("memory", Level.WARN, text, "large jobs may be killed; close other programs")
    else:
        yield Finding("memory", Level.OK, text)


# ---- one configuration ----
def _config(path: Path) -> Iterator[Finding]:
    keys = read_toml(path)
    if "roster" in keys or "listen" in keys or path.name.startswith("coordinator"):
        yield from _coordinator(path, load(path, CoordinatorConfig))
    elif "serve" in keys:
        yield from _member(path, load(path, HelperConfig))
    else:
        config = load(path, PartyConfig)
        yield from _safely("policy", lambda: _policy(path, config))
        yield from _safely("datasets", lambda: _datasets(path, config))
        yield from _member(path, config)


def _coordinator(path: Path, config: CoordinatorConfig) -> Iterator[Finding]:
    yield Finding("config", Level.OK, f"{path}: the coordinator '{config.name}'")
    yield from _safely("identity", lambda: _identity(path, config.name, config.identity))
    yield from _safely("port", lambda: _port("listen", config.listen))


def _member(path: Path, config: PartyConfig | HelperConfig) -> Iterator[Finding]:
    yield Finding("config", Level.OK, f"{path}: '{config.name}'")
    yield from _safely("identity", lambda: _identity(path, config.name, config.identity))
    yield from _safely("port", lambda: _port("data_plane.listen", config.data_plane.listen))
    yield from _safely("folder", lambda: _folder(beside(path, config.workdir)))
    yield from _safely("coordinator", lambda: _connection(path))


def _policy(path: Path, config: PartyConfig) -> Iterator[Finding]:
    file = beside(path, config.policy)
    policy = policies.read(file)
    otherwise = "waits for a person" if policy.otherwise == "wait" else "is denied"
    text = f"{file}: {len(policy.allow)} rules; what they do not allow {otherwise}"
    for rule in policy.allow:
        if "*" in rule.columns and "*" in rule.partners:
            yield Finding("policy", Level.WARN, f"rule '{rule.name}' gives every column to every partner", "name them")
    yield Finding("policy", Level.OK, text)


def _datasets(path: Path, config: PartyConfig) -> Iterator[Finding]:
    if not config.datasets:
        yield Finding("datasets", Level.WARN, "no datasets", f"add a [datasets.NAME] table to {path}")
    for name, settings in config.datasets.items():
        if settings.path.startswith("duckdb:"):
            continue
        file = beside(path, settings.path)
        if not os.access(file, os.R_OK):
            fix = "is the path right, and may this user read it?"
            yield Finding("datasets", Level.FAIL, f"dataset '{name}': {file} cannot be read", fix)
        else:
            yield Finding("datasets", Level.OK, f"dataset '{name}': {file}")


def _identity(path: Path, name: str, files: IdentityFiles) -> Iterator[Finding]:
    from ppc.coordinator.identity import certificate_of, check_chain, identity_of, read_authorities, read_pem
    from ppc.net.identity import inspect, key_is_private

    identity = identity_of(name, files, path)
    check_chain(
        certificate_of(read_pem(identity.cert_path)), read_authorities(read_pem(identity.ca_path)), at=time.time()
    )
    found = inspect(identity.cert_path)
    renew = f"issue a new certificate: ppc ca issue {name}"
    if found.days_left < _EXPIRY_DAYS:
        yield Finding("identity", Level.WARN, f"the certificate of {name} expires in {found.days_left} days", renew)
    else:
        yield Finding("identity", Level.OK, f"the certificate of {name} is valid for {found.days_left} days")
    authority = inspect(identity.ca_path)
    if authority.days_left < _EXPIRY_DAYS:
        text = f"the authority expires in {authority.days_left} days"
        yield Finding("identity", Level.WARN, text, "make a new one and give its ca.pem to everyone beside the old one")
    if not key_is_private(identity.key_path):
        yield Finding("identity", Level.FAIL, f"others can read {identity.key_path}", f"chmod 600 {identity.key_path}")


def _port(key: str, listen: str) -> Iterator[Finding]:
    host, ports = split_ports(listen)
    taken = []
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError as error:
                taken.append(f"{port} ({error.strerror})")
    if len(taken) == len(ports):
        text = f"{key} = {listen}: cannot be used: {', '.join(taken)}"
        yield Finding("port", Level.WARN, text, "fine if it is our own server that runs; else choose another port")
    else:
        yield Finding("port", Level.OK, f"{key} = {listen} is free")


def _folder(folder: Path) -> Iterator[Finding]:
    place = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        yield Finding("folder", Level.FAIL, f"{place} cannot be written", "choose another workdir")
    elif free < _DISK_BYTES:
        yield Finding("folder", Level.WARN, f"only {free / 2**30:.1f} GiB free in {place}", "free some space")
    else:
        yield Finding("folder", Level.OK, f"{folder}: {free / 2**30:.0f} GiB free")


def _connection(path: Path) -> Iterator[Finding]:
    import ppc
    from ppc.coordinator.client import Client

    with Client.of(path) as client:
        asked = time.time()
        about = client.about()
        waited = time.time() - asked
    online = ", ".join(about.online) or "nobody"
    yield Finding("coordinator", Level.OK, f"{about.name} answers in {waited * 1000:.0f} ms; connected: {online}")
    skew = abs(about.time - (asked + time.time()) / 2)
    if skew > _SKEW_S:
        text = f"this clock and the coordinator's differ by {skew:.0f} s"
        yield Finding("clock", Level.FAIL, text, "set both by NTP: certificates and signatures depend on it")
    else:
        yield Finding("clock", Level.OK, "this clock agrees with the coordinator's")
    if about.version != ppc.__version__:
        text = f"the coordinator runs ppc {about.version}, this is {ppc.__version__}"
        yield Finding("versions", Level.WARN, text, "run one version everywhere: plans must be the same")

"""The part of a job file that the coordinator looks at: who takes part, and with which dataset.

It does not look at the steps: what they mean is between the parties, and each of them reads the whole text for itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ppc.errors import ConfigError, JobFileError
from ppc.net.identity import check_party_name

MAX_JOB_BYTES: Final = 256 << 10
MAX_PARTIES: Final = 50
NO_HELPER: Final = "none"


@dataclass(frozen=True)
class JobHead:
    """Name and participants of a job. `parties` are in rank order; `datasets` maps each to a name in its catalog.

    `quorum`: the job may go on without parties that are lost while it runs, down to so many; `None`: it needs all.
    """

    name: str
    parties: tuple[str, ...]
    helper: str | None
    datasets: Mapping[str, str]
    quorum: int | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """The parties, then the helper."""
        return (*self.parties, *([self.helper] if self.helper else []))


def read(text: str) -> JobHead:
    """The head of a job text; raises `JobFileError` that names the key."""
    if len(text.encode("utf-8", "replace")) > MAX_JOB_BYTES:
        raise JobFileError(f"the job file is larger than {MAX_JOB_BYTES} bytes")
    try:
        doc = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise JobFileError(f"not valid TOML: {error}") from None
    name, parties = doc.get("name"), doc.get("parties")
    if not isinstance(name, str) or not 0 < len(name) <= 64:
        raise _fault("must be a text of 1 to 64 characters", "name")
    if (
        not isinstance(parties, list)
        or not 2 <= len(parties) <= MAX_PARTIES
        or len(set(map(str, parties))) < len(parties)
    ):
        raise _fault(f"must list between 2 and {MAX_PARTIES} different parties", "parties")
    for party in parties:
        _check_name(party, "parties")
    helper = doc.get("helper", NO_HELPER)
    _check_name(helper, "helper")
    if helper in parties:
        raise _fault("must not be one of the parties", "helper")
    quorum = doc.get("quorum")
    if quorum is not None and not (type(quorum) is int and len(parties) < 2 * quorum <= 2 * len(parties)):
        raise _fault("must be more than half of the parties, and at most all of them", "quorum")
    return JobHead(name, tuple(parties), None if helper == NO_HELPER else helper, _datasets(doc, parties), quorum)


def _datasets(doc: Mapping[str, Any], parties: list[str]) -> dict[str, str]:
    datasets = doc.get("datasets")
    if not isinstance(datasets, dict):
        raise _fault("must map each party to the name of a dataset in its catalog", "datasets")
    for party in parties:
        if not isinstance(datasets.get(party), str):
            raise _fault(f"names no dataset of '{party}'", "datasets")
    return {party: datasets[party] for party in parties}


def _check_name(name: Any, key: str) -> None:
    try:
        check_party_name(name if isinstance(name, str) else "")
    except ConfigError as error:
        raise _fault(error.what, key) from None


def _fault(what: str, key: str) -> JobFileError:
    return JobFileError(what, where=f"job file, key '{key}'")

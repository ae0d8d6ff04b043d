"""What a person at a party does with jobs: propose one, look at its plan, approve, deny, cancel, try again."""

from __future__ import annotations

import re
from typing import Final

from ppc.coordinator import statements
from ppc.coordinator.client import Client
from ppc.coordinator.jobs import JobRecord
from ppc.coordinator.planning import Planned, plan_job
from ppc.coordinator.statements import Statement, Word
from ppc.core.rng import random_bytes
from ppc.errors import PlanMismatch

_ID_NAME_CHARS: Final = 40


def new_job_id(name: str) -> str:
    """An id that nobody used before, with the job's name in it for people."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_ID_NAME_CHARS].strip("-")
    return f"{slug or 'job'}-{random_bytes(4).hex()}"


def plan_at(client: Client, job_toml: str) -> Planned:
    """The plan of a job text on what the catalog shows to this party."""
    entries, _online = client.catalog()
    return plan_job(job_toml, entries)


def submit(client: Client, job_toml: str) -> tuple[JobRecord, Planned]:
    """Plans the job here, signs it, and proposes it to the others."""
    planned = plan_at(client, job_toml)
    job_id = new_job_id(planned.job.name)
    said = Statement(Word.SUBMIT, client.me, job_id, 1, planned.job.hash, planned.plan.hash)
    return client.submit(job_toml, statements.sign(said, client.identity)), planned


def plan_of(client: Client, job: JobRecord) -> Planned:
    """The plan of a job as this party computes it; raises `PlanMismatch` if its agent computed another."""
    planned = plan_job(job.job_toml, job.datasets)
    theirs = job.participants[client.me].plan_hash
    if theirs and theirs != planned.plan.hash:
        raise PlanMismatch(
            "the plan computed here is not the one that our agent computed",
            where=f"job {job.id}",
            hint="do this command and the agent run the same version of ppc?",
            party=client.me,
        )
    if planned.job.hash != job.job_hash:
        raise PlanMismatch("the job's text is not the one that was signed", where=f"job {job.id}")
    return planned


def approve(client: Client, job: JobRecord, planned: Planned) -> JobRecord:
    """Says, signed, that this very plan may run."""
    return _decide(client, job, Word.APPROVE, plan_hash=planned.plan.hash)


def deny(client: Client, job: JobRecord, reason: str = "") -> JobRecord:
    """Says that the job may not run; the others are told the reason."""
    return _decide(client, job, Word.DENY, reason=reason)


def cancel(client: Client, job: JobRecord, reason: str = "") -> JobRecord:
    """Ends the job, whatever it is doing."""
    return _decide(client, job, Word.CANCEL, reason=reason)


def retry(client: Client, job: JobRecord) -> JobRecord:
    """Asks for another attempt of a job that failed or was cancelled; each party approves it anew."""
    catalog, _online = client.catalog()
    planned = plan_job(job.job_toml, catalog)
    return _decide(client, job, Word.RETRY, plan_hash=planned.plan.hash, attempt=job.attempt + 1)


def _decide(
    client: Client, job: JobRecord, word: Word, *, plan_hash: str = "", reason: str = "", attempt: int | None = None
) -> JobRecord:
    said = Statement(word, client.me, job.id, attempt or job.attempt, job.job_hash, plan_hash, reason)
    return client.decide(statements.sign(said, client.identity))

"""`ppc approve`, `ppc deny`, `ppc cancel`, `ppc retry`: a party's signed word on a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ppc.cli._common import DEFAULT_CONFIG, ConfigOption, JsonOption, client, err, print_json
from ppc.cli.jobs import describe, follow

if TYPE_CHECKING:
    from ppc.coordinator.jobs import JobRecord

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why; every participant sees it.")]


def approve(
    job_id: JobArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan: Annotated[
        str | None, typer.Option("--plan", help="Approve only if the plan has this hash (or begins so).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the plan of a job and, after a yes, let it run with this party's data.

    The plan is computed here, from the job's text; the approval is signed with this party's key, and its agent checks
    that it is for the very plan that the agent computed.
    """
    from ppc.coordinator import proposals
    from ppc.coordinator.jobs import JobState
    from ppc.errors import ConfigError, PlanMismatch

    with client(config, plans=True) as connection:
        job = connection.job(job_id)
        job.require(JobState.PROPOSED, action="approved")
        planned = proposals.plan_of(connection, job)
        if plan is not None and (len(plan) < 8 or not planned.plan.hash.startswith(plan)):
            raise PlanMismatch("the job's plan has another hash", where="--plan", hint=f"it is {planned.plan.hash}")
        if not as_json:
            from ppc.cli.plan import across
            from ppc.coordinator.borders import text

            print(planned.plan.text())
            if shown := text(*across(planned.plan, config)):
                print(shown)
        if not yes and plan is None:
            if not sys.stdin.isatty():
                raise ConfigError("nobody is here to ask", where="ppc approve", hint="give --plan HASH, or --yes")
            typer.confirm(f"Let this run with the data of {connection.me}?", abort=True, err=True)
        _tell(proposals.approve(connection, job, planned), as_json, f"{connection.me} approved the plan")


def deny(
    job_id: JobArgument, reason: ReasonOption = "", config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Refuse a job that waits for this party. It ends for everyone."""
    from ppc.coordinator import proposals

    with client(config) as connection:
        _tell(proposals.deny(connection, connection.job(job_id), reason), as_json, "denied")


def cancel(
    job_id: JobArgument, reason: ReasonOption = "", config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """End a job at every participant, whatever it is doing."""
    from ppc.coordinator import proposals

    with client(config) as connection:
        _tell(proposals.cancel(connection, connection.job(job_id), reason), as_json, "cancelled")


def retry(
    job_id: JobArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job until it ends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for another attempt of a job that failed or was cancelled.

    Every party approves it anew. Steps that all parties finished before are taken from disk.
    """
    from ppc.coordinator import proposals

    with client(config, plans=True) as connection:
        job = proposals.retry(connection, connection.job(job_id))
        if not (watch and as_json):
            _tell(job, as_json, f"attempt {job.attempt} proposed")
        if watch:
            follow(connection, job_id, as_json=as_json)


def _tell(job: JobRecord, as_json: bool, text: str) -> None:
    if as_json:
        print_json(describe(job))
    else:
        err().print(f"{job.id}: {text}; the job is {job.state}", markup=False)

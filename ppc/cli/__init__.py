"""The `ppc` command. No logic: each file here turns options into calls of the library, and answers into text or JSON.

Results go to stdout; progress, logs and errors to stderr. An error is `error[PPC-E…]: what (where)`, then `hint: …`;
its exit status is the one of its class in ppc/errors.py (docs/cli.md lists them).

A group of commands is one file and one line in `COMMANDS`. Its module is imported when the command runs, so
`ppc --help` stays quick whatever a group needs.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple


class Command(NamedTuple):
    """Where a command lives (`module:attribute`, a function or a `typer.Typer`), its line in the help, its section."""

    target: str
    help: str
    section: str = "Tools"


_START: Final = "Start here"
_JOBS: Final = "Joint jobs"
_DATA: Final = "Prepare data"
_SERVERS: Final = "Set up and serve"

COMMANDS: Final[dict[str, Command]] = {
    "demo": Command("ppc.cli.demo:app", "See ppc at work on this machine.", _START),
    "psi": Command("ppc.cli.psi:app", "Match two files by key between two hosts, without a coordinator.", _START),
    "submit": Command("ppc.cli.jobs:submit", "Propose a job to the other parties.", _JOBS),
    "jobs": Command("ppc.cli.jobs:jobs", "List this party's jobs, or show one.", _JOBS),
    "watch": Command("ppc.cli.jobs:watch", "Follow a job until it ends.", _JOBS),
    "approve": Command("ppc.cli.decide:approve", "Show a job's plan and let it run with this party's data.", _JOBS),
    "deny": Command("ppc.cli.decide:deny", "Refuse a job.", _JOBS),
    "cancel": Command("ppc.cli.decide:cancel", "End a job, whatever it is doing.", _JOBS),
    "retry": Command("ppc.cli.decide:retry", "Ask for another attempt of a job that failed.", _JOBS),
    "plan": Command("ppc.cli.plan:plan", "Show what each party would learn from a job, and its cost.", _JOBS),
    "simulate": Command("ppc.cli.plan:simulate", "Run a job with all parties in this one process.", _JOBS),
    "catalog": Command("ppc.cli.jobs:catalog", "List the datasets that parties have published.", _JOBS),
    "scan": Command("ppc.cli.scan:scan", "Find what columns hold; draft schemas with roles and grades.", _DATA),
    "inventory": Command("ppc.cli.scan:inventory", "List scanned datasets, their columns and grades.", _DATA),
    "desensitize": Command("ppc.cli.desensitize:desensitize", "Transform a file by a policy, column by column.", _DATA),
    "policy": Command("ppc.cli.desensitize:policy_app", "Draft and check desensitization policies.", _DATA),
    "anonymize": Command("ppc.cli.risk:anonymize", "Generalize a table until k, l and t hold.", _DATA),
    "risk": Command("ppc.cli.risk:risk", "Measure the anonymity of a table that is to be released.", _DATA),
    "key": Command("ppc.cli.desensitize:key_app", "Make keys for desensitization.", _DATA),
    "keys": Command("ppc.cli.keys:app", "Make and show keys for computing on ciphertexts.", _DATA),
    "he": Command("ppc.cli.he:app", "Encrypt columns, add them up unread, decrypt the sums.", _DATA),
    "budget": Command("ppc.cli.budget:app", "Show and set the privacy budgets of datasets.", _DATA),
    "ca": Command("ppc.cli.ca:app", "Make an authority, and certificates for parties.", _SERVERS),
    "init": Command("ppc.cli.init:app", "Write the settings of a coordinator, party or helper.", _SERVERS),
    "coordinator": Command("ppc.cli.serve:coordinator", "Serve as the coordinator.", _SERVERS),
    "party": Command("ppc.cli.serve:party", "Serve as a party's agent: data, policy, computation.", _SERVERS),
    "helper": Command("ppc.cli.serve:helper", "Serve as the helper that deals randomness.", _SERVERS),
    "offline": Command("ppc.cli.offline:app", "Make correlated randomness ahead of time.", _SERVERS),
    "doctor": Command("ppc.cli.doctor:doctor", "Check this installation and its connections.", _SERVERS),
    "audit": Command("ppc.cli.audit:app", "Show and verify a party's audit log.", _SERVERS),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    from ppc.cli._run import run

    return run(sys.argv[1:] if argv is None else argv)

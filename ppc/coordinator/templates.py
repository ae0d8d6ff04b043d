"""Settings to begin with, with a word on each key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def _text(value: str) -> str:
    # A JSON string is a TOML basic string for everything that names and paths contain.
    return json.dumps(value)


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(_text(v) for v in values) + "]"


def _identity(keys: Mapping[str, str]) -> str:
    return "[identity]\n" + "".join(f"{k} = {_text(v)}\n" for k, v in keys.items())


def coordinator_toml(listen: str, keys: Mapping[str, str], parties: Sequence[str], helpers: Sequence[str]) -> str:
    """coordinator.toml"""
    return f"""\
# The coordinator: it knows schemas, jobs and approvals, never data, shares or results.
name = "coordinator"
listen = {_text(listen)}
store = "sqlite:///coordinator.db"       # or postgresql://user@host/name
admit = "roster"                         # "ca" would admit every certificate of the authority

{_identity(keys)}
[roster]
parties = {_list(parties)}
helpers = {_list(helpers)}

[roster.pins]
# Hold a party to one certificate; `ppc ca show FILE` prints the fingerprint.
# bank-a = "sha256:…"
"""


def party_toml(name: str, address: str, keys: Mapping[str, str], listen: str, datasets: Mapping[str, str]) -> str:
    """party.toml"""
    tables = "".join(
        f"\n[datasets.{_text(dataset)}]\npath = {_text(path)}\n"
        '# schema = "schema.toml"            # names, roles and grades of the columns; `ppc scan` drafts one\n'
        '# hide = ["internal_*"]             # these columns do not exist for anybody else\n'
        '# visible_to = ["*"]                # who may see the schema\n'
        for dataset, path in datasets.items()
    )
    example = '\n# [datasets.customers]\n# path = "customers.csv"\n# schema = "customers.schema.toml"\n'
    return f"""\
# One institution's agent: it holds the data and decides by policy.toml what may run.
name = {_text(name)}
policy = "policy.toml"
workdir = "work"                         # jobs, models and the audit log

[coordinator]
address = {_text(address)}
name = "coordinator"                     # the name that its certificate must say

{_identity(keys)}
[data_plane]
listen = {_text(listen)}          # shares arrive here; a range of ports (host:7501-7504) lets jobs run side by side
# advertise = "bank-a.example"           # what the others connect to, if that is another name
{tables or example}"""


def helper_toml(name: str, address: str, keys: Mapping[str, str], listen: str, serve: Sequence[str]) -> str:
    """helper.toml"""
    return f"""\
# The helper deals correlated randomness. It sees no data; it must not collude with a party.
name = {_text(name)}
workdir = "work"
serve = {_list(serve)}
max_jobs = 2

[coordinator]
address = {_text(address)}
name = "coordinator"

{_identity(keys)}
[data_plane]
listen = {_text(listen)}
# advertise = "helper.example"
"""


def policy_toml() -> str:
    """policy.toml: nothing is allowed until somebody writes a rule."""
    return """\
# What may run with this party's data. What no rule allows waits for `ppc approve JOB`.
otherwise = "wait"                       # or "deny"
rows = "round:100"                       # how row counts are published: "exact", "round:N", "hidden"
max_jobs = 1                             # jobs that run at a time
# max_peer_rows = 5_000_000              # keys that a peer may bring to a matching, at most
peer_rows_above_plan = 0.5               # and this much more than the rows that the plan counts with

# Not even a person's approval lets these be used.
never_columns = []
never_partners = []

# Where we and our partners are. What would be told abroad is shown with a plan and kept in the audit log.
# [borders]
# home = "CN"                            # ISO 3166 codes
# parties = { hospital-paris = "FR" }      # a party that is not listed counts as abroad
# otherwise = "ask"                      # a country that is not allowed: "ask" a person, "deny", or "rule"
# allow = ["FR"]
# basis = { FR = "standard contract of 2026-03" }

# A rule allows a plan only if it covers everything the plan asks. Texts are patterns: "age*", "*".
# [[allow]]
# name = "scorecard with bank-b"
# partners = ["bank-b"]                  # every other party
# helpers = ["helper"]
# operators = ["align", "woe", "select", "logistic_regression", "scorecard", "evaluate"]
# datasets = ["customers"]
# columns = ["customer_id", "income", "age*"]
# recipients = ["bank-b"]                # who may learn something that comes from our columns
# submitters = ["bank-a", "bank-b"]
# roles = ["feature", "identifier"]      # further limits, if wanted
# max_grade = 3
"""

"""Which of a plan's disclosures cross a border, how much is at risk, and whether the policy lets them.

A party's policy says where it is and where those are with whom it works (`[borders]`); a party that it does not list is
abroad. A certificate may state a country too (`ppc ca issue --country`): an agent runs nothing with a participant whose
certificate says another country than its policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from ppc.errors import IdentityError

if TYPE_CHECKING:
    from ppc.coordinator.jobs import Signed
    from ppc.coordinator.planning import Planned
    from ppc.dataset.schema import Schema

UNKNOWN: Final = "unknown"
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
#: From this grade on (of 5) a column counts as sensitive; a column without a grade does.
SENSITIVE: Final = 4


class Borders(BaseModel):
    """The table `[borders]` of policy.toml. Countries are ISO 3166 codes of two letters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Country
    # Where the others are, as contracts with them say.
    parties: dict[str, Country] = Field(default_factory=dict)
    # What happens to a plan that tells something of our data in a country that `allow` does not list: a rule may allow
    # it as any other, only a person may, or nobody.
    otherwise: Literal["rule", "ask", "deny"] = "ask"
    allow: tuple[Country, ...] = ()
    # On what ground data go to a country: copied into the audit log.
    basis: dict[Country, str] = Field(default_factory=dict)

    def country(self, party: str) -> str:
        """Where a party is."""
        return self.parties.get(party, UNKNOWN)


@dataclass(frozen=True)
class Flow:
    """One disclosure that crosses our border. `alone`: it is about our rows alone, not pooled with others'."""

    to: str
    country: str
    step: str
    what: str
    columns: tuple[str, ...]
    grade: int | None
    alone: bool

    @property
    def risk(self) -> str:
        """`high`: our rows alone, and a sensitive or ungraded column. `medium`: one of the two. `low`: neither."""
        return ("low", "medium", "high")[self.alone + (self.grade is None or self.grade >= SENSITIVE)]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "columns": list(self.columns), "risk": self.risk}


def flows(planned: Planned, me: str, schema: Schema | None, borders: Borders | None) -> tuple[Flow, ...]:
    """Every disclosure of the plan that is about `me` and goes to a party abroad; none if the policy has no borders."""
    from ppc.joint.operator import EVERYONE

    if borders is None:
        return ()
    found = []
    for d in planned.plan.disclosures:
        if d.about not in (me, EVERYONE):
            continue
        for to in planned.job.parties if d.to == EVERYONE else (d.to,):
            country = borders.country(to)
            if to == me or country == borders.home:
                continue
            columns = tuple(c for c in d.columns if schema is None or c in schema)
            grades = [None if schema is None else schema[c].grade for c in columns]
            known = [int(g) for g in grades if g is not None]
            grade = max(known) if columns and len(known) == len(columns) else None
            if not columns and d.step == "start":
                grade = 1  # names and types of columns
            found.append(Flow(to, country, d.step, d.what, columns, grade, d.about == me))
    return tuple(found)


def check_countries(approvals: Iterable[tuple[str, Signed]], borders: Borders | None) -> None:
    """Raises `IdentityError` if a participant's certificate says another country than the policy."""
    if borders is None:
        return
    for party, signed in approvals:
        stated, expected = country_of(signed.certificate), borders.country(party)
        if stated is not None and expected != UNKNOWN and stated != expected:
            raise IdentityError(
                f"the certificate of {party} says that it is in {stated}, the policy here that it is in {expected}",
                party=party, hint="correct [borders] parties in policy.toml, or ask for another certificate",
            )  # fmt: skip


def country_of(certificate: bytes) -> str | None:
    """The country that a certificate (PEM) states."""
    from cryptography.x509.oid import NameOID

    from ppc.coordinator.identity import certificate_of

    found = certificate_of(certificate).subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)
    return str(found[0].value) if found else None


def text(found: Iterable[Flow], borders: Borders | None) -> str:
    """The flows for people, one line for each receiver and risk; empty if there are none."""
    lines: dict[tuple[str, str, str], list[Flow]] = {}
    for flow in found:
        lines.setdefault((flow.country, flow.to, flow.risk), []).append(flow)
    if not lines or borders is None:
        return ""
    shown = [f"Across the border of {borders.home} (by our policy):"]
    for (country, to, risk), some in sorted(lines.items()):
        steps = ", ".join(dict.fromkeys(f.step for f in some))
        many = f"{len(some)} disclosures" if len(some) > 1 else "1 disclosure"
        basis = borders.basis.get(country)
        ground = f"; ground: {basis}" if basis else "; no ground is given for this country"
        shown.append(f"   - {to} in {country}: {many} in {steps}; risk {risk}{ground}.")
    return "\n".join(shown) + "\n"


def summary(found: Iterable[Flow], basis: Mapping[str, str]) -> list[dict[str, Any]]:
    """For the audit log: one entry for each receiver and step."""
    merged: dict[tuple[str, str], list[Flow]] = {}
    for flow in found:
        merged.setdefault((flow.to, flow.step), []).append(flow)
    order = ("low", "medium", "high")
    return [
        {
            "to": to, "country": some[0].country, "step": step, "what": [f.what for f in some],
            "columns": sorted({c for f in some for c in f.columns}), "basis": basis.get(some[0].country, ""),
            "risk": max((f.risk for f in some), key=order.index),
        }
        for (to, step), some in merged.items()
    ]  # fmt: skip

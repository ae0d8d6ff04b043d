"""What is out of the ordinary in an audit log: flows, requests and refusals that a person should look at.

Rules over a party's own log, each with its threshold beside it. They find what stands out against this log's own past;
they prove nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from ppc.coordinator.audit import Record
from ppc.errors import IdentityError, PlanMismatch

HOUR, DAY = 3600.0, 86400.0
LEAST_PAST: Final = 5  # so many earlier jobs tell what is ordinary
VOLUME_Z: Final = 3.5  # robust z-score of the logarithm (Iglewicz and Hoaglin 1993)
BURST: Final = 10  # requests of one party within an hour
DENIED: Final = 3  # refusals of one party's requests within a day
SUSPECT: Final = frozenset({IdentityError.code, PlanMismatch.code})
DIFFERENCES: Final = 2  # jobs with a step refused for asking about nearly the same rows, within thirty days


@dataclass(frozen=True)
class Anomaly:
    """One finding: its kind, when it was complete, who and which job, and what stands out."""

    kind: str
    time: float
    party: str
    job: str
    what: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find(records: Sequence[Record]) -> list[Anomaly]:
    """Every finding, in order of time."""
    asked = {r.job: r for r in records if r.event == "asked"}
    found = [*_volume(records, asked), *_bursts(records), *_denials(records, asked), *_differences(records, asked)]
    found += [*_new_countries(records), *_broken_words(records)]
    return sorted(found, key=lambda a: a.time)


def _submitter(asked: dict[str, Record], job: str) -> str:
    return str(asked[job].detail.get("submitter", "")) if job in asked else ""


def _volume(records: Sequence[Record], asked: dict[str, Record]) -> Iterable[Anomaly]:
    """A job that sent far more than earlier jobs of the same name, or of all where that name has few."""
    past: dict[str, list[float]] = defaultdict(list)
    for r in records:
        sent = r.detail.get("bytes_sent")
        if r.event != "done" or not isinstance(sent, int | float) or not sent > 0:
            continue
        name = str(asked[r.job].detail.get("job_name", "")) if r.job in asked else ""
        ordinary = past[name] if len(past[name]) >= LEAST_PAST else [x for some in past.values() for x in some]
        if len(ordinary) >= LEAST_PAST:
            middle = median(ordinary)
            spread = max(median(abs(x - middle) for x in ordinary), 0.05)  # equal jobs still differ by some per cent
            if 0.6745 * (math.log(sent) - middle) / spread > VOLUME_Z:
                yield Anomaly("volume", r.time, _submitter(asked, r.job), r.job,
                              f"sent {sent:,.0f} bytes, ordinary are {math.exp(middle):,.0f}")  # fmt: skip
        past[name].append(math.log(sent))


def _bursts(records: Sequence[Record]) -> Iterable[Anomaly]:
    """Many requests of one party within an hour."""
    times: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        if r.event == "asked":
            times[str(r.detail.get("submitter", ""))].append(r)
    for party, asks in times.items():
        yield from _windows(asks, HOUR, BURST, "requests", party, "requests within an hour")


def _denials(records: Sequence[Record], asked: dict[str, Record]) -> Iterable[Anomaly]:
    """A party whose requests were refused again and again."""
    of: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        if r.event in ("forbidden", "denied"):
            of[_submitter(asked, r.job)].append(r)
    for party, refused in of.items():
        yield from _windows(refused, DAY, DENIED, "refusals", party, "requests were refused by the policy within a day")


def _differences(records: Sequence[Record], asked: dict[str, Record]) -> Iterable[Anomaly]:
    """Repeated questions about nearly the same rows as earlier ones."""
    of: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        refused = r.detail.get("refused", []) if r.event == "done" else []
        if isinstance(refused, list) and any("earlier question" in str(x) for x in refused):
            of[_submitter(asked, r.job)].append(r)
    for party, some in of.items():
        words = "jobs asked about nearly the same rows as an earlier one within thirty days"
        yield from _windows(some, 30 * DAY, DIFFERENCES, "differencing", party, words)


def _windows(
    records: list[Record], width: float, least: int, kind: str, party: str, words: str
) -> Iterable[Anomaly]:  # fmt: skip
    """One finding for each run of `least` or more records of which neighbours lie within the window."""
    start = 0
    reported = -1
    for end, r in enumerate(records):
        while r.time - records[start].time > width:
            start += 1
        if end - start + 1 >= least and start > reported:
            reported = end
            yield Anomaly(kind, r.time, party, r.job, f"{end - start + 1} {words}")


def _new_countries(records: Sequence[Record]) -> Iterable[Anomaly]:
    """The first transfer to a country, once transfers are an ordinary thing; and each of high risk without a ground."""
    seen: set[str] = set()
    for r in records:
        if r.event != "transfer":
            continue
        country, to = str(r.detail.get("country", "")), str(r.detail.get("to", ""))
        if seen and country not in seen:
            yield Anomaly("new country", r.time, to, r.job, f"the first transfer to {country}")
        seen.add(country)
        if r.detail.get("risk") == "high" and not r.detail.get("basis"):
            yield Anomaly("no ground", r.time, to, r.job, f"a transfer of high risk to {country} without a ground")


def _broken_words(records: Sequence[Record]) -> Iterable[Anomaly]:
    """Signatures, approvals or plans that did not fit: an attack, or parties of different versions."""
    for r in records:
        if r.event in ("refused", "failed") and str(r.detail.get("code", "")) in SUSPECT:
            yield Anomaly("identity", r.time, str(r.detail.get("party", "")), r.job, str(r.detail.get("what", "")))

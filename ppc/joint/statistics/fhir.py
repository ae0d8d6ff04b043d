"""FHIR R4 bulk exports (NDJSON: Patient, Condition, Observation, MedicationRequest) as a study's dataset.

Source: HL7 FHIR R4 (4.0.1), the resources' definitions; FHIR Bulk Data Access 2.0 for the files.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ppc.dataset.dataset import Dataset
from ppc.errors import FileError
from ppc.joint.statistics.extract import Extract, assemble, wrong_unit

Resource = Mapping[str, Any]


def read(folder: str | Path, extract: Extract, *, name: str = "patients") -> Dataset:
    """One row for each Patient in the folder's `*.ndjson` files; codes are those of `coding.code`, whatever the system.

    Raises:
        FileError: no files, or a line that is no resource (naming the file and the line).
        ColumnError: a measure with values in several units.
    """
    root = Path(folder)
    people = {}
    for patient in resources(root, "Patient"):
        born = _day(patient.get("birthDate"))
        age = None if born is None else float(_years(born, extract.on))
        sex = patient.get("gender")
        people[str(patient.get("id"))] = (sex if sex in ("female", "male") else None, age)
    if not people:
        raise FileError("no Patient is in the *.ndjson files", where=str(root))
    flags: dict[str, set[str]] = {c: set() for c in (*extract.conditions, *extract.drugs)}
    for kind, wanted, place, when in (
        ("Condition", extract.conditions, "code", ("onsetDateTime", "recordedDate")),
        ("MedicationRequest", extract.drugs, "medicationCodeableConcept", ("authoredOn",)),
    ):
        for resource in resources(root, kind) if wanted else ():
            day = next((d for d in (_day(resource.get(k)) for k in when) if d), None)
            if day is None or day <= extract.on:
                found = _codes(resource.get(place))
                for column, codes in wanted.items():
                    if found & {str(c) for c in codes}:
                        flags[column].add(_subject(resource))
    return assemble(extract, people, flags, _measures(root, extract), name)


def _measures(root: Path, extract: Extract) -> dict[str, dict[str, float]]:
    best: dict[str, dict[str, tuple[dt.date, float]]] = {c: {} for c in extract.measures}
    units: dict[str, set[str]] = {c: set() for c in extract.measures}
    for resource in resources(root, "Observation") if extract.measures else ():
        quantity, day = resource.get("valueQuantity") or {}, _day(resource.get("effectiveDateTime"))
        value, person = quantity.get("value"), _subject(resource)
        if not isinstance(value, int | float) or isinstance(value, bool) or day is None or day > extract.on:
            continue
        found = _codes(resource.get("code"))
        for column, measure in extract.measures.items():
            if found & {str(c) for c in measure.codes}:
                unit = str(quantity.get("code") or quantity.get("unit") or "")
                units[column].add(unit)
                known = best[column].get(person)
                if known is None or (day >= known[0] if measure.which == "last" else day < known[0]):
                    best[column][person] = (day, float(value))
    for column, measure in extract.measures.items():
        if len(units[column]) > 1 or (measure.unit is not None and units[column] - {str(measure.unit)}):
            raise wrong_unit(column, len(units[column]), str(root))
    return {c: {p: v for p, (_, v) in found.items()} for c, found in best.items()}


def resources(root: Path, kind: str) -> Iterator[Resource]:
    """Every resource of a kind, from all NDJSON files of the folder."""
    files = sorted(root.glob("*.ndjson"))
    if not files:
        raise FileError("no *.ndjson files", where=str(root))
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    found = json.loads(line)
                    mine = found["resourceType"] == kind
                except (ValueError, KeyError, TypeError, RecursionError):
                    raise FileError("not a FHIR resource", where=f"{path}, line {number}") from None
                if mine:
                    yield found


def _subject(resource: Resource) -> str:
    return str((resource.get("subject") or {}).get("reference", "")).removeprefix("Patient/")


def _codes(concept: Any) -> set[str]:
    return {str(c.get("code")) for c in (concept or {}).get("coding", ())}


def _day(text: Any) -> dt.date | None:
    """A FHIR date, which may lack day or month: the middle of what is left open."""
    if not isinstance(text, str):
        return None
    parts = text[:10].split("-")
    try:
        return dt.date(int(parts[0]), int(parts[1]) if len(parts) > 1 else 7, int(parts[2]) if len(parts) > 2 else 1)
    except ValueError:
        return None


def _years(born: dt.date, on: dt.date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))

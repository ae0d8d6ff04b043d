"""The demonstration's hospitals: bundled clinical data dealt out to four sites, or four real hospitals' files.

Bundled is the German Breast Cancer Study Group's second trial (Schumacher et al., J Clin Oncol 1994; 686 patients), a
file inside the lifelines package. Each site writes it as hospitals do: with its own names, units and codes.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ppc.core.files import atomic_write
from ppc.core.rng import Stream
from ppc.errors import FileError, MissingExtra

SITES: Final = ("north", "south", "east", "west")
_BREAST: Final = ("age", "menostat", "tsize", "tgrade", "pnodes", "hormone", "time", "event")

BREAST_STEPS: Final = """\
[[step]]
operator = "align_schema"
columns = [
  { name = "age", unit = "year", low = 18, high = 110 },
  { name = "menostat", type = "category", levels = ["Pre", "Post"] },
  { name = "tsize", unit = "mm", low = 0, high = 300 },
  { name = "tgrade", type = "category", levels = ["I", "II", "III"] },
  { name = "pnodes", low = 0, high = 100 },
  { name = "hormone", type = "category", levels = ["no", "yes"] },
  { name = "time", unit = "day", low = 0, high = 5000 },
  { name = "event", low = 0, high = 1 },
]
[step.sites.south]
tsize = { column = "tumour_cm", unit = "cm" }
hormone = { column = "tamoxifen", codes = { "0" = "no", "1" = "yes" } }
[step.sites.east]
age = { column = "Alter" }
menostat = { column = "Menopause", codes = { "vor" = "Pre", "nach" = "Post" } }

[[step]]
operator = "table_one"
columns = ["age", "menostat", "tsize", "tgrade", "pnodes"]
by = "hormone"

[[step]]
operator = "glm"
outcome = "event"
terms = ["age", "hormone", "tsize", "tgrade", "pnodes"]

[[step]]
operator = "kaplan_meier"
time = "time"
event = "event"
by = "hormone"
interval = 30.0
horizon = 2700.0

[[step]]
operator = "log_rank"
time = "time"
event = "event"
by = "hormone"
interval = 30.0
horizon = 2700.0

[[step]]
operator = "cox"
time = "time"
event = "event"
terms = ["age", "hormone", "tsize", "tgrade", "pnodes"]
interval = 30.0
horizon = 2700.0
"""

HEART_STEPS: Final = """\
[[step]]
operator = "align_schema"
columns = [
  { name = "age", unit = "year", low = 18, high = 110 },
  { name = "sex", type = "category", levels = ["female", "male"] },
  { name = "cp", type = "category", levels = [1, 2, 3, 4] },
  { name = "trestbps", unit = "mmHg", low = 50, high = 300 },
  { name = "thalach", low = 40, high = 250 },
  { name = "oldpeak", low = -10, high = 10 },
  { name = "disease", type = "category", levels = ["no", "yes"] },
]
@SITES@
[[step]]
operator = "table_one"
columns = ["age", "sex", "cp", "trestbps", "thalach", "oldpeak"]
by = "disease"

[[step]]
operator = "glm"
outcome = "disease"
terms = ["age", "sex", "trestbps", "thalach", "oldpeak"]

[[step]]
operator = "crosstab"
rows = "sex"
columns = "disease"

[[step]]
operator = "meta_analysis"
outcome = "thalach"
by = "disease"
"""

_HEART_SITE: Final = """\
[step.sites.{site}]
sex = {{ column = "sex", codes = {{ "0" = "female", "1" = "male" }} }}
disease = {{ column = "target", codes = {{ "0" = "no", "1" = "yes", "2" = "yes", "3" = "yes", "4" = "yes" }} }}
"""


@dataclass(frozen=True)
class Study:
    """What is studied: each site's file, the job, and the rows as the study has them (only a demonstration has those).

    `rows`: for each site its columns, as arrays; `kind`: "breast" or "heart".
    """

    kind: str
    files: Mapping[str, Path]
    job: str
    rows: Mapping[str, Mapping[str, Any]]


def _job(name: str, sites: tuple[str, ...], steps: str) -> str:
    parties = ", ".join(f'"{s}"' for s in sites)
    quorum = len(sites) - 1
    lines = [
        f'name = "{name}"',
        f"parties = [{parties}]",
        f'result = "{sites[0]}"',
        f"quorum = {quorum}",
        "",
        "[datasets]",
    ]
    return "\n".join([*lines, *(f'{s} = "patients"' for s in sites), "", steps])


def bundled(folder: Path) -> Study:
    """The breast cancer trial in four files of four forms, in `folder`."""
    spec = importlib.util.find_spec("lifelines")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("the bundled data lie in the lifelines package", hint="pip install lifelines")
    source = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "gbsg2.csv"
    with source.open(newline="") as file:
        patients = list(csv.DictReader(file))
    # Which hospital a patient goes to is public and always the same: unequal shares.
    drawn = Stream(bytes(16)).integers(0, 10, len(patients))
    site_of = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])[drawn]
    files, rows = {}, {}
    for i, site in enumerate(SITES):
        mine = [p for p, s in zip(patients, site_of, strict=True) if s == i]
        study = [{**{k: p[k] for k in _BREAST if k in p}, "hormone": p["horTh"], "event": p["cens"]} for p in mine]
        rows[site] = {
            k: np.array([float(p[k]) if k not in ("menostat", "tgrade", "hormone") else p[k] for p in study])
            for k in _BREAST
        }
        files[site] = _write(folder / f"{site}.csv", [_own_form(site, p) for p in study])
    return Study("breast", files, _job("hormone-therapy", SITES, BREAST_STEPS), rows)


def _own_form(site: str, p: dict[str, str]) -> dict[str, str]:
    p = {k: p[k] for k in _BREAST}
    if site == "south":
        p["tumour_cm"] = f"{float(p.pop('tsize')) / 10:g}"
        p["tamoxifen"] = {"no": "0", "yes": "1"}[p.pop("hormone")]
    if site == "east":
        p["Alter"] = p.pop("age")
        p["Menopause"] = {"Pre": "vor", "Post": "nach"}[p.pop("menostat")]
    return p


def heart(source: Path, folder: Path) -> Study:
    """The UCI heart-disease study: a directory with one `processed.NAME.data` file for each hospital."""
    found = sorted(source.glob("processed.*.data"))
    if len(found) < 3:
        raise FileError(
            "needs three or more files processed.NAME.data", where=str(source),
            hint="the UCI heart-disease data set has cleveland, hungarian, switzerland and va",
        )  # fmt: skip
    names = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca",
             "thal", "target")  # fmt: skip
    files, rows = {}, {}
    for path in found:
        site = path.name.split(".")[1]
        lines = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
        if lines and lines[0][0].strip() == "age":
            lines = lines[1:]
        if any(len(line) != len(names) for line in lines):
            raise FileError(f"every line has {len(names)} values", where=str(path))
        cells = [[c.strip() for c in line] for line in lines]
        patients = [
            {n: "" if c in ("?", "") else f"{float(c):g}" for n, c in zip(names, line, strict=True)} for line in cells
        ]
        files[site] = _write(folder / f"{site}.csv", patients)
        rows[site] = {n: np.array([float(p[n]) if p[n] else np.nan for p in patients]) for n in names}
    sites = tuple(files)
    steps = HEART_STEPS.replace("@SITES@", "\n".join(_HEART_SITE.format(site=s) for s in sites))
    return Study("heart", files, _job("heart-disease", sites, steps), rows)


def _write(path: Path, patients: list[dict[str, str]]) -> Path:
    header = list(patients[0])
    text = "\n".join([",".join(header), *(",".join(p[k] for k in header) for p in patients)])
    with atomic_write(path) as out:
        out.write(text.encode() + b"\n")
    return path

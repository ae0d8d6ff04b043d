"""Units that hospitals write the same quantity in, and the factors between them.

Source: molar masses from the IUPAC standard atomic weights; conversions as in the SI brochure (9th ed.).
"""

from __future__ import annotations

from typing import Final

from ppc.errors import JobFileError, did_you_mean

#: Each unit: its dimension, and how many of the dimension's base it is.
UNITS: Final[dict[str, tuple[str, float]]] = {
    "g/L": ("mass concentration", 1.0), "mg/dL": ("mass concentration", 0.01), "mg/L": ("mass concentration", 1e-3),
    "g/dL": ("mass concentration", 10.0), "ug/dL": ("mass concentration", 1e-5), "ug/L": ("mass concentration", 1e-6),
    "ng/mL": ("mass concentration", 1e-6),
    "mol/L": ("molar concentration", 1.0), "mmol/L": ("molar concentration", 1e-3),
    "umol/L": ("molar concentration", 1e-6), "nmol/L": ("molar concentration", 1e-9),
    "kg": ("mass", 1.0), "g": ("mass", 1e-3), "lb": ("mass", 0.45359237),
    "m": ("length", 1.0), "cm": ("length", 0.01), "mm": ("length", 1e-3), "in": ("length", 0.0254),
    "mmHg": ("pressure", 133.322387415), "kPa": ("pressure", 1000.0),
    "s": ("time", 1.0), "min": ("time", 60.0), "h": ("time", 3600.0), "day": ("time", 86400.0),
    "week": ("time", 604800.0), "month": ("time", 2629746.0), "year": ("time", 31556952.0),
    "1": ("ratio", 1.0), "%": ("ratio", 0.01),
    "degC": ("temperature", 1.0), "degF": ("temperature", 5 / 9),
}  # fmt: skip

#: Grams a mole.
MOLAR_MASS: Final[dict[str, float]] = {
    "cholesterol": 386.65, "glucose": 180.156, "creatinine": 113.118, "bilirubin": 584.66, "urea": 60.056,
    "triglycerides": 885.4, "uric acid": 168.110, "calcium": 40.078, "sodium": 22.990, "potassium": 39.098,
}  # fmt: skip


def factor(old: str, new: str, substance: str | None, *, where: str | None = None) -> tuple[float, float]:
    """(scale, shift) with new value = scale · old value + shift.

    Raises:
        JobFileError: an unknown unit, units of different quantities, or moles and grams without a substance.
    """
    for unit in (old, new):
        if unit not in UNITS:
            raise JobFileError(f"unit '{unit}' is not known", where=where, hint=did_you_mean(unit, UNITS))
    (a, x), (b, y) = UNITS[old], UNITS[new]
    if a == b == "temperature":
        celsius = (x, 0.0 if old == "degC" else -32 * 5 / 9)
        return celsius if new == "degC" else (celsius[0] / y, celsius[1] / y + 32)
    if a == b:
        return x / y, 0.0
    if {a, b} == {"mass concentration", "molar concentration"}:
        if substance not in MOLAR_MASS:
            hint = did_you_mean(substance, MOLAR_MASS) if substance else f"substance = one of: {', '.join(MOLAR_MASS)}"
            raise JobFileError(f"{old} to {new} needs to know the substance", where=where, hint=hint)
        grams = MOLAR_MASS[substance]
        return (x / grams / y if a == "mass concentration" else x * grams / y), 0.0
    raise JobFileError(f"{old} is a {a}, {new} a {b}", where=where)

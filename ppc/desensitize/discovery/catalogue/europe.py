"""Europe: national numbers of the United Kingdom, Poland and Italy."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from ppc.dataset.schema import Role
from ppc.desensitize.discovery import checks
from ppc.desensitize.discovery.detector import ALNUM, BLANK, DIGIT, HYPHEN, Detector

_DAY: Final = r"(?:0[1-9]|[12]\d|3[01])"
# The month carries the century: + 80, 0, 20, 40, 60 for 1800, 1900, 2000, 2100, 2200.
_PESEL: Final = rf"\d{{2}}(?:[02468][1-9]|[13579][0-2]){_DAY}\d{{5}}"
# Digits may be replaced by letters where two people would share a code (omocodia).
_O: Final = "[0-9LMNPQRSTUV]"
CODICE: Final = rf"[A-Za-z]{{6}}{_O}{{2}}[ABCDEHLMPRSTabcdehlmprst]{_O}{{2}}[A-Za-z]{_O}{{3}}[A-Za-z]"


def _nhs(array: Any) -> checks.Mask:
    same = pc.match_substring_regex(array, r"^(0[ -]?)+$")
    return checks.nhs(array) & ~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)


DETECTORS: Final = (
    Detector(
        "uk_nhs",
        "person.id.nhs",
        "UK NHS number (NHS Data Dictionary)",
        Role.IDENTIFIER,
        shape=r"\d{3}[ -]?\d{3}[ -]?\d{4}",
        check=_nhs,
        chance=1 / 11,
        power=0.85,
        names=("nhs", "nhs_number", "nhs_no"),
        length=(10, 12),
        chars=DIGIT | BLANK | HYPHEN,
    ),
    Detector(
        "pl_pesel",
        "person.id.pesel",
        "Polish PESEL number (Act of 24 September 2010)",
        Role.IDENTIFIER,
        shape=_PESEL,
        check=checks.pesel_digit,
        chance=0.1,
        names=("pesel",),
        length=(11, 11),
        chars=DIGIT,
    ),
    Detector(
        "it_codice_fiscale",
        "person.id.codice_fiscale",
        "Italian tax code (DM 23 December 1976)",
        Role.IDENTIFIER,
        shape=CODICE,
        check=checks.codice_fiscale,
        chance=1 / 26,
        names=("codice_fiscale", "cf", "tax_code"),
        length=(16, 16),
        chars=ALNUM,
        kinds=("text",),
    ),
    Detector(
        "uk_postcode",
        "person.postcode",
        "UK postcode",
        Role.QUASI_IDENTIFIER,
        pattern=r"(?i)[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2}",
        chance=0.01,
        power=0.7,
        names=("postcode", "post_code", "postal_code"),
        length=(5, 8),
        chars=ALNUM | BLANK,
        kinds=("text",),
    ),
)

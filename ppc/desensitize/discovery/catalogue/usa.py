"""The United States: tax and insurance numbers, providers, routing numbers, addresses, postcodes."""

from __future__ import annotations

from typing import Final

from ppc.dataset.schema import Role
from ppc.desensitize.discovery import checks
from ppc.desensitize.discovery.detector import ALNUM, BLANK, DIGIT, DOT, HYPHEN, MARK, Detector

# SSA, since 25 June 2011: areas 000, 666 and 900-999, group 00 and serial 0000 are not given out.
_AREA: Final = r"(?:00[1-9]|0[1-9]\d|[1-578]\d{2}|6[0-57-9]\d|66[0-57-9])"
_GROUP: Final = r"(?:0[1-9]|[1-9]\d)"
_SERIAL: Final = r"(?:000[1-9]|00[1-9]\d|0[1-9]\d{2}|[1-9]\d{3})"
SSN: Final = rf"{_AREA}-{_GROUP}-{_SERIAL}"
# CMS, Understanding the Medicare Beneficiary Identifier: no S, L, O, I, B, Z.
_L: Final = "[AC-HJKMNP-RT-Yac-hjkmnp-rt-y]"
_N: Final = "[0-9AC-HJKMNP-RT-Yac-hjkmnp-rt-y]"
MBI: Final = rf"[1-9]{_L}{_N}\d-?{_L}{_N}\d-?{_L}{{2}}\d{{2}}"
_WAY: Final = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Ct|Place|Pl|Square|Sq|Highway|Hwy"
    r"|Terrace|Close)"
)

DETECTORS: Final = (
    Detector(
        "us_ssn",
        "person.id.ssn",
        "US social security number (SSA)",
        Role.IDENTIFIER,
        # Hyphens after 3 and 5 digits are themselves the sign; no other usual number is written so.
        pattern=SSN,
        chance=0.02,
        power=0.85,
        names=("ssn", "social_security", "social_security_number", "social"),
        length=(11, 11),
        chars=DIGIT | HYPHEN,
        kinds=("text",),
    ),
    Detector(
        "us_ssn_digits",
        "person.id.ssn",
        "US social security number (SSA), digits only",
        Role.IDENTIFIER,
        pattern=rf"{_AREA}{_GROUP}{_SERIAL}",
        power=0.0,
        names=("ssn", "social_security", "social_security_number"),
        named=0.75,
        length=(9, 9),
        chars=DIGIT,
    ),
    Detector(
        "us_itin",
        "person.id.itin",
        "US individual taxpayer identification number (IRS)",
        Role.IDENTIFIER,
        shape=r"\d{3}-?\d{2}-?\d{4}",
        pattern=r"9\d{2}-?(?:5\d|6[0-5]|7\d|8[0-8]|9[0-2]|9[4-9])-?\d{4}",
        chance=0.045,
        power=0.75,
        names=("itin", "taxpayer_id", "tax_id", "tin"),
        length=(9, 11),
        chars=DIGIT | HYPHEN,
    ),
    Detector(
        "us_npi",
        "health.provider",
        "US national provider identifier (45 CFR 162.406)",
        None,
        shape=r"[12]\d{9}",
        check=checks.npi,
        chance=0.1,
        power=0.8,
        names=("npi", "provider_id", "provider_npi"),
        length=(10, 10),
        chars=DIGIT,
    ),
    Detector(
        "us_mbi",
        "health.insurance",
        "US Medicare beneficiary identifier (CMS)",
        Role.IDENTIFIER,
        shape=r"[0-9A-Za-z]{4}-?[0-9A-Za-z]{3}-?[0-9A-Za-z]{4}",
        pattern=MBI,
        chance=1e-3,
        names=("mbi", "medicare", "medicare_id"),
        length=(11, 13),
        chars=ALNUM | HYPHEN,
        kinds=("text",),
    ),
    Detector(
        "us_routing",
        "finance.routing",
        "US routing number (ABA)",
        None,
        shape=r"\d{9}",
        pattern=r"(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{7}",
        check=checks.aba,
        chance=0.038,  # 38 of 100 first pairs are in use, and 1 in 10 passes
        power=0.7,
        names=("aba", "routing", "routing_number", "rtn"),
        length=(9, 9),
        chars=DIGIT,
    ),
    Detector(
        "us_zip",
        "person.postcode",
        "US ZIP code",
        Role.QUASI_IDENTIFIER,
        shape=r"\d{3,5}(?:-\d{4})?",
        pattern=r"\d{5}(?:-\d{4})?",
        power=0.0,
        names=("zip", "zip_code", "zipcode", "postal_code", "postcode"),
        length=(5, 10),
        chars=DIGIT | HYPHEN,
    ),
    Detector(
        "us_phone",
        "person.phone",
        "Telephone number of the North American Numbering Plan",
        Role.IDENTIFIER,
        shape=r"(?:\+?1[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}",
        pattern=r"(?:\+?1[ .-])?\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}",
        chance=0.64,
        power=0.85,
        names=("phone", "mobile", "tel", "telephone", "cell", "fax", "phone_number"),
        length=(12, 18),
        chars=DIGIT | BLANK | HYPHEN | DOT | MARK,
        kinds=("text",),
    ),
    Detector(
        "street_address",
        "person.address",
        "Street address",
        Role.QUASI_IDENTIFIER,
        pattern=rf"(?i)\d{{1,6}}[A-Z]?,? [\w .'-]{{2,60}}\b{_WAY}\b.*"
        r"|[\w .'-]{2,60}(?:stra(?:ß|ss)e|str\.|weg|gasse) \d+.*"
        r"|(?:via|piazza|corso|viale|rue|avenue|ul\.|ulica|calle) [\w .'-]{2,60} \d+.*",
        chance=1e-3,
        power=0.9,
        names=("address", "addr", "street", "home_address", "mailing_address", "indirizzo", "adres", "strasse"),
        length=(8, 200),
        kinds=("text",),
    ),
)

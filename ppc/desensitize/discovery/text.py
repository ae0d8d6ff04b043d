"""Detectors for personal data inside text. They are registered for `free_text` when this package is imported.

Only what is telling by itself is looked for: a number whose check digit one in ten would pass needs a word beside it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from ppc.desensitize.detectors import Detector, PatternDetector, register, registered, sifted
from ppc.desensitize.discovery import checks
from ppc.desensitize.discovery.catalogue import china, europe, secrets, usa
from ppc.desensitize.discovery.detector import log10_tail


@dataclass(frozen=True)
class ContextDetector:
    """A pattern whose group 1 is what is found; the rest of it is the word that must stand before."""

    name: str
    category: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    cue: str | None = None

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self.pattern.finditer(text):
            if self.check is None or self.check(match.group(1)):
                yield match.span(1)


def _one(check: checks.Check) -> Callable[[str], bool]:
    return lambda text: bool(check(pa.array([text], pa.string()))[0])


def _ipv6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _re(pattern: str) -> re.Pattern[str]:
    # Digits, words and their boundaries are those of ASCII: Chinese characters beside a number do not hide it.
    return re.compile(pattern, re.ASCII)


def _whole(pattern: str) -> re.Pattern[str]:
    return _re(rf"(?<![A-Za-z0-9])(?:{pattern})(?![A-Za-z0-9])")


_GAP: Final = r"[\s:：#.=()-]{0,4}(?:no|number|号码|号)?[\s:：#.=-]{0,4}"

_FOUND: Final[tuple[PatternDetector | ContextDetector, ...]] = (
    PatternDetector("private_key", "secret.key",
                    _re(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]+-----|\Z)")),
    PatternDetector("token", "secret.token", _whole(secrets.TOKENS)),
    ContextDetector("password", "secret.password",
                    _re(r"(?i)(?:password|passwd|pwd|口令|密码)\s*[:：=]\s*(\S{4,64})")),
    PatternDetector("url", "network.url", _re(r"(?:https?|ftp)://[^\s<>\"'，。；）]+[^\s<>\"'，。；）.,;:)]")),
    PatternDetector("ipv6", "network.ip",
                    _re(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])"), _ipv6),
    PatternDetector("mac", "network.mac", _whole(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")),
    PatternDetector("iban", "finance.iban", _whole(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"),
                    _one(checks.iban)),
    PatternDetector("cn_credit_code", "org.credit_code",
                    _whole(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}"), _one(checks.credit_code)),
    PatternDetector("cn_plate", "vehicle.plate", _re(china.PLATE + r"(?![A-Z0-9])")),
    # By issuer: 16 or 19 digits in groups of four, 15 of American Express, 14 of Diners Club, 13 of old Visa cards.
    PatternDetector(
        "card",
        "finance.card",
        _re(
            r"(?<![\d-])(?:[2-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}"
            r"|3[068]\d{12}|4\d{12})(?![\d-])"
        ),
        _one(checks.card),
    ),
    PatternDetector("us_ssn", "person.id.ssn", _re(rf"(?<![\d-]){usa.SSN}(?![\d-])")),
    PatternDetector("us_mbi", "health.insurance", _whole(usa.MBI.replace("-?", "-"))),
    PatternDetector("it_codice_fiscale", "person.id.codice_fiscale", _whole(europe.CODICE),
                    _one(checks.codice_fiscale)),
    PatternDetector("international_phone", "person.phone",
                    _re(r"(?<![\w+])\+(?!86)[1-9]\d{0,2}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}(?!\d)")),
    PatternDetector("us_phone", "person.phone",
                    _re(r"(?<![\d.-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[.-])[2-9]\d{2}[.-]\d{4}(?![\d.-])")),
    PatternDetector("cn_landline", "person.phone", _re(r"(?<![\d-])0(?:10|2\d|[3-9]\d{2})-[2-9]\d{6,7}(?!\d)")),
    ContextDetector("uk_nhs", "person.id.nhs",
                    _re(rf"(?i)\bNHS{_GAP}(\d{{3}}[ -]?\d{{3}}[ -]?\d{{4}})(?!\d)"), _one(checks.nhs)),
    ContextDetector("pl_pesel", "person.id.pesel", _re(rf"(?i)\bPESEL{_GAP}(\d{{11}})(?!\d)"),
                    _one(checks.pesel_digit)),
    ContextDetector("us_npi", "health.provider", _re(rf"\bNPI{_GAP}([12]\d{{9}})(?!\d)"), _one(checks.npi)),
    ContextDetector("imei", "device.imei", _re(rf"(?i)\bIMEI{_GAP}(\d{{15}})(?!\d)"), _one(checks.imei)),
    ContextDetector("vin", "vehicle.vin", _re(rf"(?:\bVIN|车架号){_GAP}([A-HJ-NPR-Z0-9]{{17}})(?![A-Za-z0-9])")),
    ContextDetector("cn_passport", "person.passport",
                    _re(rf"(?i)(?:passport|护照){_GAP}([A-Z]{{1,2}}\d{{7,8}})(?![A-Za-z0-9])")),
    ContextDetector("medical_record_number", "health.record",
                    _re(rf"(?:\bMRN|\b[Mm]edical [Rr]ecord|病历号|病案号|住院号|门诊号){_GAP}"
                               r"([A-Za-z0-9][A-Za-z0-9/-]{2,24})")),
    ContextDetector("birth_date", "person.birth_date",
                    _re(r"(?i)(?:\bDOB|\bborn(?: on)?|date of birth|出生(?:日期|年月)?|生日)\s*[:：]?\s*"
                               r"((?:19|20)\d{2}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d{2})")),
    ContextDetector("cn_name", "person.name",
                    _re(r"(?:姓名|患者|客户|联系人|户名)\s*[:：]\s*([\u4e00-\u9fff·]{2,4})")),
    PatternDetector("cn_address", "person.address",
                    _re(r"[\u4e00-\u9fff]{2,8}(?:省|自治区|市)[\u4e00-\u9fff]{1,12}(?:区|县|市|镇|乡)"
                               r"[\u4e00-\u9fffA-Za-z0-9]{1,30}?(?:号|室|栋|幢|单元)(?:[A-Za-z0-9]{1,6}(?:号|室|栋|单元))*")),
)  # fmt: skip


#: What every text with a match holds (RE2): columns are sifted by it.
_CUES: Final = {
    "cn_plate": f"[{china.PLATE_PLACE}使领][A-HJ-NP-Z]",
    "private_key": r"PRIVATE KEY-----",
    "token": r"AKIA|ASIA|gh[pousr]_|github_pat_|xox[abprs]-|sk_live_|sk_test_|glpat-|AIza|eyJ",
    "password": r"(?i)passw|pwd|口令|密码",
    "url": r"://",
    "ipv6": r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:",
    "mac": r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
    "iban": r"[A-Z]{2}\d{2} ?[A-Z0-9]{4}",
    "cn_credit_code": r"\d{6}[0-9A-Z]{10}",
    "card": r"\d{4}[ -]?\d{4,6}[ -]?\d{4}",
    "us_ssn": r"\d-\d{2}-\d",
    "us_mbi": r"[1-9][A-Za-z][0-9A-Za-z]\d-[A-Za-z]",
    "it_codice_fiscale": r"[A-Za-z]{6}[0-9L-V]{2}[A-Za-z]",
    "international_phone": r"\+[1-9]",
    "us_phone": r"\d{3}(?:\) ?|[.-])\d{3}[.-]\d{4}",
    "cn_landline": r"0\d{2,3}-[2-9]\d{6}",
    "uk_nhs": r"(?i)NHS",
    "pl_pesel": r"(?i)PESEL",
    "us_npi": r"NPI",
    "imei": r"(?i)IMEI",
    "vin": r"VIN|车架号",
    "cn_passport": r"(?i)passport|护照",
    "medical_record_number": r"MRN|edical [Rr]ecord|病历号|病案号|住院号|门诊号",
    "birth_date": r"(?i)DOB|born|birth|出生|生日",
    "cn_name": r"姓名|患者|客户|联系人|户名",
    "cn_address": r"省|自治区|市",
}
DETECTORS: Final[tuple[Detector, ...]] = tuple(replace(d, cue=_CUES[d.name]) for d in _FOUND)


def register_all() -> None:
    """Make these detectors known to `free_text`."""
    for detector in DETECTORS:
        register(detector)


#: How probable it is that what fits a pattern passes its check by chance.
_CHANCE: Final = {"cn_resident_id": 1 / 11, "cn_credit_code": 1 / 31, "iban": 0.01, "it_codice_fiscale": 1 / 26}


def shares(texts: Sequence[str]) -> dict[str, float]:
    """For each category, the share of texts with something of it inside them: beside it there is other text.

    Texts that a check passes by chance are taken off, and what chance may well explain is left out.
    """
    detectors = list(registered().values())
    able: list[list[str]] = [[] for _ in detectors]
    for row, which in zip(texts, sifted(pa.array(texts, pa.string()), detectors), strict=True):
        for i in which:
            able[i].append(row)
    found: dict[str, float] = {}
    for detector, some in zip(detectors, able, strict=True):
        hits = sum(_within(detector, t) for t in some)
        if not hits:
            continue
        share = hits / len(texts)
        if isinstance(detector, PatternDetector | ContextDetector) and detector.check is not None:
            free = replace(detector, check=None)
            tried = sum(_within(free, t) for t in some)
            chance = _CHANCE.get(detector.name, 0.1)
            if log10_tail(tried, hits, chance) > -4:
                continue
            share = max(0.0, (hits - chance * tried) / (1 - chance)) / len(texts)
        found[detector.category] = max(share, found.get(detector.category, 0.0))
    return found


def _within(detector: Detector, text: str) -> bool:
    return any(end - start < len(text) for start, end in detector.find(text))

"""Personal data inside text: found where it stands, and replaced by `free_text`."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize.detectors import registered, sifted
from ppc.desensitize.discovery import text
from ppc.desensitize.transforms.free_text import free_text

# text, category, what is found
FOUND = [
    ("key: -----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- end", "secret.key", None),
    ("use ghp_0123456789abcdefghijklmnopqrstuvwxyz here", "secret.token", "ghp_0123456789abcdefghijklmnopqrstuvwxyz"),
    ("AKIAIOSFODNN7EXAMPLE leaked", "secret.token", "AKIAIOSFODNN7EXAMPLE"),
    ("password: hunter22, ok", "secret.password", "hunter22,"),
    ("see https://example.com/a?b=1.", "network.url", "https://example.com/a?b=1"),
    ("from 2001:db8::1 port", "network.ip", "2001:db8::1"),
    ("nic 00:1A:2b:3c:4D:5e up", "network.mac", "00:1A:2b:3c:4D:5e"),
    ("pay GB29 NWBK 6016 1331 9268 19 now", "finance.iban", "GB29 NWBK 6016 1331 9268 19"),
    ("税号91350100M000100Y43。", "org.credit_code", "91350100M000100Y43"),
    ("车牌京A12345违停", "vehicle.plate", "京A12345"),
    ("SSN 123-45-6789.", "person.id.ssn", "123-45-6789"),
    ("MBI 1EG4-TE5-MK73 active", "health.insurance", "1EG4-TE5-MK73"),
    ("cf RSSMRA85T10A562S ok", "person.id.codice_fiscale", "RSSMRA85T10A562S"),
    ("ring +44 20 7946 0958 today", "person.phone", "+44 20 7946 0958"),
    ("ring (212) 555-0187 today", "person.phone", "(212) 555-0187"),
    ("座机010-62345678转", "person.phone", "010-62345678"),
    ("NHS no: 943 476 5919", "person.id.nhs", "943 476 5919"),
    ("PESEL: 44051401359", "person.id.pesel", "44051401359"),
    ("NPI 1234567893", "health.provider", "1234567893"),
    ("IMEI: 490154203237518", "device.imei", "490154203237518"),
    ("VIN 1M8GDM9AXKP042788", "vehicle.vin", "1M8GDM9AXKP042788"),
    ("护照E12345678出境", "person.passport", "E12345678"),
    ("MRN: A-12345 admitted", "health.record", "A-12345"),
    ("病历号：00123456", "health.record", "00123456"),
    ("DOB 01/02/1980", "person.birth_date", "01/02/1980"),
    ("出生日期：1980年1月2日", "person.birth_date", "1980年1月2日"),
    ("姓名：王小明，男", "person.name", "王小明"),
    ("住北京市朝阳区建国路88号1室。", "person.address", None),
    ("id 11010519491231002X here", "person.id", "11010519491231002X"),
    ("mail a.b@example.org now", "person.email", "a.b@example.org"),
]


@pytest.mark.parametrize(("line", "category", "what"), FOUND)
def test_what_is_found(line: str, category: str, what: str | None) -> None:
    spans = [line[s:e] for d in registered().values() if d.category == category for s, e in d.find(line)]
    assert spans, line
    if what is not None:
        assert what in spans
    cleaned = free_text(pa.array([line, None, "nothing here"])).to_pylist()
    assert f"[{category}]" in cleaned[0]
    assert what is None or what not in cleaned[0]
    assert cleaned[1:] == [None, "nothing here"]


@pytest.mark.parametrize(
    "line",
    [
        "order 1234567890 shipped, invoice 490154203237518, total 1,234.56",
        "NPI 1234567890, PESEL 44051401358, NHS 943 476 5918, IMEI 490154203237519",
        "version 10.2.3.400 of 2024-01-02T10:20:30, ratio 1:2:3",
        "uuid 550e8400-e29b-41d4-a716-446655440000 and sha 9f86d081884c7d659a2feaa0c55ad015",
        "part 000-12-3456 and 666-12-3456 and 123-45-67890, model XK-900",
        "GB29NWBK60161331926818 and 91350100M000100Y44 and RSSMRA85T10A562T",
    ],
)
def test_what_is_not(line: str) -> None:
    assert free_text(pa.array([line])).to_pylist() == [line]


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_spans_within_it(line: str) -> None:
    for detector in registered().values():
        assert all(0 <= s < e <= len(line) for s, e in detector.find(line))


def test_patterns_take_time_linear_in_the_text() -> None:
    # What makes a backtracking matcher slow: long runs that almost match.
    import time

    for run in (
        "1" * 20_000,
        "a" * 20_000,
        "a." * 10_000,
        "+1 " * 7_000,
        "0:" * 10_000,
        "北" * 20_000,
        "省市区" * 7_000,
    ):
        since = time.perf_counter()
        for detector in text.DETECTORS:
            list(detector.find(run))
        assert time.perf_counter() - since < 5.0


def test_shares_are_of_text_inside_other_text() -> None:
    assert text.shares(["a@example.org", "b@example.org"]) == {}
    assert text.shares(["to a@example.org", "none"]) == {"person.email": 0.5}


_PIECES = [line for line, _, _ in FOUND] + ["order 1234567890", "１２３４５６", "a@b", "::", "+1", "市", "\n", "x" * 30]


@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=12)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_cues_let_every_text_with_a_match_through(pieces: list[str]) -> None:
    line = "".join(pieces)
    detectors = list(registered().values())
    (able,) = sifted(pa.array([line]), detectors)
    for i, detector in enumerate(detectors):
        assert i in able or not list(detector.find(line)), detector.name
    assert sifted(pa.array([None], pa.string()), detectors) == [[]]

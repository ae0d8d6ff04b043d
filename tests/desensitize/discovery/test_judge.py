"""What a scan finds, what it does not, and what it says."""

import datetime as dt
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import ppc
from ppc.dataset import Dataset, Role
from ppc.desensitize.discovery import Detector, scan
from ppc.desensitize.discovery.catalogue import builtin
from ppc.desensitize.discovery.detector import agreeing, assess, normal, outline
from ppc.desensitize.discovery.sample import distinct_values
from ppc.errors import ConfigError

Make = Callable[..., Dataset]
DETECTORS = {d.name: d for d in builtin()}


def test_every_kind_of_value_is_found_under_a_name_that_says_nothing(real: dict[str, list[Any]], table: Make) -> None:
    for detector, values in real.items():
        found = scan(table(x1=values))["x1"]
        assert found.category == DETECTORS[detector].category, (detector, found.candidates)
        assert found.reasons


def test_a_share_of_rubbish_and_nulls_does_not_hide_it(real: dict[str, list[Any]], table: Make) -> None:
    for detector in ("card", "cn_resident_id", "email", "cn_mobile", "iban"):
        values = [v if i % 4 else ("n/a" if i % 8 else None) for i, v in enumerate(real[detector])]
        found = scan(table(x1=values))["x1"]
        assert found.category == DETECTORS[detector].category, detector
        assert found.nulls == pytest.approx(0.125, abs=0.01)


def _text(rows: Any) -> list[str]:
    return ["".join(chr(48 + d) for d in row) for row in rows]


def test_random_digits_numbers_uuids_prices_and_counters_are_nothing(table: Make) -> None:
    # 20 lengths of random digits, five draws each, as text and as integers, judged under a name that says nothing.
    rng = np.random.default_rng(11)
    wrong = []
    for draw in range(5):
        columns: dict[str, Any] = {}
        for length in range(1, 21):
            columns[f"c{length}"] = _text(rng.integers(0, 10, (3000, length)))
        for length in range(1, 19):
            columns[f"i{length}"] = rng.integers(0, 10**length, 3000)
        for lead in (34, 37, 4, 51, 62, 1, 2, 9):
            body = rng.integers(0, 10, (3000, 16))
            columns[f"led{lead}"] = [str(lead) + t for t in _text(body)]
            columns[f"led{lead}_16"] = [(str(lead) + t)[:16] for t in _text(body)]
            columns[f"led{lead}_15"] = [(str(lead) + t)[:15] for t in _text(body)]
        columns |= {
            "u1": [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(3000)],
            "u2": [rng.bytes(16).hex() for _ in range(3000)],
            "u3": [rng.bytes(10).hex().upper() for _ in range(3000)],
            "p1": np.round(rng.gamma(2, 50, 3000), 2),
            "p2": [f"{x:.2f}" for x in rng.gamma(2, 50, 3000)],
            "p3": [f"${x:,.2f}" for x in rng.gamma(3, 5000, 3000)],
            "n1": rng.normal(size=3000),
            "k1": np.arange(3000) + 10_000_000_000 * (draw + 2),
            "k2": np.arange(3000) + 1_700_000_000_000,
            "k3": np.arange(3000) + 6_222_020_000_000_000,
            "t1": [f"2024-03-{1 + i % 28:02d} 10:{i % 60:02d}:00" for i in range(3000)],
            "o1": [f"ORD-{i:08d}" for i in range(3000)],
            "v1": [f"{i % 9}.{i % 100}.{i % 1000}" for i in range(3000)],
            "w1": rng.choice(["red", "green", "blue", "large", "small"], 3000),
            "w2": rng.choice(["高级", "金融", "白金卡", "消费贷", "电子产品", "生活用品", "服务", "其他"], 3000),
            "y1": rng.choice(["Y", "N"], 3000),
            "b1": rng.integers(0, 2, 3000).astype(bool),
            "s1": [f"shipment {a} to dock {b} done" for a, b in rng.integers(10**15, 10**16, (3000, 2))],
        }  # fmt: skip
        found = scan(table(**columns))
        wrong += [(f.column, f.category, round(f.score, 2)) for f in found if f.category is not None]
    # About 400 columns. The lower bound of evidence is 1e-3 a detector at worst; none is expected.
    assert wrong == []


def test_chance_is_taken_off(table: Make, real: dict[str, list[Any]]) -> None:
    rng = np.random.default_rng(2)
    junk = ["4" + t for t in _text(rng.integers(0, 10, (400, 15)))]
    half = real["card"][:200] + junk[:200]
    found = scan(table(x1=half), threshold=0.3)["x1"]
    assert found.matched == pytest.approx(0.55, abs=0.06)  # half real, and a tenth of the other half
    assert found.real == pytest.approx(0.5, abs=0.07)
    assert any("by chance 10%" in r for r in found.reasons)


def test_the_chances_that_detectors_state_are_those_of_made_up_values() -> None:
    rng = np.random.default_rng(21)
    n = 40_000

    def draw(alphabet: str, length: int) -> list[str]:
        return ["".join(row) for row in np.array(list(alphabet))[rng.integers(0, len(alphabet), (n, length))]]

    upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = "0123456789"
    made = {
        "cn_resident_id": [f"11010519880{a}1{b}" for a, b in zip(draw("123456789", 1), draw(digits, 5), strict=True)],
        "cn_resident_id_15": draw(digits, 15),
        "cn_mobile": draw(digits, 11),
        "card": ["4" + t for t in draw(digits, 15)],
        "imei": draw(digits, 15),
        "us_npi": ["1" + t for t in draw(digits, 9)],
        "us_routing": draw(digits, 9),
        "us_itin": draw(digits, 9),
        "uk_nhs": draw(digits, 10),
        "pl_pesel": ["850101" + t for t in draw(digits, 5)],
        "cn_credit_code": [f"91110105{t}" for t in draw("0123456789ABCDEFGHJKLMNPQRTUWXY", 10)],
        "cn_organisation_code": [a + b for a, b in zip(draw(digits + upper, 8), draw(digits + "X", 1), strict=True)],
        "vin": [f"1M8GDM9A{a}KP04{b}" for a, b in zip(draw(digits + "X", 1), draw(digits, 4), strict=True)],
        "iban": ["DE" + t for t in draw(digits, 20)],
        "lei": [a + b for a, b in zip(draw(digits + upper, 18), draw(digits, 2), strict=True)],
        "it_codice_fiscale": ["RSSMRA85T10A562" + t for t in draw(upper, 1)],
        "cn_passport": [a + b for a, b in zip(draw(upper, 1), draw(digits, 8), strict=True)],
        "cn_hk_macau_permit": [a + b for a, b in zip(draw(upper, 1), draw(digits, 8), strict=True)],
    }  # fmt: skip
    for name, values in made.items():
        found = assess(DETECTORS[name], distinct_values(pa.array(values)), normal("x1"))  # type: ignore[arg-type]
        chance = DETECTORS[name].chance
        assert found is not None, name
        of_shape = found.matched / found.shaped
        # Five standard deviations and two rounded places; the codes of 1 in 26 repeat 26 values.
        spread = 5 * np.sqrt(chance * (1 - chance) / (26 if name == "it_codice_fiscale" else n)) + 0.005
        assert of_shape == pytest.approx(chance, abs=spread), name
        assert found.score < 0.15 or name == "it_codice_fiscale", name


def test_one_value_in_many_rows_is_one_piece_of_evidence(table: Make) -> None:
    found = scan(table(x1=["4111111111111111"] * 5000, card_no=["4111111111111111"] * 5000))
    assert found["x1"].category is None
    assert found["card_no"].category == "finance.card"


NAMED: dict[str, tuple[list[Any], str, Role | None]] = {
    "birthDate": ([dt.date(1980, 1, 1 + i) for i in range(20)], "person.birth_date", Role.QUASI_IDENTIFIER),
    "出生日期": ([f"19800{1 + i % 9}11" for i in range(20)], "person.birth_date", Role.QUASI_IDENTIFIER),
    "dob": ([f"{1 + i:02d}/03/1980" for i in range(20)], "person.birth_date", Role.QUASI_IDENTIFIER),
    "Gender": (["M", "F"] * 10, "person.sex", Role.QUASI_IDENTIFIER),
    "sex": ([1, 2] * 10, "person.sex", Role.QUASI_IDENTIFIER),
    "性别": (["男", "女"] * 10, "person.sex", Role.QUASI_IDENTIFIER),
    "age": ([20 + i for i in range(20)], "person.age", Role.QUASI_IDENTIFIER),
    "mrn": ([f"H{i:06d}" for i in range(20)], "health.record", Role.IDENTIFIER),
    "住院号": ([f"{i:08d}" for i in range(20)], "health.record", Role.IDENTIFIER),
    "zip_code": ([f"9{i:04d}" for i in range(20)], "person.postcode", Role.QUASI_IDENTIFIER),
    "lat": ([40.0 + i / 7 for i in range(20)], "location.latitude", Role.QUASI_IDENTIFIER),
    "longitude": ([-120.0 + i / 7 for i in range(20)], "location.longitude", Role.QUASI_IDENTIFIER),
    "diagnosis": (["flu", "cold", "asthma", "none"] * 5, "health.diagnosis", Role.SENSITIVE),
    "religion": (["a", "b"] * 10, "person.religion", Role.SENSITIVE),
    "annual_income": ([51000.5 + i for i in range(20)], "finance.income", Role.SENSITIVE),
    "password": ([f"x{i}" for i in range(20)], "secret.password", None),
    "passport_no": ([f"E1234567{i % 10}" for i in range(20)], "person.passport", Role.IDENTIFIER),
    "npi": (["1234567893"] * 20, "health.provider", None),
    "vin": (["1M8GDM9AXKP042788"] * 20, "vehicle.vin", Role.IDENTIFIER),
    "ssn": ([f"{123 + i}456789" for i in range(20)], "person.id.ssn", Role.IDENTIFIER),
    "itin": ([f"9{i:02d}-7{i % 10}-1234" for i in range(20)], "person.id.itin", Role.IDENTIFIER),
    "routing_number": (["111000025", "011000015", "021000018"], "finance.routing", None),
    "lei": (["506700GE1G29325QX363", "5493001KJTIIGC8Y1R12"], "org.lei", None),
    "org_code": (["D2143569-X", "D2143569-X"], "org.code", None),
    "身份证号": ([f"11010549123100{i % 10}" for i in range(20)], "person.id", Role.IDENTIFIER),
    "codice_fiscale": (["RSSMRA85T10A562S", "MRTMTT91D08F205J"], "person.id.codice_fiscale", Role.IDENTIFIER),
    "港澳通行证": ([f"H1234567{i % 10}" for i in range(20)], "person.permit", Role.IDENTIFIER),
    "台胞证": ([f"0123456{i % 10}" for i in range(20)], "person.permit", Role.IDENTIFIER),
    "customer_id": ([f"C{i}" for i in range(20)], "person.account", Role.IDENTIFIER),
}


def test_names_help_where_values_alone_do_not(table: Make) -> None:
    found = scan(table(**{name: values for name, (values, _, _) in NAMED.items() if len(values) == 20}))
    for name, (values, category, role) in NAMED.items():
        f = found[name] if len(values) == 20 else scan(table(**{name: values}))[name]
        assert (f.category, f.role) == (category, role), (name, f.candidates)


def test_a_name_that_the_values_deny_counts_for_nothing(table: Make) -> None:
    found = scan(
        table(phone=["red", "green", "blue"], email=[1.5, 2.5, 3.5], age=[-4, 1000, 99999], zip=["", None, ""])
    )
    assert all(f.category is None for f in found)


def test_no_value_is_ever_shown(real: dict[str, list[Any]], table: Make) -> None:
    ds = table(**{f"c_{k}": v[:300] for k, v in real.items()}, note=[f"call {p} now" for p in real["cn_mobile"][:300]])
    found = scan(ds)
    said = json.dumps(found.to_dict(), ensure_ascii=False) + repr(found)
    for name, values in {**real, "note": [f"call {p} now" for p in real["cn_mobile"][:300]]}.items():
        assert not any(str(v) in said for v in values), name
    assert found["c_card"].example == "9" * 16
    assert found["note"].example is None


def test_an_outline_tells_the_form_only() -> None:
    assert outline("Ab-12 王\n") == "Aa-99 ○·"
    assert len(outline("x" * 100)) == 24


def test_personal_data_within_text(table: Make, real: dict[str, list[Any]]) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(4 * 10**15, 5 * 10**15, 400)
    found = scan(
        table(
            note=[f"spoke with {m} about card {c}" for m, c in zip(real["email"], real["card"], strict=True)],
            order=[f"order {n} was shipped" for n in numbers],
            rare=[f"all fine on day {i}" if i % 20 else f"please call {real['cn_mobile'][i]}" for i in range(400)],
        )
    )
    assert {i.category for i in found["note"].inside} == {"person.email", "finance.card"}
    assert (found["note"].category, found["note"].role) == ("text.free", Role.SENSITIVE)
    assert found["note"].grade is not None
    assert found["note"].grade >= 4  # that of the card
    assert found["order"].category is None  # a tenth passes Luhn's check, and is taken off
    assert [(i.category, i.share) for i in found["rare"].inside] == [("person.phone", pytest.approx(0.05, abs=0.001))]


def test_the_sample_covers_the_table_and_is_the_same_each_time(table: Make, real: dict[str, list[Any]]) -> None:
    # Personal data in the last tenth of a sorted table only.
    values = [f"row {i}" for i in range(90_000)] + [f"u{i}@example.org" for i in range(10_000)]
    ds = table(x1=values)
    found = scan(ds, rows=2000, threshold=0.05)
    assert found.looked_at == 2000
    assert found.rows == 100_000
    assert found["x1"].category == "person.email"
    assert found["x1"].matched == pytest.approx(0.1, abs=0.005)
    assert scan(ds, rows=2000, threshold=0.05) == found


def test_chunks_dictionaries_and_views_are_the_same(real: dict[str, list[Any]]) -> None:
    values = real["cn_resident_id"]
    plain = pa.array(values)
    forms = {
        "a": pa.chunked_array([plain.slice(0, 100), plain.slice(100, 1), plain.slice(101)]),
        "b": pa.chunked_array([plain.dictionary_encode()]),
        "c": pa.chunked_array([plain.cast(pa.large_string())]),
    }
    found = scan(Dataset.from_arrow(pa.table(forms)), rows=150)
    assert {f.category for f in found} == {"person.id"}


def test_whole_floats_are_read_as_integers(table: Make, real: dict[str, list[Any]]) -> None:
    numbers = [float(v) if i % 5 else None for i, v in enumerate(real["cn_mobile"])]
    assert scan(table(x1=numbers))["x1"].category == "person.phone"


def test_empty_null_and_odd_columns(table: Make) -> None:
    ds = table(
        a=pa.nulls(5),
        b=pa.nulls(5, pa.string()),
        c=["", " ", "", "", ""],
        d=[float("nan"), float("inf"), None, None, None],
        e=pa.array([b"\xff"] * 5),
        f=["\U0001f600" * 9] * 5,
    )
    assert all(f.category is None and f.reasons for f in scan(ds))
    assert [f.category for f in scan(ds.take(np.array([], np.int64)))] == [None] * 6


def test_own_detectors_win_ties_and_bad_arguments_are_named(table: Make) -> None:
    own = Detector("badge", "person.badge", "Badge", Role.IDENTIFIER, pattern=r"B\d{4}", chance=1e-4)
    ds = table(x1=[f"B{i:04d}" for i in range(100)])
    assert scan(ds)["x1"].category is None
    assert scan(ds, detectors=[own])["x1"].category == "person.badge"
    for wrong in ({"rows": 0}, {"threshold": 0}, {"threshold": float("nan")}, {"packs": ["gdrp"]}):
        with pytest.raises(ConfigError):
            scan(ds, **wrong)  # type: ignore[arg-type]


def test_names_are_split_into_words() -> None:
    assert normal("homePhone2") == "_home_phone_"
    assert normal("CUST-ID.No") == "_cust_id_no_"
    assert normal("客户身份证号") == "_客户身份证号_"
    assert agreeing(("phone",), normal("homePhone2")) == "phone"
    assert agreeing(("marital_status",), normal("MARITALSTATUS")) == "marital_status"
    assert agreeing(("age",), normal("page_views")) is None
    assert agreeing(("身份证",), normal("客户身份证号")) == "身份证"


def test_progress_reaches_the_end(table: Make) -> None:
    seen: list[float] = []
    scan(table(a=[1], b=[2]), progress=lambda f, _: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_detectors_are_consistent() -> None:
    names = [d.name for d in builtin()]
    assert len(names) == len(set(names))
    for d in builtin():
        assert 0 <= d.chance < 1, d.name
        assert 0 <= d.power <= 1, d.name
        assert d.power > 0 or d.names, d.name
        assert all(n == n.lower() for n in d.names), d.name


DATA = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.skipif(not (DATA / "credit_default_taiwan.csv").is_file(), reason="the real data are not here")
def test_on_real_customers() -> None:
    found = scan(ppc.read(DATA / "credit_default_taiwan.csv"))
    known = {f.column.upper(): f.category for f in found}
    assert known["SEX"] == "person.sex"
    assert known["AGE"] == "person.age"
    assert known["MARITALSTATUS"] == "person.marital"
    assert known["EDUCATION"] == "person.education"
    assert known["CREDIT_LIMIT"] == "finance.balance"

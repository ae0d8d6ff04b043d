"""Check digits against the examples of their standards, against plain arithmetic, and against chance."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.desensitize.discovery import checks

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "checksums.json").read_text("utf-8"))
CHECKS = {**checks.NAMED, "card": checks.card}
FAST = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("name", VECTORS)
def test_the_standards_examples(name: str) -> None:
    vector = VECTORS[name]
    assert CHECKS[name](pa.array(vector["good"])).all(), vector["source"]
    assert not CHECKS[name](pa.array(vector["bad"], pa.string())).any(), vector["source"]


@pytest.mark.parametrize("name", CHECKS)
def test_nulls_slices_and_layouts(name: str) -> None:
    good = VECTORS["card" if name == "luhn" else name]["good"][0]
    column = pa.array(["x", None, good, good, "", None])
    expected = [False, False, True, True, False, False]
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert CHECKS[name](column.cast(kind)).tolist() == expected
    assert CHECKS[name](column.slice(2, 3)).tolist() == expected[2:5]
    assert CHECKS[name](pa.array([], pa.string())).tolist() == []


@given(st.text(alphabet="0123456789 -aX", max_size=24))
@FAST
def test_luhn_is_the_definition(text: str) -> None:
    digits = [c for c in text if c not in " -"]
    plain = all(c in "0123456789" for c in digits) and 12 <= len(digits) <= 19
    if plain:
        total = 0
        for i, c in enumerate(reversed(digits)):
            d = int(c) * (2 if i % 2 else 1)
            total += d - 9 if d > 9 else d
        plain = total % 10 == 0
    assert checks.card(pa.array([text]))[0] == plain


@given(st.text(alphabet="ABCZ0123456789", min_size=0, max_size=30), st.sampled_from(["GB", "DE", "NO", "MT"]))
@FAST
def test_iban_is_the_definition(rest: str, country: str) -> None:
    text = country + rest
    moved = text[4:] + text[:4]
    number = "".join(str(int(c, 36)) for c in moved)
    expected = len(text) == checks.IBAN_LENGTHS[country] and int(number) % 97 == 1
    assert checks.iban(pa.array([text]))[0] == expected


@given(st.dates(), st.integers(0, 999), st.sampled_from(checks.PROVINCES), st.integers(0, 9999))
@FAST
def test_resident_id_is_the_definition(date: Any, order: int, province: int, division: int) -> None:
    body = f"{province}{division:04d}{date:%Y%m%d}".replace(" ", "0") if date.year >= 1000 else None
    if body is None:
        return
    body += f"{order:03d}"
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body))
    last = "10X98765432"[total % 11]
    made = checks.resident_id(pa.array([body + c for c in "0123456789X"]))
    assert [c for c, ok in zip("0123456789X", made, strict=True) if ok] == ([last] if 1800 <= date.year < 2100 else [])


@pytest.mark.parametrize(
    ("name", "length", "share"),
    [("card", 16, 0.1), ("imei", 15, 0.1), ("npi", 10, 0.1), ("aba", 9, 0.1), ("nhs", 10, 1 / 11), ("pesel", 11, 0.1)],
)
def test_random_digits_pass_as_often_as_the_detectors_subtract(name: str, length: int, share: float) -> None:
    n = 40_000
    digits = np.random.default_rng(5).integers(48, 58, (n, length)).astype(np.uint8)
    passed = CHECKS[name](pa.array(digits.view(f"S{length}").ravel().astype(str))).mean()
    # Five standard deviations: a false alarm once in 1.7 million.
    assert abs(passed - share) < 5 * np.sqrt(share * (1 - share) / n)

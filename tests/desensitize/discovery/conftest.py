"""Columns of values that are what they say, made from the standards' rules."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Dataset
from ppc.desensitize.checksums import CREDIT_ALPHABET, credit_check, luhn_digit, resident_check

N = 400
_FIRST = ("James", "Mary", "John", "Linda")
_LAST = ("Smith", "Brown", "Jones", "Qx")


def _digits(rng: np.random.Generator, n: int, k: int) -> Any:
    return rng.integers(0, 10, (n, k))


def _texts(rows: Any) -> list[str]:
    return ["".join(str(d) for d in row) for row in rows]


def _made(rng: np.random.Generator, n: int) -> dict[str, list[Any]]:
    d = lambda k: _digits(rng, n, k)  # noqa: E731
    dates = [f"{1950 + int(a)}{1 + int(b):02d}{1 + int(c):02d}" for a, b, c in rng.integers(0, [55, 12, 28], (n, 3))]
    bodies = np.array(
        [[int(c) for c in f"110105{date}{int(o):03d}"] for date, o in zip(dates, rng.integers(0, 999, n), strict=True)]
    )
    resident = [b + chr(c) for b, c in zip(_texts(bodies), resident_check(bodies), strict=True)]
    card = d(15)
    card[:, 0] = 4
    cards = _texts(np.concatenate([card, luhn_digit(card)[:, None]], axis=1))
    imei = d(14)
    imeis = _texts(np.concatenate([imei, luhn_digit(imei)[:, None]], axis=1))
    credit = rng.integers(0, 31, (n, 17))
    credit[:, :2] = [9, 1]
    credit[:, 2:8] = rng.integers(0, 10, (n, 6))
    credits = [
        "".join(CREDIT_ALPHABET[i] for i in [*row, c]) for row, c in zip(credit, credit_check(credit), strict=True)
    ]
    mobile = [f"1{int(a)}{int(b):09d}" for a, b in zip(rng.integers(3, 10, n), rng.integers(0, 10**9, n), strict=True)]
    nhs = [t + str(c) for t in _texts(d(9)) if (c := 11 - sum(int(x) * (10 - i) for i, x in enumerate(t)) % 11) < 10]
    pesel = []
    for date, o in zip(dates, rng.integers(0, 9999, n), strict=True):
        body = f"{date[2:]}{int(o):04d}"
        pesel.append(body + str(-sum(int(x) * w for x, w in zip(body, [1, 3, 7, 9] * 3, strict=False)) % 10))
    ibans = []
    for body in _texts(d(18)):
        ibans.append(f"DE{98 - int(body + '131400') % 97:02d}{body}")
    return {
        "cn_resident_id": resident,
        "card": cards,
        "imei": imeis,
        "cn_credit_code": credits,
        "cn_mobile": mobile,
        "uk_nhs": nhs,
        "pl_pesel": pesel,
        "iban": ibans,
        "email": [f"u{i}@mail{i % 7}.example.org" for i in range(n)],
        "url": [f"https://example.com/p/{i}" for i in range(n)],
        "ipv4": [".".join(str(x) for x in row) for row in rng.integers(0, 256, (n, 4))],
        "ipv6": [f"2001:db8::{i:x}" for i in range(n)],
        "mac": [":".join(f"{x:02x}" for x in row) for row in rng.integers(0, 256, (n, 6))],
        "cn_plate": [f"京A{int(x):05d}" for x in rng.integers(0, 99999, n)],
        "us_ssn": [f"{int(a):03d}-{int(b):02d}-{int(c):04d}" for a, b, c in rng.integers(1, [600, 99, 9999], (n, 3))],
        "us_mbi": [f"{1 + i % 9}EG4-TE{i % 10}-MK{i % 100:02d}" for i in range(n)],
        "icd_10": [f"{'ABCDEFGHIJ'[i % 10]}{i % 90 + 10}.{i % 10}" for i in range(n)],
        "cn_name": [f"{'王李张刘陈杨赵黄周吴'[i % 10]}{chr(0x4E00 + 37 * i)}" for i in range(n)],
        "cn_address": [f"北京市朝阳区建国路{i}号{i % 9}室" for i in range(n)],
        "coordinates": [f"{a:.5f},{b:.5f}" for a, b in rng.uniform([-89, -179], [89, 179], (n, 2))],
        "token": [f"ghp_{uuid.UUID(int=i).hex}abcd" for i in range(n)],
        "private_key": [f"-----BEGIN PRIVATE KEY-----\nMIIB{i}\n-----END PRIVATE KEY-----" for i in range(n)],
        "us_phone": [f"({a}) {b}-{int(c):04d}" for a, b, c in rng.integers([200, 200, 0], [999, 999, 9999], (n, 3))],
        "international_phone": [f"+44 20 7946 {i:04d}" for i in range(n)],
        "street_address": [f"{i + 1} Maple Drive, Springfield" for i in range(n)],
        "english_name": [f"{_FIRST[i % 4]} {_LAST[i % 4]}{'abcdefghij'[i % 10]}" for i in range(n)],
    }  # fmt: skip


@pytest.fixture(scope="session")
def real() -> dict[str, list[Any]]:
    """Detector -> values that it must find, whatever their column is called."""
    return _made(np.random.default_rng(3), N)


@pytest.fixture(scope="session")
def table() -> Callable[..., Dataset]:
    """A dataset from columns of lists or arrays."""

    def make(**columns: Any) -> Dataset:
        return Dataset.from_arrow(
            pa.table({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()})
        )

    return make

"""Forms of keys: what meets, what does not, and what has no key."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.errors import ConfigError, TypeMismatchError
from ppc.mpc.psi.keys import Normalise, prepare
from ppc.mpc.psi.normalise import by_form, resident_id


def form(value, name):
    return by_form(pa.array([value], pa.large_string()), name)[0].as_py()


@pytest.mark.parametrize(
    ("value", "name", "wanted"),
    [
        ("030 123456", "phone:DE", "+4930123456"),
        ("+49 (0)30 / 123456", "phone:DE", "+4930123456"),
        ("0049-30-123456", "phone:DE", "+4930123456"),
        ("138 0013 8000", "phone:CN", "+8613800138000"),
        ("+86 138-0013-8000", "phone", "+8613800138000"),
        ("１３８００１３８０００", "phone:CN", "+8613800138000"),
        ("(202) 456-1111", "phone:US", "+12024561111"),
        ("138 0013 8000", "phone", None),
        ("12", "phone:DE", None),
        ("call me", "phone:DE", None),
        (" Ada.Lovelace@Example.ORG ", "email", "ada.lovelace@example.org"),
        ("ada@localhost", "email", "ada@localhost"),
        ("ada", "email", None),
        ("@example.org", "email", None),
        ("a@b@c", "email", None),
        ("José  Ñuñez-O’Brien", "name", "joseñunezobrien".replace("ñ", "n")),
        ("STRASSE", "name", "strasse"),
        ("Straße", "name", "strasse"),
        ("王 小明", "name", "王小明"),
        ("हिन्दी", "name", "हिन्दी"),
        ("12-34 / 5", "digits", "12345"),
    ],
)
def test_forms(value, name, wanted):
    assert form(value, name) == wanted


# The example of GB 11643-1999 (annex), and its form of 15 digits.
def test_resident_ids():
    assert resident_id("11010519491231002X") == "11010519491231002X"
    assert resident_id("11010519491231002x") == "11010519491231002X"
    assert resident_id("440524188001010014") == "440524188001010014"
    assert resident_id("110105491231002") == "11010519491231002X"
    for wrong in (
        "110105194912310021",
        "11010519491331002X",
        "1101054912310",
        "",
        "X",
        "１1010549123100２",
        "a10105491231002",
    ):
        assert resident_id(wrong) is None


@settings(deadline=None)
@given(st.dates(), st.integers(0, 999), st.integers(110000, 659999))
def test_one_wrong_digit_of_a_resident_id_is_noticed(born, serial, region):
    if not 1900 <= born.year <= 1999:
        return
    full = resident_id(f"{region}{born:%y%m%d}{serial:03}")
    assert full is not None
    assert resident_id(full) == full
    for place in (0, 5, 16):
        digit = (int(full[place]) + 1) % 10
        assert resident_id(full[:place] + str(digit) + full[place + 1 :]) is None


def test_parties_that_write_differently_meet():
    a = prepare(
        {"id": pa.array(["110105491231002"]), "tel": pa.array([13800138000])},
        normalise=Normalise(forms=("cn_id", "phone:CN")),
    )
    b = prepare(
        {"nr": pa.array(["11010519491231002x"]), "phone": pa.array(["+86 138 0013 8000"])},
        normalise=Normalise(forms=("cn_id", "phone:US")),
    )
    assert np.array_equal(a.digests(), b.digests())
    assert a.types == b.types == ("cn_id", "phone")
    assert a.normalise.describe() == b.normalise.describe()


def test_invalid_and_missing_values_are_counted_apart():
    keys = prepare({"tel": pa.array(["030 123456", "x", None, " ", ""])}, normalise=Normalise(forms=("phone:DE",)))
    assert (len(keys), keys.invalid, keys.nulls, keys.total) == (1, 1, 3, 5)
    two = prepare(
        {"tel": pa.array(["x", "030 123456"]), "name": pa.array([None, "a"])}, normalise=Normalise(forms=("phone:DE",))
    )
    assert (len(two), two.invalid, two.nulls) == (1, 0, 1)


def test_diacritics():
    plain, marked = pa.array(["Zoe", "Ærø", "हिन्दी"]), pa.array(["Zoë", "Ærø", "हन्द"])
    a = prepare({"n": plain}, normalise=Normalise(diacritics=True))
    b = prepare({"n": marked}, normalise=Normalise(diacritics=True))
    assert [bool(np.array_equal(x, y)) for x, y in zip(a.digests(), b.digests(), strict=True)] == [True, True, False]


@settings(deadline=None)
@given(st.text(), st.sampled_from(["email", "name", "digits", "cn_id", "phone:DE", "phone"]))
def test_a_form_is_a_fixed_point(value, name):
    once = form(value, name)
    if once:
        assert form(once, name) == once


@pytest.mark.parametrize("wrong", ["fone", "phone:XX", "phone:de", "email:DE", ""])
def test_unknown_forms(wrong):
    with pytest.raises(ConfigError):
        Normalise(forms=(wrong,))


def test_forms_fit_their_columns():
    with pytest.raises(TypeMismatchError, match="no form"):
        prepare({"d": pa.array([1.5])}, normalise=Normalise(forms=("digits",)))
    with pytest.raises(ConfigError, match="2 forms for 1"):
        prepare({"d": pa.array(["x"])}, normalise=Normalise(forms=("digits", "name")))

"""What holds for every transformation, whatever it does."""

from __future__ import annotations

import datetime as dt
import pickle
import traceback
from typing import Any

import pyarrow as pa
import pytest

from ppc.desensitize import transforms
from ppc.desensitize.keys import Key
from ppc.desensitize.policy import _KEYS
from ppc.desensitize.transform import REGISTRY, get, names
from ppc.errors import ColumnError, ConfigError, PpcError, TypeMismatchError

# What a transformation cannot do without.
NEEDED: dict[str, dict[str, Any]] = {
    "mask_before": {"mark": "@"},
    "mask_after": {"mark": "@"},
    "mask_pattern": {"pattern": "a"},
    "replace": {"value": "x"},
    "ff3_1_decrypt": {"tweak_hex": "00" * 7},
    "bucket": {"width": 10.0},
    "top_bottom_code": {"high": 5.0},
    "noise": {"scale": 1.0, "keyed": True},
    "shuffle": {"keyed": True},
    "rank_swap": {"keyed": True},
    "age_from_birthdate": {"on": dt.date(2024, 1, 1)},
    "generalize": {"hierarchy": {"kind": "prefix", "keep": [2]}, "level": 1},
}
SECRET = "Zs3cret-Ωvalue"
BAD = {
    "secret": pa.array([SECRET, None]),
    "empty": pa.array(["", None]),
    "emoji": pa.array(["👩‍👩‍👧‍👦" + SECRET, "é\u0301漢字"]),
    "long": pa.array([SECRET * 500]),
    "float": pa.array([0.12345678901, float("nan"), float("inf")]),
    "big": pa.array([2**63 - 1, -(2**63)]),
    "binary": pa.array([SECRET.encode(), b"\xff\xfe"]),
    "list": pa.array([[SECRET]]),
    "dictionary": pa.array([SECRET, "x"]).dictionary_encode(),
    "date": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "decimal": pa.array(["123456789012.34"]).cast(pa.decimal128(20, 2)),
}


def run(name: str, array: Any, key: Key, **more: Any) -> Any:
    t = get(name)
    given = {**NEEDED.get(name, {}), **more}
    if "entity" in t.required:
        given["entity"] = pa.array(["e"] * len(array))
    if t.keyed != "no":
        given["key"] = key
    return t(array, **given)


@pytest.mark.parametrize("name", names())
def test_bad_input_gives_a_result_or_a_clear_error_without_the_value(name: str, key: Key) -> None:
    for label, array in BAD.items():
        try:
            out = run(name, array, key)
        except PpcError as e:
            said = "".join(traceback.format_exception(e)) + str(e.to_dict())
            assert SECRET not in said, label
            assert "12345678901" not in said, label
        else:
            assert len(out) == len(array)
            out.validate(full=True)


@pytest.mark.parametrize("name", names())
def test_nulls_stay_null_and_types_are_as_declared(name: str, key: Key) -> None:
    t = get(name)
    kinds = [
        k
        for k in (pa.string(), pa.int64(), pa.float64(), pa.date32(), pa.timestamp("us"), pa.binary())
        if "*" in t.takes or transforms_take(t, k)
    ]
    assert kinds
    for kind in kinds:
        array = pa.nulls(3, kind)
        out = run(name, array, key)
        assert out.null_count == 3
        declared = t.gives(kind, t.parse(NEEDED.get(name, {})))
        assert out.type == declared
        assert run(name, pa.chunked_array([array, array.slice(1)]), key).type == declared
        assert len(run(name, array.slice(0, 0), key)) == 0
    assert run(name, pa.nulls(4), key).null_count == 4


def transforms_take(t: Any, kind: Any) -> bool:
    from ppc.desensitize.arrays import type_class

    return type_class(kind) in t.takes


@pytest.mark.parametrize("name", names())
def test_pickled_by_name(name: str) -> None:
    assert pickle.loads(pickle.dumps(get(name))) is get(name)  # noqa: S301


@pytest.mark.parametrize("name", names())
def test_described(name: str) -> None:
    t = get(name)
    assert t.__doc__
    assert t.family
    # A parameter named like a key of a rule could not be written in a policy.
    assert not set(t.model.model_fields) & set(_KEYS)
    if t.reverse is not None:
        assert get(t.reverse).reverse == name
    assert repr(t) == f"<transform {name}>"


@pytest.mark.parametrize("name", [n for n in names() if get(n).keyed == "yes"])
def test_a_missing_key_is_an_error_and_a_string_is_no_key(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a key"):
        run(name, pa.array(["1234567890123456"]), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is a str"):
        run(name, pa.array(["1234567890123456"]), "topsecret")  # type: ignore[arg-type]


def test_what_is_no_array() -> None:
    with pytest.raises(TypeMismatchError, match="Arrow array, not list"):
        transforms.mask(["a"])


def test_unknown_names_get_the_near_one() -> None:
    with pytest.raises(ConfigError) as e:
        get("tokn")
    assert e.value.hint == "Did you mean 'token'?"
    with pytest.raises(ConfigError, match="no such parameter") as e:
        transforms.mask(pa.array(["a"]), frist=1)  # type: ignore[call-arg]
    assert e.value.hint == "Did you mean 'first'?"


def test_context_columns_must_be_as_long() -> None:
    with pytest.raises(ColumnError, match="different lengths"):
        transforms.noise(pa.array([1.0, 2.0]), scale=1.0, keyed=True, entity=[pa.array(["a"])], key=Key(bytes(32)))
    with pytest.raises(ConfigError, match="needs 'entity'"):
        transforms.date_shift(pa.array([dt.date(2020, 1, 1)]), key=Key(bytes(32)))  # type: ignore[call-arg]


def test_slices_of_arrays_give_slices_of_results(key: Key) -> None:
    """Offsets into larger buffers, and null slots that hold bytes, do not shift anything."""
    values = [None if i % 5 == 0 else f"13812{i:06d}" for i in range(200)]
    whole = pa.array(values)
    for name in ("mask", "mask_phone", "token", "hash", "encrypt", "fpe_encrypt", "fake_phone", "mask_email"):
        full = run(name, whole, key)
        assert run(name, whole.slice(37, 90), key).equals(full.slice(37, 90))
    dirty = pa.Array.from_buffers(
        pa.string(),
        2,
        [pa.py_buffer(b"\x02"), pa.py_buffer(b"\0\0\0\0\5\0\0\0\x0b\0\0\0"), pa.py_buffer(b"junk!1234567")],
    )
    assert dirty.to_pylist() == [None, "123456"]
    out = run("fpe_encrypt", dirty, key)
    assert out.to_pylist()[0] is None
    assert b"junk" not in b"".join(b.to_pybytes() for b in out.buffers() if b is not None)


@pytest.mark.parametrize("name", [n for n in names() if not get(n).whole])
def test_a_row_does_not_depend_on_its_neighbours(name: str, key: Key) -> None:
    """Engines cut a column into batches as they like; non-ASCII rows and nulls must not change the rows beside them."""
    t = get(name)
    if (transforms_take(t, pa.string()) and "timestamp" not in t.takes) or "*" in t.takes:
        values = [
            "13812345678",
            "+86 138-1234-5678",
            "１３８１２３４５６７８",
            None,
            "",
            "user@é.com",
            "a@b.com",
            "王小明",
            "x" * 40,
        ]
        values += [
            "11010519491231002X",
            "6222021234567890",
            "京A12345",
            "广东省深圳市",
            "12 Main St, X",
            "1-2-3-4-5-6-7",
        ]
        array = pa.array(values)
        if "invalid" in t.model.model_fields:
            more: dict[str, Any] = {"invalid": "null"}
        else:
            more = {}
    elif transforms_take(t, pa.date32()):
        array, more = pa.array([dt.date(2020, 1, 1), None, dt.date(1960, 5, 5)]), {}
    else:
        array, more = pa.array([1.0, None, 250.0]), {}
    if name == "decrypt":
        array = transforms.encrypt(array, key=key)
    whole = run(name, array, key, **more)
    alone = [run(name, array.slice(i, 1), key, **more) for i in range(len(array))]
    assert whole.to_pylist() == [a.to_pylist()[0] for a in alone]


def test_values_that_become_null_leave_no_bytes(key: Key) -> None:
    out = transforms.fpe_encrypt(pa.array([SECRET, "123456789"]), invalid="null", key=key)
    assert out.to_pylist()[0] is None
    assert SECRET.encode() not in b"".join(b.to_pybytes() for b in out.buffers() if b is not None)
    nulled = transforms.nullify(pa.array([SECRET]))
    assert SECRET.encode() not in b"".join(b.to_pybytes() for b in nulled.buffers() if b is not None)


def test_the_registry_is_what_the_package_exports() -> None:
    exported = {n.rstrip("_") for n in transforms.__all__ if not n.endswith("Warning")}
    assert exported == {n.rstrip("_") for n in REGISTRY}

"""The exception tree: codes are unique, drawn in the docstring, and survive the wire and a copy."""

import copy
import re

import pytest

from ppc import errors


def _all(cls: type[errors.PpcError] = errors.PpcError) -> list[type[errors.PpcError]]:
    return [cls, *(c for sub in cls.__subclasses__() for c in _all(sub))]


def test_every_class_is_drawn_with_its_code() -> None:
    drawn = dict(re.findall(r"(\w+)\s+(PPC-E\d{3})", errors.__doc__ or ""))
    assert drawn == {c.__name__: c.code for c in _all()}


def test_codes_are_unique_and_group_by_parent() -> None:
    codes = [c.code for c in _all()]
    assert len(codes) == len(set(codes))
    for cls in _all():
        for parent in cls.__mro__[1:-1]:
            if issubclass(parent, errors.PpcError) and parent is not errors.PpcError:
                assert cls.code[:6] == parent.code[:6]


def test_exit_statuses_are_small_and_documented_classes_have_one() -> None:
    assert {c.exit_status for c in _all()} == {1, 3, 4, 5, 6, 7, 8, 70}


@pytest.mark.parametrize("cls", _all())
def test_an_error_survives_the_wire(cls: type[errors.PpcError]) -> None:
    error = cls("no such column", where="column age", hint="add it", party="bank-b")
    back = errors.PpcError.from_dict(error.to_dict())
    assert type(back) is cls
    assert back.to_dict() == error.to_dict()
    assert type(copy.copy(error)) is cls


def test_the_message_names_party_and_place() -> None:
    error = errors.ColumnError("no such column", where="column age", party="bank-b")
    assert str(error) == "no such column (party bank-b, column age)"
    assert str(errors.ColumnError("no such column")) == "no such column"


def test_an_unknown_code_is_still_an_error() -> None:
    assert type(errors.PpcError.from_dict({"code": "PPC-E999", "what": "x"})) is errors.PpcError


def test_did_you_mean() -> None:
    assert errors.did_you_mean("custmer_id", ["customer_id", "age"]) == "Did you mean 'customer_id'?"
    assert errors.did_you_mean("zzz", ["customer_id", "age"]) == "Known names: customer_id, age"
    assert errors.did_you_mean("zzz", []) is None

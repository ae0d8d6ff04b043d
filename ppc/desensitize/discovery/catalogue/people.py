"""People: names, birth, sex, age, and the numbers that an institution gives them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from ppc.dataset.schema import Role
from ppc.desensitize.data import words
from ppc.desensitize.discovery.checks import Mask
from ppc.desensitize.discovery.detector import ALNUM, DIGIT, HYPHEN, WIDE, Detector

_FAMILY: Final = frozenset(words("family_names_zh"))
_COMPOUND: Final = frozenset(words("compound_family_names"))
_FIRST: Final = frozenset(w.lower() for w in words("first_names_en"))
_LAST: Final = frozenset(w.lower() for w in words("last_names_en"))
_DATE: Final = (
    r"(?:18|19|20)\d{2}[-/.年]?(?:0?[1-9]|1[0-2])[-/.月]?(?:0?[1-9]|[12]\d|3[01])日?(?:[ T]00:00(?::00(?:\.0+)?)?)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:18|19|20)\d{2}"
)


def _chinese_name(array: Any) -> Mask:
    # The given name is of one or two characters; after a compound family name too.
    def good(text: str) -> bool:
        return (text[0] in _FAMILY and len(text) <= 3) or (text[:2] in _COMPOUND and 3 <= len(text) <= 4)

    return np.fromiter((good(t) for t in array.to_pylist()), np.bool_, len(array))


def _english_name(array: Any) -> Mask:
    def good(text: str) -> bool:
        parts = [p.strip(",.") for p in text.lower().split()]
        return len(parts) >= 2 and (not _FIRST.isdisjoint(parts) or parts[-1] in _LAST)

    return np.fromiter((good(t) for t in array.to_pylist()), np.bool_, len(array))


def _one_word(known: frozenset[str]) -> Any:
    def check(array: Any) -> Mask:
        import pyarrow as pa

        found = pc.is_in(pc.utf8_lower(array), value_set=pa.array(sorted(known), pa.string()))
        return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

    return check


def _age(x: npt.NDArray[np.float64]) -> Mask:
    return np.asarray((x >= 0) & (x <= 125))


DETECTORS: Final = (
    Detector(
        "cn_name",
        "person.name",
        "Chinese name (family name in the list of the most frequent)",
        Role.IDENTIFIER,
        shape=r"\p{Han}{2,4}",
        check=_chinese_name,
        # An estimate: the listed family names also begin about one Chinese word in seven.
        chance=0.15,
        coverage=0.8,
        power=0.8,
        names=(
            "name",
            "full_name",
            "customer_name",
            "user_name",
            "patient_name",
            "contact_name",
            "姓名",
            "名字",
            "联系人",
            "户名",
        ),
        length=(2, 4),
        chars=WIDE,
        kinds=("text",),
    ),
    Detector(
        "english_name",
        "person.name",
        "English name (first or last name in the list of the most frequent)",
        Role.IDENTIFIER,
        shape=r"[A-Z][\p{L}'.-]*,?(?: [A-Z][\p{L}'.-]*){1,3}",
        check=_english_name,
        chance=0.04,
        coverage=0.4,
        power=0.8,
        names=("name", "full_name", "customer_name", "patient_name", "contact_name", "employee_name", "holder"),
        length=(4, 60),
        kinds=("text",),
    ),
    Detector(
        "first_name",
        "person.name",
        "First name",
        Role.IDENTIFIER,
        shape=r"[A-Z][\p{L}'-]+",
        check=_one_word(_FIRST),
        chance=0.01,
        coverage=0.35,
        power=0.7,
        names=("first_name", "firstname", "given_name", "forename", "middle_name", "nome", "imie", "vorname"),
        length=(2, 30),
        kinds=("text",),
    ),
    Detector(
        "last_name",
        "person.name",
        "Family name",
        Role.IDENTIFIER,
        shape=r"[A-Z][\p{L}'-]+",
        check=_one_word(_LAST),
        chance=0.02,
        coverage=0.25,
        power=0.6,
        names=("last_name", "lastname", "surname", "family_name", "cognome", "nazwisko", "nachname"),
        length=(2, 30),
        kinds=("text",),
    ),
    Detector(
        "person_name",
        "person.name",
        "Name of a person",
        Role.IDENTIFIER,
        pattern=r"[\p{L}][\p{L} .,'·-]{0,60}",
        power=0.0,
        names=(
            "first_name",
            "firstname",
            "last_name",
            "lastname",
            "surname",
            "full_name",
            "fullname",
            "given_name",
            "family_name",
            "middle_name",
            "maiden_name",
            "customer_name",
            "patient_name",
            "employee_name",
            "contact_name",
            "cardholder",
            "姓名",
            "户名",
            "联系人",
        ),
        named=0.75,
        length=(1, 60),
        kinds=("text",),
    ),
    Detector(
        "birth_date",
        "person.birth_date",
        "Date of birth",
        Role.QUASI_IDENTIFIER,
        pattern=_DATE,
        power=0.0,
        names=("birth", "birth_date", "birthdate", "birthday", "dob", "date_of_birth", "born", "出生", "生日"),
        named=0.85,
        length=(6, 32),
        kinds=("text", "number"),
    ),
    Detector(
        "birth_date_typed",
        "person.birth_date",
        "Date of birth",
        Role.QUASI_IDENTIFIER,
        names=("birth", "birth_date", "birthdate", "birthday", "dob", "date_of_birth", "born", "出生", "生日"),
        named=0.9,
        kinds=("date",),
    ),
    Detector(
        "birth_year",
        "person.birth_year",
        "Year of birth",
        Role.QUASI_IDENTIFIER,
        pattern=r"(?:19|20)\d{2}",
        power=0.0,
        names=("birth", "birth_year", "year_of_birth", "yob", "出生年份", "出生年"),
        named=0.85,
        length=(4, 4),
        chars=DIGIT,
    ),
    Detector(
        "sex",
        "person.sex",
        "Sex",
        Role.QUASI_IDENTIFIER,
        words=frozenset(
            {
                "male",
                "female",
                "m",
                "f",
                "man",
                "woman",
                "男",
                "女",
                "男性",
                "女性",
                "unknown",
                "未知",
                "other",
                "x",
                "d",
                "divers",
                "mann",
                "frau",
                "maschio",
                "femmina",
                "k",
                "kobieta",
                "mężczyzna",
            }
        ),
        chance=0.02,
        power=0.75,
        names=("sex", "gender", "性别"),
        named=0.85,
        length=(1, 12),
        kinds=("text",),
        distinct=8,
    ),
    Detector(
        "sex_coded",
        "person.sex",
        "Sex as a code (GB/T 2261.1: 0, 1, 2, 9)",
        Role.QUASI_IDENTIFIER,
        pattern=r"[0129]",
        power=0.0,
        names=("sex", "gender", "性别"),
        named=0.85,
        length=(1, 1),
        kinds=("text", "number"),
        distinct=5,
    ),
    Detector(
        "sex_flag",
        "person.sex",
        "Sex as yes or no",
        Role.QUASI_IDENTIFIER,
        names=("sex", "gender", "is_male", "is_female", "male", "female", "性别"),
        named=0.8,
        kinds=("bool",),
    ),
    Detector(
        "age",
        "person.age",
        "Age in years",
        Role.QUASI_IDENTIFIER,
        pattern=r"\d{1,3}(?:\.\d+)?",
        number=_age,
        power=0.0,
        names=("age", "age_years", "年龄", "周岁"),
        named=0.85,
        length=(1, 8),
    ),
    Detector(
        "account",
        "person.account",
        "Number or name that an institution gave a person",
        Role.IDENTIFIER,
        pattern=r"[A-Za-z0-9_.@-]{2,64}",
        power=0.0,
        names=(
            "customer_id",
            "customer_no",
            "cust_id",
            "client_id",
            "client_no",
            "user_id",
            "user_no",
            "userid",
            "uid",
            "member_no",
            "person_id",
            "employee_id",
            "employee_no",
            "staff_id",
            "student_id",
            "openid",
            "username",
            "user_name",
            "login",
            "nickname",
            "客户号",
            "客户编号",
            "用户id",
            "用户编号",
            "会员号",
            "工号",
            "学号",
            "用户名",
            "昵称",
        ),
        named=0.75,
        length=(1, 64),
    ),
    Detector(
        "licence",
        "person.licence",
        "Driving or professional licence",
        Role.IDENTIFIER,
        pattern=r"[A-Za-z0-9][A-Za-z0-9 -]{3,30}",
        power=0.0,
        names=(
            "driver_license",
            "drivers_license",
            "driving_licence",
            "driver_licence",
            "license_no",
            "licence_no",
            "license_number",
            "驾驶证",
            "执业证",
        ),
        named=0.75,
        length=(4, 32),
    ),
    Detector(
        "passport",
        "person.passport",
        "Passport number",
        Role.IDENTIFIER,
        pattern=r"[A-Za-z0-9]{6,12}",
        power=0.0,
        names=("passport", "passport_no", "passport_number", "护照"),
        named=0.8,
        length=(6, 12),
        chars=ALNUM,
    ),
    Detector(
        "national_id",
        "person.id",
        "Identity number",
        Role.IDENTIFIER,
        pattern=r"[A-Za-z0-9][A-Za-z0-9 ./-]{4,24}",
        power=0.0,
        names=("national_id", "id_card", "idcard", "identity_no", "identity_number", "id_number", "身份证", "证件号"),
        named=0.7,
        length=(5, 25),
        chars=ALNUM | HYPHEN | 8 | 32 | 128,
    ),
)

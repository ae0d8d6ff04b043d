"""Rule packs: complete, dated, honest about what was checked."""

from pathlib import Path

import pytest

from ppc.dataset import Grade, Role
from ppc.desensitize.discovery.catalogue import builtin
from ppc.desensitize.grading import Pack, available, chosen_packs, grade
from ppc.errors import ConfigError, FileError

TOML = """\
name = "own"
title = "House rules"
version = "1"
date = 2026-01-01
scale = "as the house says"
[[rule]]
category = ["person.*"]
role = ["identifier"]
grade = 4
label = "names people"
clause = "House rules, 3"
[[rule]]
category = ["person.*"]
grade = 2
label = "about people"
clause = "House rules, 4"
"""


def test_the_packs_that_come_with_ppc() -> None:
    packs = available()
    assert set(packs) == {"gbt39725", "gbt43697", "gdpr", "hipaa", "jrt0197", "pipl"}
    for pack in packs.values():
        assert pack.version
        assert pack.scale
        assert all(r.source for r in pack.rule if r.verified)
    assert [p.name for p in chosen_packs(None)] == ["gbt43697", "gdpr", "pipl"]


def test_every_category_that_tells_of_people_has_a_grade_in_every_pack() -> None:
    for pack in available().values():
        for detector in builtin():
            if detector.category.startswith(("person.", "health.", "finance.card", "finance.account")):
                if pack.name == "hipaa" and detector.category in HIPAA_LEAVES:
                    continue
                assert grade([pack], detector.category, detector.role), (pack.name, detector.category)


# Safe Harbor lists identifiers; these columns may stay.
HIPAA_LEAVES = {
    "person.sex", "person.birth_year", "person.religion", "person.ethnicity", "person.politics", "person.union",
    "person.orientation", "person.criminal", "person.disability", "person.marital", "person.education",
    "person.occupation", "person.nationality", "person.communication", "person.minor",
}  # fmt: skip


def test_safe_harbor_has_all_eighteen() -> None:
    said = " ".join(r.label for r in available()["hipaa"].rule)
    assert all(f"({letter})" in said for letter in "ABCDEFGHIJKLMNOPQR")


@pytest.mark.parametrize(
    ("pack", "category", "expected"),
    [
        ("pipl", "person.id", 3),  # no longer listed as sensitive by itself: GB/T 45574-2025
        ("pipl", "health.diagnosis", 4),
        ("pipl", "person.biometric", 5),
        ("gdpr", "person.religion", 4),
        ("gdpr", "person.phone", 3),
        ("hipaa", "person.postcode", 4),
        ("hipaa", "health.diagnosis", 3),
        ("jrt0197", "secret.password", 4),
        ("gbt39725", "health.special", 5),
        ("gbt43697", "finance.card", 4),
    ],
)
def test_grades(pack: str, category: str, expected: int) -> None:
    assert grade([available()[pack]], category, None)[0].grade == expected


def test_what_was_not_checked_says_so() -> None:
    basis = grade([available()["jrt0197"]], "person.phone", None)[0]
    assert not basis.verified
    assert "unverified" in basis.text()
    assert basis.to_dict()["verified"] is False
    assert "unverified" not in grade([available()["gdpr"]], "person.phone", None)[0].text()


def test_own_packs(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(TOML)
    (own,) = chosen_packs([path])
    assert grade([own], "person.phone", Role.IDENTIFIER)[0].grade is Grade.SENSITIVE
    assert grade([own], "person.phone", None)[0].grade is Grade.INTERNAL
    assert grade([own], "org.code", None) == ()
    assert chosen_packs([str(path), own]) == (own, own)
    assert [b.pack for b in grade([own, *chosen_packs(["gdpr"])], "person.religion", None)] == ["gdpr", "own"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("grade = 4", "grade = 6", "rule.0.grade"),
        ('clause = "House rules, 3"', "", "rule.0.clause"),
        ('role = ["identifier"]', 'role = ["identity"]', "rule.0.role"),
        ("date = 2026-01-01", "", "date"),
        ("date = 2026-01-01", "date = 2026-01-01\nnmae = 1", "nmae"),
        ("grade = 4", "grade = 4\nverified = true", "rule.0"),
    ],
)
def test_errors_name_the_key(old: str, new: str, key: str) -> None:
    with pytest.raises(ConfigError) as e:
        Pack.from_toml(TOML.replace(old, new, 1), where="own.toml")
    assert f"own.toml, key '{key}" in str(e.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        Pack.read(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("= 1")
    with pytest.raises(ConfigError):
        chosen_packs([str(tmp_path / "bad.toml")])
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(FileError):
        Pack.read(tmp_path / "bytes.toml")

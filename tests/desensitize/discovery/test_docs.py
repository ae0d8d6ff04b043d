"""The page names all that is looked for, and the example runs."""

import runpy
from pathlib import Path

import pytest

from ppc.desensitize.discovery.catalogue import builtin
from ppc.desensitize.grading import available

ROOT = Path(__file__).parents[3]


def test_every_category_and_pack_is_on_the_page() -> None:
    page = (ROOT / "docs" / "discovery.md").read_text("utf-8")
    for category in {d.category for d in builtin()}:
        last = category.rpartition(".")[2]
        assert f"`{category}`" in page or f"`.{last}`" in page, category
    assert all(f"`{name}`" in page for name in available())


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "07_anonymize.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "person.phone" in said
    assert "rows released" in said

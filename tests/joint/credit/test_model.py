"""Halves of a model on disk: bit for bit, or refused."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset.dataset import Dataset
from ppc.errors import ModelFileError
from ppc.joint.credit.features import FeatureSet
from ppc.joint.credit.model import ModelHalf
from ppc.joint.credit.training import Scale


def half(**changes: Any) -> ModelHalf:
    base = ModelHalf(
        model_id="0123",
        party="bank-a",
        parties=("bank-a", "bank-b"),
        label_party="bank-a",
        pipeline=[{"kind": "columns", "names": ["age", "income"]}],
        names=("age", "income"),
        scale=Scale(np.array([0.1 + 0.2, 1e-17]), np.array([np.pi, 1e300])),
        sizes=(2, 3),
        intercept=-0.1,
        intercept_se=5e-324,
        coef=np.array([1 / 3, -0.0]),
        se=np.array([0.5, np.nan]),
        z=np.array([np.inf, 1.0]),
        p=np.array([0.0, 0.5]),
    )
    return replace(base, **changes)


def bits(model: ModelHalf) -> list[Any]:
    columns = [model.scale.mean, model.scale.scale, model.coef, model.se, model.z, model.p, model.share]
    numbers = [np.float64(v).tobytes() for v in (model.intercept or 0.0, model.intercept_se or 0.0)]
    return [None if c is None else c.tobytes() for c in columns] + numbers


@pytest.mark.parametrize("secret", [False, True])
def test_every_bit_comes_back(tmp_path: Path, secret: bool) -> None:
    model = half()
    if secret:
        share = np.array([[0, 1, 2**64 - 1, 2**63, 12345678901234567890]], np.uint64)
        model = half(coef=None, se=None, z=None, p=None, intercept=None, share=share, share_bits=22)
    path = tmp_path / "models" / "m.json"
    model.save(path)
    again = ModelHalf.load(path)
    assert bits(again) == bits(model)
    assert again.secret == secret
    assert (again.names, again.pipeline, again.sizes) == (model.names, model.pipeline, model.sizes)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t[:-20], "damaged"),
        (lambda t: t.replace("0.3333", "0.3334"), "checksum"),
        (lambda t: t.replace('"income"', '"incame"'), "checksum"),
        (lambda t: t.replace('"version": 1', '"version": 9'), "version 9"),
        (lambda t: t.replace("ppc.credit.logistic", "other"), "not a model"),
        (lambda t: "[1, 2]", "damaged"),
        (lambda t: "", "damaged"),
        (lambda t: json.dumps({"format": "ppc.credit.logistic", "version": 1}), "damaged"),
    ],
)
def test_damage_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    path = tmp_path / "m.json"
    half().save(path)
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(ModelFileError, match=message) as caught:
        ModelHalf.load(path)
    assert str(path) in (caught.value.where or "")


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot read"):
        ModelHalf.load(tmp_path / "absent")
    (tmp_path / "m").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelFileError, match="not text"):
        ModelHalf.load(tmp_path / "m")


def test_a_repr_shows_no_number() -> None:
    shown = repr(half()) + repr(half().scale) + repr(FeatureSet(("x",), np.array([[4711.5]])))
    assert "0.3" not in shown
    assert "4711" not in shown
    assert "bank-a" in shown


def test_a_part_of_the_score_is_weighted_features() -> None:
    model = half(scale=Scale(np.array([1.0, 2.0]), np.array([2.0, 4.0])), coef=np.array([0.5, -1.0]))
    data = Dataset.from_arrow(pa.table({"age": [1, 3], "income": [2.0, 6.0], "other": ["a", "b"]}))
    assert model.partial(data).tolist() == [-0.1, 0.5 - 1.0 - 0.1]
    with pytest.raises(ModelFileError, match="secret"):
        half(coef=None).partial(data)
    assert half(coef=None).table() == []
    assert [row["feature"] for row in model.table()] == ["age", "income"]

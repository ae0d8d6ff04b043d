"""The summary says what the single measures say, and which column drives the risk."""

import json

import numpy as np
import pyarrow as pa
import pytest

from ppc.dataset import Dataset, Role
from ppc.desensitize import anonymity
from ppc.desensitize.anonymity import Anonymizer, summarize
from ppc.desensitize.anonymity.recipe import with_roles
from ppc.errors import ColumnError, ConfigError

QI = ["age", "city"]


@pytest.fixture
def people() -> Dataset:
    rng = np.random.default_rng(4)
    n = 300
    return Dataset.from_arrow(
        pa.table(
            {
                "age": rng.integers(20, 60, n),
                "city": rng.choice(["a", "b"], n),
                "ward": rng.choice(["x", "y", "z"], n),
                "cost": rng.integers(0, 9, n),
            }
        ),
        name="people",
    )


def test_it_is_the_single_measures(people: Dataset) -> None:
    s = summarize(people, QI, ["ward", "cost"], l=3)
    assert s.risk == anonymity.risk(people, QI)
    for m in s.sensitive:
        assert m.alpha == anonymity.alpha_k_anonymity(people, QI, m.column)[0]
        assert m.distinct_l == anonymity.distinct_l_diversity(people, QI, m.column)
        assert m.entropy_l == anonymity.entropy_l_diversity(people, QI, m.column)
        assert m.recursive_c == anonymity.recursive_l_diversity(people, QI, m.column, l=3)
        assert m.t == anonymity.t_closeness(people, QI, m.column)
        assert m.basic_beta == anonymity.basic_beta_likeness(people, QI, m.column)
        assert m.enhanced_beta == anonymity.enhanced_beta_likeness(people, QI, m.column)
        assert m.delta_disclosure == anonymity.delta_disclosure(people, QI, m.column)
    assert [(m.column, m.distance) for m in s.sensitive] == [("ward", "equal"), ("cost", "ordered")]
    for w in s.without:
        left = [n for n in QI if n != w.column]
        assert w.k == anonymity.k_anonymity(people, left)
        assert w.average == anonymity.risk(people, left).average
    assert json.loads(json.dumps(s.to_dict(), allow_nan=False))["risk"]["rows"] == 300


def test_columns_by_role(people: Dataset) -> None:
    known = people.with_schema(with_roles(people.schema, QI, ["ward"]))
    s = summarize(known)
    assert s.quasi_identifiers == tuple(QI)
    assert [m.column for m in s.sensitive] == ["ward"]
    assert known.schema["age"].role is Role.QUASI_IDENTIFIER


def test_population_original_and_model(people: Dataset) -> None:
    half = people.take(np.arange(150))
    s = summarize(half, QI, population=people)
    assert s.k_map == anonymity.k_map(half, QI, people)
    assert s.presence == anonymity.delta_presence(half, QI, people)
    assert s.risk.journalist_highest is not None
    released = Anonymizer(k=5, quasi_identifiers=QI, method="mondrian").fit_transform(people)
    s = summarize(released, QI, original=people, label="ward")
    assert s.risk.k >= 5
    assert s.suppressed == pytest.approx(1 - released.num_rows / 300)
    assert s.scores == anonymity.model_score(people, released, "ward", QI)


def test_errors(people: Dataset) -> None:
    for arguments in (
        {},
        {"quasi_identifiers": QI, "sensitive": ["age"]},
        {"quasi_identifiers": QI, "label": "ward"},
        {"quasi_identifiers": QI, "sensitive": ["ward"], "distance": "hierarchical"},
    ):
        with pytest.raises(ConfigError):
            summarize(people, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ColumnError, match="no column 'agee'"):
        summarize(people, ["agee"])
    with pytest.raises(ColumnError):
        summarize(people, QI, original=people, label="age")

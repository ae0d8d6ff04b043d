"""What is released satisfies what was asked; the lattice's answer is the best one; nothing else is touched."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppc.dataset import Dataset, Field, Role
from ppc.desensitize import anonymity
from ppc.desensitize.anonymity import Anonymizer
from ppc.errors import ColumnError, ConfigError, DisclosureRefused, ValueRangeError

AGE = {"kind": "interval", "widths": [10, 20], "low": 0, "high": 100}
CITY = [["bonn", "west", "*"], ["koeln", "west", "*"], ["leipzig", "east", "*"], ["jena", "east", "*"]]
QI = ["age", "city"]
FAST = settings(max_examples=40, deadline=None)


def _people(n: int, seed: int, nulls: bool = False) -> Dataset:
    rng = np.random.default_rng(seed)
    ages = rng.integers(0, 100, n)
    return Dataset.from_arrow(
        pa.table(
            {
                "age": pa.array(ages, pa.int64(), mask=(ages % 13 == 0) if nulls else None),
                "city": rng.choice([row[0] for row in CITY], n),
                "ward": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
                "note": np.arange(n),
            }
        ),
        name="people",
    )


def _check(ds: Dataset, out: Dataset, need: dict[str, Any]) -> None:
    assert anonymity.k_anonymity(out, QI) >= need["k"]
    if "l" in need:
        assert anonymity.distinct_l_diversity(out, QI, "ward") >= need["l"]
    if "t" in need:
        assert anonymity.t_closeness(out, QI, "ward") <= need["t"] + 1e-9
    kept = out.to_arrow()["note"].to_pylist()
    assert len(kept) >= (1 - need.get("suppression", 0.05)) * ds.num_rows
    assert out.to_arrow().select(["ward", "note"]) == ds.take(kept).to_arrow().select(["ward", "note"])


@given(
    st.integers(30, 200), st.integers(0, 10**6), st.sampled_from(["lattice", "mondrian"]), st.booleans(),
    st.sampled_from([{"k": 3}, {"k": 5, "l": 2}, {"k": 2, "t": 0.35}, {"k": 4, "suppression": 0.0}]),
)  # fmt: skip
@FAST
def test_what_is_released_satisfies_what_was_asked(
    n: int, seed: int, method: str, nulls: bool, need: dict[str, Any]
) -> None:
    ds = _people(n, seed, nulls)
    a = Anonymizer(
        **need, quasi_identifiers=QI, sensitive="ward", hierarchies={"age": AGE, "city": CITY}, method=method
    )
    try:
        out = a.fit_transform(ds)
    except DisclosureRefused:
        assert method == "mondrian" or "l" in need or "t" in need  # the lattice's top satisfies k alone
        return
    _check(ds, out, need)
    assert a.utility_.suppressed == pytest.approx(1 - out.num_rows / ds.num_rows)


@given(st.integers(20, 120), st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3]), st.sampled_from([2, 5, 9]))
@FAST
def test_the_lattice_finds_the_optimum(n: int, seed: int, suppression: float, k: int) -> None:
    """Against every combination tried one by one, with the loss computed from its definition."""
    ds = _people(n, seed)
    a = Anonymizer(
        k=k, quasi_identifiers=QI, hierarchies={"age": AGE, "city": CITY}, method="lattice", suppression=suppression
    ).fit(ds)
    ages, cities = ds.to_arrow()["age"].to_pylist(), ds.to_arrow()["city"].to_pylist()
    age_maps = [lambda x: x, lambda x: min(x // 10, 9), lambda x: min(x // 20, 4), lambda x: "*"]
    city_maps = [{row[0]: row[0] for row in CITY}, *({r[0]: r[i] for r in CITY} for i in (1, 2))]

    def loss_of(column: list[Any], f: Any) -> float:
        domain = set(column)
        if len(domain) < 2:
            return 0.0
        sizes = {g: sum(f(v) == g for v in domain) for g in map(f, domain)}
        return float(np.mean([(sizes[f(v)] - 1) / (len(domain) - 1) for v in column]))

    best = np.inf
    for f, g in itertools.product(age_maps, city_maps):
        keys = [(f(x), g[y]) for x, y in zip(ages, cities, strict=True)]
        out = sum(keys.count(key) < k for key in keys)
        if out <= suppression * n and out < n:
            mean = (loss_of(ages, f) + loss_of(cities, g.__getitem__)) / 2
            best = min(best, (1 - out / n) * mean + out / n)
    assert a.utility_.granularity == pytest.approx(best)


def test_fitting_on_counts_gives_the_same_as_on_rows() -> None:
    ds = _people(400, 1)
    grouped = Dataset.from_arrow(ds.to_arrow().group_by(["age", "city", "ward"]).aggregate([([], "count_all")]))
    settings_ = {
        "k": 5,
        "l": 2,
        "quasi_identifiers": QI,
        "sensitive": "ward",
        "hierarchies": {"age": AGE, "city": CITY},
    }
    for method in ("lattice", "mondrian"):
        one = Anonymizer(**settings_, method=method).fit(ds)
        two = Anonymizer(**settings_, method=method).fit(grouped, count="count_all")
        assert one.levels_ == two.levels_
        assert one.transform(ds).to_arrow() == two.transform(ds).to_arrow()


def test_rows_unseen_at_fit_are_not_released() -> None:
    ds = _people(300, 2)
    a = Anonymizer(k=5, quasi_identifiers=QI, hierarchies={"age": AGE, "city": CITY}).fit(ds)
    stranger = Dataset.from_arrow(
        pa.table({"age": pa.array([42]), "city": ["berlin"], "ward": ["a"], "note": pa.array([0])})
    )
    assert a.transform(stranger).num_rows == 0


def test_roles_choose_the_columns_and_mondrian_names_its_ranges() -> None:
    ds = _people(200, 3)
    schema = ds.schema
    for name, role in (("age", Role.QUASI_IDENTIFIER), ("city", Role.QUASI_IDENTIFIER), ("ward", Role.SENSITIVE)):
        schema = schema.with_field(Field(**{**_as_dict(schema[name]), "role": role}))
    out = anonymity.anonymize(ds.with_schema(schema), k=4, l=2, hierarchies={"city": CITY}, method="mondrian")
    _check(ds, out, {"k": 4, "l": 2})
    assert set(out.to_arrow()["city"].to_pylist()) <= {row[i] for row in CITY for i in range(3)}
    assert any(text.startswith("[") for text in out.to_arrow()["age"].to_pylist())
    assert out.schema["age"].role is Role.QUASI_IDENTIFIER


def _as_dict(field: Field) -> dict[str, Any]:
    return {name: getattr(field, name) for name in field.__dataclass_fields__}


def test_a_column_without_a_hierarchy_can_only_be_starred() -> None:
    ds = _people(60, 4)
    out = Anonymizer(k=20, quasi_identifiers=QI, method="lattice", suppression=0.0).fit_transform(ds)
    assert set(out.to_arrow()["age"].to_pylist()) == {"*"}


@pytest.mark.parametrize("method", ["lattice", "mondrian"])
def test_what_cannot_be_is_refused(method: Any) -> None:
    ds = _people(50, 5)
    with pytest.raises(DisclosureRefused, match="50 rows"):
        Anonymizer(k=51, quasi_identifiers=QI, method=method).fit(ds)
    with pytest.raises(DisclosureRefused):
        Anonymizer(k=2, l=4, quasi_identifiers=QI, sensitive="ward", method=method).fit(ds)


def test_bad_input_is_named() -> None:
    ds = _people(50, 6)
    with pytest.raises(ColumnError, match="Did you mean 'city'"):
        try:
            Anonymizer(k=2, quasi_identifiers=["citty"]).fit(ds)
        except ColumnError as e:
            raise ColumnError(f"{e} {e.hint}") from None
    with pytest.raises(ConfigError, match="both sensitive"):
        Anonymizer(k=2, l=2, quasi_identifiers=QI, sensitive="age").fit(ds)
    with pytest.raises(ConfigError, match="not a quasi-identifier"):
        Anonymizer(k=2, quasi_identifiers=["age"], hierarchies={"city": CITY}).fit(ds)
    with pytest.raises(ValueRangeError, match="not in the hierarchy"):
        Anonymizer(k=2, quasi_identifiers=QI, hierarchies={"city": CITY[:2]}).fit(ds)
    with pytest.raises(ConfigError, match="fit the anonymizer"):
        Anonymizer(k=2, quasi_identifiers=QI).transform(ds)
    for bad in ({"k": 0}, {"k": 2, "t": float("nan")}, {"k": 2, "l": 0.5}, {"k": 2, "suppression": 1.0}):
        with pytest.raises(ConfigError):
            Anonymizer(**bad)
    with pytest.raises(ConfigError, match="one sensitive column"):
        Anonymizer(k=2, l=2, quasi_identifiers=QI).fit(ds)


def test_the_model_score_falls_when_everything_is_starred() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 10, 400)
    ds = Dataset.from_arrow(pa.table({"x": x, "y": (x > 4).astype(int)}))
    starred = ds.with_column("x", pa.array(["*"] * 400))
    before, after = anonymity.model_score(ds, starred, "y", ["x"])
    assert before > 0.95 > 0.7 > after

"""Scan, draft a policy, desensitize: nothing that was found is left in the clear."""

from collections.abc import Callable
from typing import Any

from ppc import desensitize
from ppc.dataset import Dataset
from ppc.desensitize.discovery import scan
from ppc.desensitize.draft import draft
from ppc.desensitize.keys import Key
from ppc.desensitize.policy import Policy

# What a mask leaves on purpose, or what is no person's: the web address of a page, a code of an organisation.
LEFT = {"url", "cn_credit_code"}


def test_what_is_found_is_covered_by_the_drafted_policy(
    real: dict[str, list[Any]], table: Callable[..., Dataset], key: Key
) -> None:
    columns = {name: values[:200] for name, values in real.items() if name not in LEFT}
    columns["note"] = [f"customer {m} called" for m in real["cn_mobile"][:200]]
    ds = table(**{f"c{i}": values for i, values in enumerate(columns.values())})
    found = scan(ds)
    known = ds.with_schema(found.schema(ds.schema))
    text = draft(known.schema)
    policy = Policy.from_toml(text)
    safe = desensitize.apply(known, policy, key)
    for i, (name, values) in enumerate(columns.items()):
        after = safe.to_arrow()[f"c{i}"].to_pylist()
        same = sum(a == b for a, b in zip(after, values, strict=True))
        assert same == 0, (name, found[f"c{i}"].category)
    note = safe.to_arrow()[f"c{len(columns) - 1}"].to_pylist()
    assert all(n == "customer [person.phone] called" for n in note)

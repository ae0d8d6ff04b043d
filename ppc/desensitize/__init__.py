"""Desensitization: every transformation, one policy file, on every engine.

    ppc.desensitize.apply(ds, "policy.toml", Key.from_file("tokens.key"))
    ppc.desensitize.polars.apply(lazyframe, policy, keys)      # also pandas, arrow, duckdb, spark

Each transformation is also a function on Arrow arrays in `ppc.desensitize.transforms`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc.desensitize import fingerprint, transforms
    from ppc.desensitize.engines import arrow, duckdb, pandas, polars, spark
    from ppc.desensitize.keys import Key, KeyRef, Keys
    from ppc.desensitize.policy import Policy, Rule
    from ppc.desensitize.report import Report
    from ppc.desensitize.run import apply, apply_with_report

# Public name -> (module, attribute); loaded at first use, so that importing ppc stays light.
_LAZY: dict[str, tuple[str, str | None]] = {
    "Key": ("ppc.desensitize.keys", "Key"),
    "KeyRef": ("ppc.desensitize.keys", "KeyRef"),
    "Keys": ("ppc.desensitize.keys", "Keys"),
    "Policy": ("ppc.desensitize.policy", "Policy"),
    "Report": ("ppc.desensitize.report", "Report"),
    "Rule": ("ppc.desensitize.policy", "Rule"),
    "apply": ("ppc.desensitize.run", "apply"),
    "apply_with_report": ("ppc.desensitize.run", "apply_with_report"),
    "arrow": ("ppc.desensitize.engines.arrow", None),
    "duckdb": ("ppc.desensitize.engines.duckdb", None),
    "fingerprint": ("ppc.desensitize.fingerprint", None),
    "pandas": ("ppc.desensitize.engines.pandas", None),
    "polars": ("ppc.desensitize.engines.polars", None),
    "spark": ("ppc.desensitize.engines.spark", None),
    "transforms": ("ppc.desensitize.transforms", None),
}

__all__ = [
    "Key",
    "KeyRef",
    "Keys",
    "Policy",
    "Report",
    "Rule",
    "apply",
    "apply_with_report",
    "arrow",
    "duckdb",
    "fingerprint",
    "pandas",
    "polars",
    "spark",
    "transforms",
]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _LAZY[name]
    except KeyError:
        raise AttributeError(f"module 'ppc.desensitize' has no attribute '{name}'") from None
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])

"""Desensitization: every transformation, one policy file, on every engine.

    ppc.desensitize.apply(ds, "policy.toml", Key.from_file("tokens.key"))
    ppc.desensitize.polars.apply(lazyframe, policy, keys)      # also pandas, arrow, duckdb, spark

    ppc.desensitize.scan(ds)                                   # what the columns hold, graded by rule packs
    ppc.desensitize.anonymize(ds, k=5, l=2)                    # k-anonymity, l-diversity, t-closeness; `risk` measures

Each transformation is also a function on Arrow arrays in `ppc.desensitize.transforms`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppc.desensitize import anonymity, discovery, fingerprint, grading, transforms
    from ppc.desensitize.anonymity.anonymize import Anonymizer, anonymize
    from ppc.desensitize.anonymity.risk import risk
    from ppc.desensitize.discovery import inventory, load_detectors, scan, scan_file
    from ppc.desensitize.engines import arrow, duckdb, pandas, polars, spark
    from ppc.desensitize.keys import Key, KeyRef, Keys
    from ppc.desensitize.policy import Policy, Rule
    from ppc.desensitize.report import Report
    from ppc.desensitize.run import apply, apply_with_report

# Public name -> (module, attribute); loaded at first use, so that importing ppc stays light.
_LAZY: dict[str, tuple[str, str | None]] = {
    "Anonymizer": ("ppc.desensitize.anonymity", "Anonymizer"),
    "Key": ("ppc.desensitize.keys", "Key"),
    "KeyRef": ("ppc.desensitize.keys", "KeyRef"),
    "Keys": ("ppc.desensitize.keys", "Keys"),
    "Policy": ("ppc.desensitize.policy", "Policy"),
    "Report": ("ppc.desensitize.report", "Report"),
    "Rule": ("ppc.desensitize.policy", "Rule"),
    "anonymity": ("ppc.desensitize.anonymity", None),
    "anonymize": ("ppc.desensitize.anonymity", "anonymize"),
    "apply": ("ppc.desensitize.run", "apply"),
    "apply_with_report": ("ppc.desensitize.run", "apply_with_report"),
    "arrow": ("ppc.desensitize.engines.arrow", None),
    "duckdb": ("ppc.desensitize.engines.duckdb", None),
    "discovery": ("ppc.desensitize.discovery", None),
    "fingerprint": ("ppc.desensitize.fingerprint", None),
    "grading": ("ppc.desensitize.grading", None),
    "inventory": ("ppc.desensitize.discovery", "inventory"),
    "load_detectors": ("ppc.desensitize.discovery", "load_detectors"),
    "pandas": ("ppc.desensitize.engines.pandas", None),
    "polars": ("ppc.desensitize.engines.polars", None),
    "risk": ("ppc.desensitize.anonymity", "risk"),
    "scan": ("ppc.desensitize.discovery", "scan"),
    "scan_file": ("ppc.desensitize.discovery", "scan_file"),
    "spark": ("ppc.desensitize.engines.spark", None),
    "transforms": ("ppc.desensitize.transforms", None),
}

__all__ = [
    "Anonymizer",
    "Key",
    "KeyRef",
    "Keys",
    "Policy",
    "Report",
    "Rule",
    "anonymity",
    "anonymize",
    "apply",
    "apply_with_report",
    "arrow",
    "discovery",
    "duckdb",
    "fingerprint",
    "grading",
    "inventory",
    "load_detectors",
    "pandas",
    "polars",
    "risk",
    "scan",
    "scan_file",
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

"""How two parties match, and what each will learn from it, said before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from ppc.errors import ConfigError
from ppc.mpc.ot import vole
from ppc.mpc.psi import large, protocols
from ppc.mpc.psi.greeting import MAX_ROWS
from ppc.mpc.psi.normalise import Normalise, Spaces
from ppc.mpc.psi.spool import Repeated

Reveal = Literal["rows", "count"]
_ASSUMED_ROWS: Final = 1_000_000


@dataclass(frozen=True)
class Settings:
    """One party's settings for a match.

    Attributes:
        keys: the alternatives by which rows are matched, most trusted first; each one or more columns that make a key
            together. A row that matched by one takes no part in the next.
        similar: a column of names and at least one more: rows that found no partner are matched if the names are alike
            and the others equal. It trades privacy, see `ppc.mpc.psi.similar`. threshold: how alike, 0.3 to 1.
        forms: for a key column, what it holds, such as `phone:DE`; see `ppc.mpc.psi.normalise`.
        case, width, spaces, diacritics: how other text is brought to one form.
        duplicates: rows with the same key: `reject`, `first`, `all` (of them match) or `drop` (none does).
        reveal: `rows`: each learns which of its own match; `count`: only how many.
        protocol, randomness, security: as for `ppc.mpc.psi.protocols.intersect`.
        max_peer_rows: refuse a peer that brings more keys.
        bucket_rows: keys of the larger set that are worked on at once.
    """

    keys: tuple[tuple[str, ...], ...]
    similar: tuple[str, ...] = ()
    threshold: float = 0.7
    forms: Mapping[str, str] = field(default_factory=dict)
    case: bool = False
    width: bool = False
    spaces: Spaces = "keep"
    diacritics: bool = False
    duplicates: Repeated = "reject"
    reveal: Reveal = "rows"
    protocol: protocols.Protocol = "auto"
    randomness: vole.Randomness = "silent"
    security: protocols.Security = "semi-honest"
    max_peer_rows: int = MAX_ROWS
    bucket_rows: int = large.BUCKET_ROWS

    def __post_init__(self) -> None:
        if not self.keys or not all(self.keys):
            raise ConfigError("no key column is given", where="keys")
        for name in self.forms:
            if name not in self.columns:
                raise ConfigError(f"'{name}' has a form but is no key column", where="forms")
        for given, allowed, what in (
            (self.duplicates, Repeated, "duplicates"),
            (self.reveal, Reveal, "reveal"),
        ):
            if given not in get_args(allowed):
                raise ConfigError(f"{what} is one of {', '.join(get_args(allowed))}, not {given!r}", where=what)
        if self.similar and len(self.similar) < 2:
            raise ConfigError(
                "names alone would match strangers", where="similar", hint="add a column that is equal: name,birth"
            )
        if self.similar and self.forms.get(self.similar[0], "name") != "name":
            raise ConfigError("what is compared for likeness is of form name", where="similar")
        if not 0.3 <= self.threshold <= 1:
            raise ConfigError(f"names are alike from an index of 0.3 to 1, not {self.threshold:g}", where="threshold")
        if self.similar and (self.reveal == "count" or self.security == "malicious"):
            raise ConfigError(
                "names that are alike are matched row by row, by parties that follow the protocol", where="similar"
            )
        protocols.check_settings(self.protocol, self.randomness, self.security)
        if self.reveal == "count" and self.security == "malicious":
            raise ConfigError("a count is for parties that follow the protocol", where="security")
        if self.reveal == "count" and len(self.keys) > 1:
            raise ConfigError(
                "alternatives need to know which rows matched",
                where="reveal",
                hint='give one key, or use reveal "rows"',
            )
        if not 1 <= self.max_peer_rows <= MAX_ROWS:
            raise ConfigError(f"at most {MAX_ROWS} rows of a peer can be accepted", where="max_peer_rows")
        if not 1 <= self.bucket_rows <= MAX_ROWS:
            raise ConfigError(f"a bucket has 1 to {MAX_ROWS} rows", where="bucket_rows")
        for key in self.keys:
            self.normalise(key)

    @property
    def columns(self) -> tuple[str, ...]:
        """All key columns, each once."""
        return tuple(dict.fromkeys(n for key in (*self.keys, self.similar) for n in key))

    def normalise(self, key: tuple[str, ...]) -> Normalise:
        """How the columns of one alternative are brought to one form."""
        forms = tuple(self.forms.get(n, "text") for n in key)
        return Normalise(self.case, self.width, self.spaces, self.diacritics, forms)

    def agreed(self) -> dict[str, Any]:
        """What must be the same at both parties; kinds of columns are compared at each alternative."""
        return {
            "alternatives": len(self.keys),
            "similar": len(self.similar),
            "threshold": f"{self.threshold:g}",
            "reveal": self.reveal,
            "protocol": self.protocol,
            "randomness": self.randomness,
            "security": self.security,
            "bucket_rows": self.bucket_rows,
        }


def plan(settings: Settings, my_rows: int | None = None, peer_rows: int | None = None) -> dict[str, Any]:
    """What each party will learn, what that rests on, and the cost; as plain values."""
    many = len(settings.keys) > 1
    learned = [
        {
            "who": "both",
            "learns": "how many distinct keys the other has" + (" for each alternative" if many else ""),
            "why": "the sizes of the sets are visible",
        },
        {
            "who": "both",
            "learns": "the kinds of the other's key columns (text, integer, phone, …) and how it normalises text",
            "why": "to refuse what could never match",
        },
    ]
    if settings.reveal == "count":
        learned.append({"who": "both", "learns": "how many keys both have, and not which", "why": "asked for"})
        rests = protocols.assumptions("ecdh", settings.randomness)
        protocol = "count"
    else:
        learned.append(
            {
                "who": "both",
                "learns": "which of its own rows the other has too; nothing of the other's other rows",
                "why": "asked for: the matching rows of both in one order",
            }
        )
        rests = protocols.assumptions(settings.protocol, settings.randomness, settings.security)
        protocol = settings.protocol
    if many:
        learned.append(
            {
                "who": "both",
                "learns": "by which of the alternatives each of its rows matched, and so that those before it did not",
                "why": "a row that matched takes no part in the next alternative",
            }
        )
    if settings.similar:
        learned.append(
            {
                "who": "both",
                "learns": f"for each of its rows without a partner, whether the other has rows with equal "
                f"{', '.join(settings.similar[1:])} and a name near its own, how many, how long those names are, and "
                "how near they come (one party exactly, the other roughly), also if they are not matched in the end",
                "why": "names that are alike were asked for: this trades privacy",
            }
        )
    mine, theirs = my_rows or _ASSUMED_ROWS, peer_rows or my_rows or _ASSUMED_ROWS
    buckets = large.buckets_for(max(mine, theirs), settings.bucket_rows)
    runs = [large.capacity(n, buckets) for n in (mine, theirs)]
    chosen = "ecdh" if protocol == "count" else protocols.chosen(settings.protocol, max(runs), settings.security)
    sent = protocols.sent_bytes(chosen, settings.randomness, runs[0], runs[1], settings.security)
    return {
        "keys": [list(k) for k in settings.keys],
        "reveal": settings.reveal,
        "learned": learned,
        "stays": "names, other columns and rows that do not match never leave; nor do keys, in any form that can be "
        "tested against guesses",
        "does_not_stop": "a party that puts guessed keys into its own set, to find out whether the other has them: "
        f"limit what it may bring (--max-peer-rows, now {settings.max_peer_rows})",
        "rests_on": rests,
        "buckets": buckets,
        "padded_bucket_keys": runs if buckets > 1 else None,
        "bytes_sent": sent * buckets * len(settings.keys),
        "assumed_rows": [mine, theirs],
    }

"""The operator `align`: which customers the parties have in common, found without showing the others.

Every later step sees only the matched rows, in an order that all parties share. With `holdout`, a part of them is set
apart for evaluation: a public permutation of that order decides, so no party chooses whom.

With `reveal = "none"` neither of two parties learns which of its rows match (`align_hidden`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ppc.dataset.schema import Role
from ppc.errors import ConfigError, JobFileError, KeyColumnError, NoMatchError, did_you_mean
from ppc.joint.context import Context
from ppc.joint.credit import align_hidden
from ppc.joint.credit.features import HOLDOUT, ROWS
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc.psi import multiparty, protocols
from ppc.mpc.psi.greeting import MAX_ROWS
from ppc.mpc.psi.keys import Keys, Normalise, digest_rows, prepare


class AlignParams(Params):
    """Parameters of `align`.

    keys: the key columns, the same names at both parties, or a list for each: `{ bank-a = ["id"], bank-b = ["cust"] }`.
    or_keys: further keys, each written as `keys`, for rows that found no partner by those before: [["phone"], ["name",
        "birth"]]. The most trusted key comes first.
    forms: what key columns of these names hold, such as `{ phone = "phone:DE" }`: see `ppc.mpc.psi.normalise`.
    reveal: `"intersection"` tells each party which of its rows match, `"none"` only how many do.
    normalise: make keys alike before they are compared: case, width (full and half) and spaces.
    duplicates: `"error"`, or `"first"` to keep the first row of a key.
    nulls: `"error"`, or `"drop"` to leave out rows without any key.
    protocol: how keys are matched: `"ecdh"`, `"kkrt"`, `"rr22"`, or `"auto"`: rr22 if a party has 4096 keys or more.
        Three and more parties have a protocol of their own, made of rr22's parts.
    security: `"semi-honest"` for parties that follow the protocol, `"malicious"` against one that deviates (rr22).
    randomness: for rr22: `"silent"`, which rests on LPN, or `"ot"`, which does not and sends about 2.7 kB a key.
    holdout: the fraction of matched rows kept for evaluation.
    min_rows: fewer matches than this stop the job.
    """

    keys: tuple[str, ...] | dict[str, tuple[str, ...]]
    or_keys: tuple[tuple[str, ...] | dict[str, tuple[str, ...]], ...] = ()
    forms: dict[str, str] = Field(default_factory=dict)
    reveal: Literal["intersection", "none"] = "intersection"
    normalise: bool = False
    duplicates: Literal["error", "first"] = "error"
    nulls: Literal["error", "drop"] = "error"
    protocol: protocols.Protocol = "auto"
    security: protocols.Security = "semi-honest"
    randomness: Literal["silent", "ot"] = "silent"
    holdout: float = Field(default=0.0, ge=0, lt=1)
    min_rows: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> AlignParams:
        if self.reveal == "none" and self.protocol in ("ecdh", "kkrt"):
            raise ValueError('reveal = "none" is built on rr22: leave protocol out')
        if self.reveal == "none" and self.security == "malicious":
            raise ValueError('reveal = "none" is for parties that follow the protocol: leave security out')
        if self.reveal == "none" and self.or_keys:
            raise ValueError('reveal = "none" takes one key: which rows go on to the next one would tell who matched')
        return self

    def alternatives(self, party: str) -> tuple[tuple[str, ...], ...]:
        """The keys of a party, each of some columns, most trusted first."""
        return tuple(k.get(party, ()) if isinstance(k, dict) else k for k in (self.keys, *self.or_keys))

    def of(self, party: str) -> tuple[str, ...]:
        """All key columns of a party."""
        return tuple(dict.fromkeys(n for key in self.alternatives(party) for n in key))

    def normaliser(self, key: tuple[str, ...]) -> Normalise:
        """How the columns of one key are brought to one form."""
        forms = tuple(self.forms.get(n, "text") for n in key)
        if not self.normalise:
            return Normalise(forms=forms)
        return Normalise(case=True, width=True, spaces="collapse", forms=forms)


@register
class Align(Operator[AlignParams]):
    """Private set intersection of the parties' keys: rows that all of them have."""

    name = "align"
    summary = "match the parties' rows by key without showing the others"
    Params = AlignParams
    reads = (Role.IDENTIFIER,)
    needs_helper = False
    needs_match = ""

    def computes_on_shares(self, params: AlignParams) -> bool:
        return params.reveal == "none"

    def check(self, params: AlignParams, view: PlanView) -> None:
        if len(view.parties) < 2:
            raise JobFileError("align matches the rows of two or more parties", where=view.where)
        if view.aligned:
            raise JobFileError("the rows have been matched already", where=view.where)
        if len(view.parties) > 2 and (params.protocol != "auto" or params.security != "semi-honest"):
            raise JobFileError(
                "three and more parties match by a protocol of their own, for parties that follow it",
                where=f"{view.where}, key '{'protocol' if params.protocol != 'auto' else 'security'}'",
                hint="Leave protocol and security out.",
            )
        if len(view.parties) > 2 and params.reveal == "none":
            raise JobFileError(
                'reveal = "none" is for two parties', where=f"{view.where}, key 'reveal'", hint="Leave reveal out."
            )
        if params.security == "malicious" and params.protocol not in ("auto", "rr22"):
            raise JobFileError(
                f"protocol {params.protocol} is not secure against a party that deviates",
                where=f"{view.where}, key 'security'",
                hint='Use protocol = "rr22", or leave it out.',
            )
        columns = {n for party in view.parties for n in params.of(party)}
        for name in params.forms:
            if name not in columns:
                hint = did_you_mean(name, columns)
                raise JobFileError(f"'{name}' is no key column", where=f"{view.where}, key 'forms'", hint=hint)
        for number, given in enumerate((params.keys, *params.or_keys)):
            self._check_key(params, view, number, given, "keys" if number == 0 else "or_keys")

    def _check_key(self, params: AlignParams, view: PlanView, number: int, given: Any, entry: str) -> None:
        """One key: its columns exist at both parties, in the same number, and of kinds that can be equal."""
        where = f"{view.where}, key '{entry}'"
        if isinstance(given, dict):
            for party in given:
                if party not in view.parties:
                    hint = did_you_mean(party, view.parties)
                    raise JobFileError(f"'{party}' is not a party of this job", where=where, hint=hint)
        sizes = set()
        for party in view.parties:
            key = params.alternatives(party)[number]
            sizes.add(len(key))
            if not key:
                raise JobFileError(f"names no key column of '{party}'", where=where)
            try:
                params.normaliser(key)
            except ConfigError as e:
                raise JobFileError(e.what, where=f"{view.where}, key 'forms'", hint=e.hint) from None
            for name in key:
                if name not in view.schemas[party]:
                    raise KeyColumnError(
                        f"there is no key column '{name}'",
                        party=party,
                        where=f"column '{name}'",
                        hint=did_you_mean(name, view.schemas[party].names),
                    )
        if len(sizes) != 1:
            raise JobFileError("the parties name different numbers of key columns", where=where)
        for names in zip(*(params.alternatives(p)[number] for p in view.parties), strict=True):
            self._alike(params, view, names)

    @staticmethod
    def _alike(params: AlignParams, view: PlanView, names: tuple[str, ...]) -> None:
        """Keys of different kinds (text, whole numbers, dates) would never match: say so before anyone computes."""
        kinds = {}
        for party, name in zip(view.parties, names, strict=True):
            kind, form = _kind(view.schemas[party][name].type), params.forms.get(name, "text").partition(":")[0]
            kinds[party] = kind if form == "text" or kind not in ("text", "a whole number") else f"of form {form}"
        for party, name in zip(view.parties, names, strict=True):
            if kinds[party] == "other":
                kind = view.schemas[party][name].type
                raise KeyColumnError(f"key '{name}' is of type {kind}", party=party, where=f"column '{name}'")
        a, *others = view.parties
        for b, name in zip(others, names[1:], strict=True):
            if kinds[a] != kinds[b]:
                raise KeyColumnError(
                    f"key '{names[0]}' is {kinds[a]} at {a} but '{name}' is {kinds[b]} at {b}: they would never match",
                    party=b,
                    where=f"column '{name}'",
                    hint="Give both the same type in their schemas.",
                )

    def disclosures(self, params: AlignParams, view: PlanView) -> list[Disclosure]:
        if params.reveal == "none":
            return align_hidden.disclosures(params.randomness, params.holdout)
        found = [
            Disclosure(EVERYONE, "how many distinct keys each party has", why="the sizes of the sets are visible"),
            Disclosure(EVERYONE, "how many rows match", why="every later step works on them"),
        ]
        two = len(view.parties) == 2
        rests = (
            protocols.assumptions(params.protocol, params.randomness, params.security)
            if two
            else multiparty.assumptions(params.randomness)
        )
        for party in view.parties:
            peers = view.peers(party)
            what = (
                f"which of its own rows {peers[0]} has too; nothing of {peers[0]}'s other rows"
                if two
                else f"which of its own rows all of {', '.join(peers)} have too; not which only some of them have"
            )
            why = f"to bring the rows into one order; {rests}"
            found.extend(Disclosure(party, what, peer, params.of(peer), why) for peer in peers[: 1 if two else None])
        if params.or_keys:
            found.append(
                Disclosure(
                    EVERYONE,
                    f"by which of the {len(params.or_keys) + 1} keys each of its own matching rows matched, and not by "
                    "those before; how many distinct keys each party has for each",
                    why="a row that matched by one key takes no part in the next",
                )
            )
        if params.holdout:
            found.append(
                Disclosure(EVERYONE, "which matched rows are kept for evaluation", why="a public random choice")
            )
        return found

    def cost(self, params: AlignParams, view: PlanView) -> Cost:
        times = len(params.or_keys) + 1
        if len(view.parties) > 2:
            sent = multiparty.sent_bytes(params.randomness, list(view.rows.values()))
            return Cost(times * (2 + 5 * (len(view.parties) - 1)), times * sent)
        mine, theirs = view.rows.values()
        if params.reveal == "none":
            return align_hidden.cost(mine, theirs)
        protocol = protocols.chosen(params.protocol, max(mine, theirs), params.security)
        rounds = 6 if params.security == "semi-honest" else 9
        sent = protocols.sent_bytes(protocol, params.randomness, mine, theirs, params.security)
        return Cost(rounds * times, sent * times)

    def after(self, params: AlignParams, view: PlanView) -> PlanView:
        keys = [params.of(p) for p in view.parties]
        hidden = params.reveal == "none"
        return replace(view, aligned=True, holdout=params.holdout, hidden=hidden).with_facts(
            keys=tuple(dict.fromkeys(n for names in keys for n in names)),
            keys_of=dict(zip(view.parties, keys, strict=True)),
        )

    def inspect(self, ctx: Context[AlignParams]) -> None:
        self._check_keys(ctx)

    def run(self, ctx: Context[AlignParams]) -> Summary:
        params = ctx.params
        without_key, duplicates = self._check_keys(ctx)
        if params.reveal == "none":
            limit = ctx.peer_rows.get(ctx.peers[0], MAX_ROWS)
            ids = align_hidden.universal_ids(ctx, self._keys(ctx, 0), params.randomness, limit)
            self._enough(ctx, ids.common)
            counts = align_hidden.lay_out(ctx, ids, self._held(ctx, len(ids)))
            own = {"own_rows": ctx.dataset.num_rows, "without_key": without_key, "duplicates": duplicates}
            return {**counts, **own}
        used = np.zeros(ctx.source.num_rows, np.bool_)
        parts = []
        for number in range(len(params.or_keys) + 1):
            found = self._intersect(ctx, self._keys(ctx, number, used))
            used[found] = True
            parts.append(found)
        rows = np.concatenate(parts)

        ctx.agree("number of matched rows", len(rows))
        self._enough(ctx, len(rows))
        held = self._held(ctx, len(rows))
        ctx.artifacts.put_array(ROWS, rows)
        ctx.artifacts.put_array(HOLDOUT, held)
        return {
            "matched": len(rows),
            "own_rows": ctx.dataset.num_rows,
            "holdout": int(held.sum()),
            "train": int((~held).sum()),
            "without_key": without_key,
            "duplicates": duplicates,
            **({"matched_by": [len(p) for p in parts]} if params.or_keys else {}),
        }

    @staticmethod
    def _enough(ctx: Context[AlignParams], rows: int) -> None:
        """Stop if too few rows match."""
        if rows >= ctx.params.min_rows:
            return
        names = ", ".join(f"'{n}'" for n in ctx.params.of(ctx.me))
        raise NoMatchError(
            "the parties have no row in common" if not rows else f"only {rows} rows match",
            where=f"key {names}",
            hint="Are both keys of the same kind and spelling? normalise = true evens out case, width and spaces.",
        )

    @staticmethod
    def _held(ctx: Context[AlignParams], rows: int) -> NDArray[np.bool_]:
        """Which of the rows are kept for evaluation."""
        held = np.zeros(rows, np.bool_)
        held[ctx.public_stream("holdout").permutation(rows)[: round(ctx.params.holdout * rows)]] = True
        return held

    @staticmethod
    def _intersect(ctx: Context[AlignParams], keys: Keys) -> NDArray[np.int64]:
        """This party's rows whose keys all parties have, in an order that all share."""
        params = ctx.params
        if len(ctx.parties) > 2:
            lines = {p: ctx.channels[p] for p in ctx.peers}
            return multiparty.intersect(
                lines, keys, randomness=params.randomness, max_peer_rows=ctx.peer_rows, progress=ctx.report
            )
        (peer,) = ctx.peers
        return protocols.intersect(
            ctx.channels[peer],
            keys,
            protocol=params.protocol,
            randomness=params.randomness,
            security=params.security,
            max_peer_rows=ctx.peer_rows.get(peer, MAX_ROWS),
            progress=ctx.report,
        )

    def apply(self, ctx: Context[AlignParams]) -> None:
        ctx.dataset = ctx.source.take(ctx.artifacts.array(ROWS))

    @staticmethod
    def _keys(ctx: Context[AlignParams], number: int, used: NDArray[np.bool_] | None = None) -> Keys:
        """This party's keys of one alternative, without the rows that matched before."""
        params, source = ctx.params, ctx.source
        key = params.alternatives(ctx.me)[number]
        columns = {n: source.column(n) for n in key}
        if used is not None and used.any():
            import pyarrow as pa

            hidden = pa.array(used)
            # A null in one column is enough for a row to have no key.
            first = columns[key[0]]
            columns[key[0]] = pc.if_else(hidden, pa.scalar(None, first.type), first)
        return prepare(
            columns,
            normalise=params.normaliser(key),
            duplicates="reject" if params.duplicates == "error" else "first",
        )

    def _check_keys(self, ctx: Context[AlignParams]) -> tuple[int, int]:
        """Nulls and duplicates are dealt with as the job says; rows without any key, and repetitions of the first."""
        params, source = ctx.params, ctx.source
        keyed = np.zeros(source.num_rows, np.bool_)
        duplicates = 0
        for number, key in enumerate(params.alternatives(ctx.me)):
            all_rows = digest_rows({n: source.column(n) for n in key}, params.normaliser(key))
            keyed[all_rows.rows] = True
            if not len(all_rows):
                invalid = f": {all_rows.invalid} have a value that is not of its form" if all_rows.invalid else ""
                where = f"dataset '{source.name}', column {', '.join(key)}"
                raise KeyColumnError(f"no row has a key{invalid}", where=where)
            found = self._keys(ctx, number)
            if number == 0:
                duplicates = found.duplicates
        without = int((~keyed).sum())
        if without and params.nulls == "error":
            raise KeyColumnError(
                f"{without} of {source.num_rows} rows have no key",
                where=f"dataset '{source.name}', column {', '.join(params.of(ctx.me))}",
                hint='Leave those rows out with nulls = "drop".',
            )
        return without, duplicates


def _kind(type_name: str) -> str:
    """Types whose values can be equal."""
    if type_name in ("string", "large_string"):
        return "text"
    if type_name.startswith(("int", "uint")):
        return "a whole number"
    if type_name == "date" or type_name.startswith("timestamp"):
        return "a date" if type_name == "date" else "a timestamp"
    return "other"

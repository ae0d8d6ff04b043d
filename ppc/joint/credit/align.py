"""The operator `align`: which customers two parties have in common, found without showing the others.

Every later step sees only the matched rows, in an order that both parties share. With `holdout`, a part of them is set
apart for evaluation: a public permutation of that order decides, so neither party chooses whom.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from ppc.dataset.schema import Role
from ppc.errors import JobFileError, KeyColumnError, NoMatchError, did_you_mean
from ppc.joint.context import Context
from ppc.joint.credit.features import HOLDOUT
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView, Summary
from ppc.joint.registry import register
from ppc.mpc.psi import protocols
from ppc.mpc.psi.keys import Keys, Normalise, prepare

ROWS = "rows"


class AlignParams(Params):
    """Parameters of `align`.

    keys: the key columns, the same names at both parties, or a list for each: `{ bank-a = ["id"], bank-b = ["cust"] }`.
    normalise: make keys alike before they are compared: case, width (full and half) and spaces.
    duplicates: `"error"`, or `"first"` to keep the first row of a key.
    nulls: `"error"`, or `"drop"` to leave out rows without a key.
    protocol: how keys are matched: `"ecdh"`, `"kkrt"`, `"rr22"`, or `"auto"`: rr22 if a party has 4096 keys or more.
    security: `"semi-honest"` for parties that follow the protocol, `"malicious"` against one that deviates (rr22).
    randomness: for rr22: `"silent"`, which rests on LPN, or `"ot"`, which does not and sends about 2.7 kB a key.
    holdout: the fraction of matched rows kept for evaluation.
    min_rows: fewer matches than this stop the job.
    """

    keys: tuple[str, ...] | dict[str, tuple[str, ...]]
    normalise: bool = False
    duplicates: Literal["error", "first"] = "error"
    nulls: Literal["error", "drop"] = "error"
    protocol: protocols.Protocol = "auto"
    security: protocols.Security = "semi-honest"
    randomness: Literal["silent", "ot"] = "silent"
    holdout: float = Field(default=0.0, ge=0, lt=1)
    min_rows: int = Field(default=1, ge=1)

    def of(self, party: str) -> tuple[str, ...]:
        """The key columns of a party."""
        return self.keys.get(party, ()) if isinstance(self.keys, dict) else self.keys


@register
class Align(Operator[AlignParams]):
    """Private set intersection of two parties' keys."""

    name = "align"
    summary = "match the parties' rows by key without showing the others"
    Params = AlignParams
    reads = (Role.IDENTIFIER,)
    needs_helper = False

    def check(self, params: AlignParams, view: PlanView) -> None:
        if len(view.parties) != 2:
            raise JobFileError(f"align matches two parties, not {len(view.parties)}", where=view.where)
        if view.aligned:
            raise JobFileError("the rows have been matched already", where=view.where)
        if params.security == "malicious" and params.protocol not in ("auto", "rr22"):
            raise JobFileError(
                f"protocol {params.protocol} is not secure against a party that deviates",
                where=f"{view.where}, key 'security'",
                hint='Use protocol = "rr22", or leave it out.',
            )
        if isinstance(params.keys, dict):
            for party in params.keys:
                if party not in view.parties:
                    hint = did_you_mean(party, view.parties)
                    raise JobFileError(
                        f"'{party}' is not a party of this job", where=f"{view.where}, key 'keys'", hint=hint
                    )
        sizes = set()
        for party in view.parties:
            keys = params.of(party)
            sizes.add(len(keys))
            if not keys:
                raise JobFileError(f"names no key column of '{party}'", where=f"{view.where}, key 'keys'")
            for name in keys:
                if name not in view.schemas[party]:
                    raise KeyColumnError(
                        f"there is no key column '{name}'",
                        party=party,
                        where=f"column '{name}'",
                        hint=did_you_mean(name, view.schemas[party].names),
                    )
        if len(sizes) != 1:
            raise JobFileError("the parties name different numbers of key columns", where=f"{view.where}, key 'keys'")
        for names in zip(*(params.of(p) for p in view.parties), strict=True):
            self._alike(view, names)

    @staticmethod
    def _alike(view: PlanView, names: tuple[str, ...]) -> None:
        """Keys of different kinds (text, whole numbers, dates) would never match: say so before anyone computes."""
        kinds = {p: _kind(view.schemas[p][n].type) for p, n in zip(view.parties, names, strict=True)}
        a, b = view.parties
        for party, name in zip(view.parties, names, strict=True):
            if kinds[party] == "other":
                kind = view.schemas[party][name].type
                raise KeyColumnError(f"key '{name}' is of type {kind}", party=party, where=f"column '{name}'")
        if kinds[a] != kinds[b]:
            raise KeyColumnError(
                f"key '{names[0]}' is {kinds[a]} at {a} but '{names[1]}' is {kinds[b]} at {b}: they would never match",
                party=b,
                where=f"column '{names[1]}'",
                hint="Give both the same type in their schemas.",
            )

    def disclosures(self, params: AlignParams, view: PlanView) -> list[Disclosure]:
        found = [
            Disclosure(EVERYONE, "how many distinct keys each party has", why="the sizes of the sets are visible"),
            Disclosure(EVERYONE, "how many rows match", why="every later step works on them"),
        ]
        rests = protocols.assumptions(params.protocol, params.randomness, params.security)
        for party in view.parties:
            (peer,) = view.peers(party)
            found.append(
                Disclosure(
                    party,
                    f"which of its own rows {peer} has too; nothing of {peer}'s other rows",
                    peer,
                    params.of(peer),
                    f"to bring the rows into one order; {rests}",
                )
            )
        if params.holdout:
            found.append(
                Disclosure(EVERYONE, "which matched rows are kept for evaluation", why="a public random choice")
            )
        return found

    def cost(self, params: AlignParams, view: PlanView) -> Cost:
        mine, theirs = view.rows.values()
        protocol = protocols.chosen(params.protocol, max(mine, theirs), params.security)
        rounds = 6 if params.security == "semi-honest" else 9
        return Cost(rounds, protocols.sent_bytes(protocol, params.randomness, mine, theirs, params.security))

    def after(self, params: AlignParams, view: PlanView) -> PlanView:
        keys = [params.of(p) for p in view.parties]
        return replace(view, aligned=True, holdout=params.holdout).with_facts(
            keys=tuple(dict.fromkeys(n for names in keys for n in names)),
            keys_of=dict(zip(view.parties, keys, strict=True)),
        )

    def inspect(self, ctx: Context[AlignParams]) -> None:
        self._keys(ctx)

    def run(self, ctx: Context[AlignParams]) -> Summary:
        params = ctx.params
        (peer,) = ctx.peers
        keys = self._keys(ctx)
        rows = protocols.intersect(
            ctx.channels[peer],
            keys,
            protocol=params.protocol,
            randomness=params.randomness,
            security=params.security,
            progress=ctx.report,
        )

        ctx.agree("number of matched rows", len(rows))
        if len(rows) < params.min_rows:
            what = "the parties have no row in common" if not len(rows) else f"only {len(rows)} rows match"
            names = ", ".join(f"'{n}'" for n in params.of(ctx.me))
            raise NoMatchError(
                what,
                where=f"key {names}",
                hint="Are both keys of the same kind and spelling? normalise = true evens out case, width and spaces.",
            )
        held = np.zeros(len(rows), np.bool_)
        held[ctx.public_stream("holdout").permutation(len(rows))[: round(params.holdout * len(rows))]] = True
        ctx.artifacts.put_array(ROWS, rows)
        ctx.artifacts.put_array(HOLDOUT, held)
        return {
            "matched": len(rows),
            "own_rows": ctx.dataset.num_rows,
            "holdout": int(held.sum()),
            "train": int((~held).sum()),
            "without_key": keys.nulls,
            "duplicates": keys.duplicates,
        }

    def apply(self, ctx: Context[AlignParams]) -> None:
        ctx.dataset = ctx.source.take(ctx.artifacts.array(ROWS))

    @staticmethod
    def _keys(ctx: Context[AlignParams]) -> Keys:
        """This party's keys; nulls and duplicates are dealt with as the job says."""
        params, source = ctx.params, ctx.source
        names = params.of(ctx.me)
        found = prepare(
            {n: source.column(n) for n in names},
            normalise=Normalise(case=True, width=True, spaces="collapse") if params.normalise else None,
            duplicates="reject" if params.duplicates == "error" else "first",
        )
        if found.nulls and params.nulls == "error":
            raise KeyColumnError(
                f"{found.nulls} of {found.total} rows have no key",
                where=f"dataset '{source.name}', column {', '.join(names)}",
                hint='Leave those rows out with nulls = "drop".',
            )
        if not len(found):
            raise KeyColumnError("no row has a key", where=f"dataset '{source.name}', column {', '.join(names)}")
        return found


def _kind(type_name: str) -> str:
    """Types whose values can be equal."""
    if type_name in ("string", "large_string"):
        return "text"
    if type_name.startswith(("int", "uint")):
        return "a whole number"
    if type_name == "date" or type_name.startswith("timestamp"):
        return "a date" if type_name == "date" else "a timestamp"
    return "other"

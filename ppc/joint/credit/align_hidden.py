"""`align` with `reveal = "none"`: a common order of all rows, and shares of which of them match.

Both parties get numbers for all keys that anybody has (`ppc.mpc.psi.union`). Each lays its own rows in their order, and
a row is matched if both have it: the product of what each knows of itself, as a share (`frame`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ppc.errors import DisclosureRefused, NoMatchError
from ppc.joint.context import Context
from ppc.joint.credit.features import FRAME, HOLDOUT, PLACES, ROWS
from ppc.joint.credit.frame import MEMBER
from ppc.joint.credit.graded import LEAST_ROWS
from ppc.joint.operator import EVERYONE, Cost, Disclosure
from ppc.mpc import ops
from ppc.mpc.ot.vole import Randomness
from ppc.mpc.psi import protocols, union
from ppc.mpc.psi.keys import Keys

IDS: Final = "ids"
LEAST_HELD: Final = 20  # rows of the union: how many of fewer match would be about single ones


def disclosures(randomness: Randomness, holdout: float) -> list[Disclosure]:
    """What each party learns."""
    rests = protocols.assumptions("rr22", randomness).replace("protocol rr22", "union IDs")
    matches = "how many rows match, but not which: later steps work on all rows of both, and shares say which count"
    found = [
        Disclosure(EVERYONE, "how many distinct keys each party has", why="the sizes of the sets are visible"),
        Disclosure(EVERYONE, matches, why=f"to give every key of the union a number; {rests}"),
    ]
    if holdout:
        what = (
            "which numbers are kept for evaluation, and how many matched rows are among them and among the others; "
            f"nothing, if either are fewer than {LEAST_ROWS}"
        )
        found.append(Disclosure(EVERYONE, what, why="a public random choice; a model needs to know its rows"))
    return found


def cost(mine: int, theirs: int) -> Cost:
    """An estimate for sets of these sizes."""
    return Cost(30, union.sent_bytes(mine, theirs) + 24 * (mine + theirs))


def universal_ids(ctx: Context[Any], keys: Keys, randomness: Randomness, max_peer_rows: int) -> union.UnionIds:
    """IDs of all rows of both parties."""
    return union.universal_ids(
        ctx.session, keys, randomness=randomness, max_peer_rows=max_peer_rows, progress=ctx.report
    )


def lay_out(ctx: Context[Any], ids: union.UnionIds, held: NDArray[np.bool_]) -> dict[str, int]:
    """Leave the artifacts of `frame`: my rows, where they stand, the holdout, membership, and counts (returned too).

    Also the ID of each of my rows, for whoever wants to lay other tables beside them.

    Cost: 2 rounds, 16 bytes a row of the union; 4 more if rows are held out. Leaks: how many matched rows `held` has,
    and how many it has not; if either are fewer than LEAST_ROWS, only that.

    Raises: DisclosureRefused: so few that their number would say who matches.
    """
    if held.any() and min(held.sum(), (~held).sum()) < LEAST_HELD:
        raise DisclosureRefused(
            f"{held.sum()} of {len(held)} rows are to be held out: a number of matches among fewer than {LEAST_HELD} "
            "could say who they are",
            where="holdout",
            hint="Hold out more, or nothing.",
        )
    s, size = ctx.session, len(ids)
    have = np.zeros(size, np.int64)
    have[ids.places] = 1
    a, b = (ops.share(s, have if s.rank == r else None, r, size, frac_bits=0, name="rows") for r in (0, 1))
    member = ops.mul(s, a, b)
    train = ids.common
    if held.any():
        kept = member[~held].sum().reshape(1)
        if ops.open_bits(s, ops.less_than(s, ops.concatenate([kept, ids.common - kept]), LEAST_ROWS)).any():
            raise DisclosureRefused(
                f"fewer than {LEAST_ROWS} matched rows would be held out, or left to train on",
                where="holdout",
                hint="Match more customers, or change what is held out.",
            )
        train = int(ops.open(s, kept)[0])
    if not 0 < train <= ids.common:
        raise NoMatchError("no matched row is left to train on", hint="Match more rows, or hold out fewer.")
    counts = {"matched": ids.common, "train": train, "holdout": ids.common - train, "union": size}
    ctx.artifacts.put_array(ROWS, ids.rows)
    ctx.artifacts.put_array(PLACES, ids.places)
    ctx.artifacts.put_array(IDS, ids.ids[ids.places])
    ctx.artifacts.put_array(HOLDOUT, held)
    ctx.artifacts.put_share(MEMBER, member)
    ctx.artifacts.put_json(FRAME, counts)
    return counts

"""The masked sum: every site sends its vector once, under masks that cancel; only the sum of those who stayed opens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppc.errors import FrameError
from ppc.mpc.aggregate import limbs, masks
from ppc.mpc.aggregate.star import Arrays, Operation, Outcome, Star, names
from ppc.net.channel import Spec

if TYPE_CHECKING:
    from ppc.mpc.aggregate.aggregation import KeyRing


class MaskedSum(Operation):
    """[Σ x_i] over the sites that stay, for x_i in Z_2^128 (m, 2).

    Cost: 2 rounds a site (its masked vector; shares of keys), 16 m bytes + 32 n bytes sent, and the result received;
    every BATCH sums 3 rounds and about 1 kB a pair of sites for fresh keys.
    Threat: semi-honest; up to quorum − 1 sites may pool what they saw, the leader among them.
    Leaks: the sum to every site, the length, and who took part.
    Source: Bonawitz et al., CCS 2017, figure 4 without the signatures of the active variant.
    """

    def __init__(self, keyring: KeyRing, words: limbs.Words, within: frozenset[str] | None) -> None:
        self._ring = keyring
        self._words = words
        self._within = within

    # --- the leader ---
    def lead(self, star: Star) -> Outcome:
        keys = self._agree_keys(star)
        index, keys.used = keys.used, keys.used + 1
        roster = tuple(p for p in keys.members if p in star.alive and p in keys.dealt)
        if self._void(roster):
            return Outcome({"void": True}, (), roster)
        total = keys.mask(index, roster, self._words)
        came = [star.me]

        def add(party: str, answer: Arrays) -> None:
            limbs.add(total, answer[0])
            came.append(party)

        spec = Spec("uint64", self._words.shape)
        star.ask("mask", {"index": index, "roster": roster}, to=roster, specs=(spec,), each=add)
        kept = tuple(p for p in roster if p in came)
        dropped = tuple(p for p in roster if p not in came)
        if self._void(kept):
            return Outcome({"void": True}, (), kept)  # nothing was unmasked: what came stays noise
        note = {"index": index, "kept": kept, "dropped": dropped}
        told = star.ask("unmask", note, to=kept, specs=(Spec("uint8", (len(roster), 32)),))
        shares = {star.me: keys.reveal(index, kept, dropped), **{p: a[0] for p, a in told.items()}}
        keys.unmask(index, total, kept, dropped, shares)
        return Outcome({"void": False}, (total,), kept)

    def _void(self, sites: tuple[str, ...]) -> bool:
        return self._within is not None and frozenset(sites) != self._within

    def _agree_keys(self, star: Star) -> masks.Keys:
        keys = self._ring.keys
        if keys is not None and self._ring.term == star.term and keys.used < masks.BATCH:
            return keys
        keys = self._ring.fresh(star.term)
        mine = keys.publics()
        told = star.ask("advertise", {}, specs=(Spec("uint8", mine.shape),))
        members = tuple(p for p in star.alive if p == star.me or p in told)
        publics = np.stack([mine if p == star.me else told[p][0] for p in members])
        sealed = {star.me: keys.deal(members, publics)}
        spec = Spec("uint8", sealed[star.me].shape)
        dealt = star.ask("deal", {"members": members}, (publics,), to=members, specs=(spec,))
        sealed |= {p: a[0] for p, a in dealt.items()}
        senders = tuple(p for p in members if p in sealed and p in star.alive)
        boxes = {p: (np.stack([sealed[s][members.index(p)] for s in senders]),) for p in senders}
        keys.take(senders, boxes[star.me][0])
        star.ask("deliver", {"senders": senders}, boxes, to=senders, specs=(Spec("uint8", 1),))
        return keys

    # --- the others ---
    def answer(self, verb: str, note: Mapping[str, Any], arrays: Arrays) -> Arrays:
        ring = self._ring
        if verb == "advertise":
            return (ring.fresh(-1).publics(),)
        keys = ring.keys
        if keys is None:
            raise FrameError("keys are used before they are agreed", where="aggregation")
        if verb == "deal":
            members = names(note, "members", ring.parties)
            _expect(arrays, Spec("uint8", (len(members), 1 + masks.BATCH, masks.PUBLIC_BYTES)))
            return (keys.deal(members, arrays[0]),)
        if verb == "deliver":
            senders = names(note, "senders", keys.members)
            _expect(arrays, Spec("uint8", (len(senders), masks.SEALED_BYTES)))
            keys.take(senders, arrays[0])
            return (np.zeros(1, np.uint8),)
        index = note.get("index")
        if not isinstance(index, int):
            raise FrameError("a question has no index", where="aggregation")
        if verb == "mask":
            return (keys.mask(index, names(note, "roster", keys.members), self._words),)
        if verb == "unmask":
            kept, dropped = (names(note, k, keys.members) for k in ("kept", "dropped"))
            return (keys.reveal(index, kept, dropped),)
        raise FrameError("an unknown question; do all sites run the same step?", where="aggregation")


def _expect(arrays: Arrays, spec: Spec) -> None:
    if len(arrays) != 1 or Spec.of(arrays[0]) != spec:
        raise FrameError("a question's arrays have another shape", where="aggregation")

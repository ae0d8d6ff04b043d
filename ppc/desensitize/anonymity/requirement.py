"""What a class of rows must satisfy to be released, judged for all classes at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ppc.desensitize.anonymity.classes import Codes, Floats, Histogram
from ppc.desensitize.anonymity.measures import equal_distance, ordered_distance
from ppc.desensitize.anonymity.tuples import Sensitive
from ppc.errors import ConfigError

Mask = npt.NDArray[np.bool_]
Diversity = Literal["distinct", "entropy", "recursive"]


@dataclass(frozen=True)
class Requirement:
    """k rows a class; l of `diversity` (with `c` for 'recursive'); a distance of at most t from the whole release."""

    k: int
    l: float | None = None
    diversity: Diversity = "distinct"
    c: float = 3.0
    t: float | None = None

    def __post_init__(self) -> None:
        if not self.k >= 1:
            raise ConfigError(f"k should be at least 1, not {self.k}", where="k")
        if self.l is not None and not self.l >= 1:
            raise ConfigError(f"l should be at least 1, not {self.l}", where="l")
        if self.diversity not in ("distinct", "entropy", "recursive"):
            raise ConfigError("diversity is 'distinct', 'entropy' or 'recursive'", where="diversity")
        if self.diversity == "recursive" and self.l is not None and not self.l >= 2:
            raise ConfigError("recursive diversity needs l of at least 2", where="l")
        if not self.c > 0:
            raise ConfigError("c should be above 0", where="c")
        if self.t is not None and not 0 <= self.t <= 1:
            raise ConfigError(f"t should be from 0 to 1, not {self.t}", where="t")

    @property
    def needs_sensitive(self) -> bool:
        return self.l is not None or self.t is not None

    def rising(self, sizes: Codes, h: Histogram | None) -> Mask:
        """Which classes satisfy k and l (classes,). Once true, generalizing further keeps it true."""
        good = sizes >= self.k
        if self.l is None or h is None:
            return good
        if self.diversity == "distinct":
            return good & (np.bincount(h.group, minlength=len(sizes)) >= self.l)
        if self.diversity == "entropy":
            return good & (np.exp(h.total(-h.shares * np.log(h.shares))) >= self.l - 1e-12)
        order = np.lexsort((-h.counts, h.group))
        counts = h.counts[order].astype(np.float64)
        rank = np.arange(len(counts)) - h.starts[h.group]
        tail = np.bincount(h.group, weights=np.where(rank >= int(self.l) - 1, counts, 0.0), minlength=len(sizes))
        return good & (counts[h.starts] < self.c * tail)

    def close(self, h: Histogram, kept: Mask, *, ordered: bool) -> Mask:
        """Of the `kept` classes those that stay within t of what is released, once the others are taken out.

        Taking classes out moves the released table's distribution, so it is repeated until all that is left agrees.
        """
        while kept.any():
            inside = kept[h.group]
            renumber = np.cumsum(kept) - 1
            part = Histogram(renumber[h.group[inside]], h.code[inside], h.counts[inside], h.sizes[kept], h.cardinality)
            distance: Floats = ordered_distance(part) if ordered else equal_distance(part)
            far = distance > (self.t or 0.0) + 1e-12
            if not far.any():
                return kept
            kept = kept.copy()
            kept[np.flatnonzero(kept)[far]] = False
        return kept

    def satisfied(self, index: Codes, classes: int, counts: Codes, secret: Sensitive | None) -> tuple[Mask, Mask]:
        """For tuples put into classes by `index`: (classes that satisfy all, classes that satisfy k and l)."""
        sizes = np.bincount(index, weights=counts, minlength=classes).astype(np.int64)
        h = None
        if secret is not None and self.needs_sensitive:
            pair, inverse = np.unique(index[secret.tuple_of] * secret.cardinality + secret.code, return_inverse=True)
            weight = np.bincount(inverse, weights=secret.counts).astype(np.int64)
            h = Histogram(pair // secret.cardinality, pair % secret.cardinality, weight, sizes, secret.cardinality)
        rising = self.rising(sizes, h)
        if self.t is None or h is None or secret is None:
            return rising, rising
        return self.close(h, rising, ordered=secret.ordered), rising

"""What was asked before: two answers about nearly the same rows, subtracted, tell about the few that differ.

Each site remembers, on its own disk, which of its rows every earlier step was about, as numbers that only it can
compute. Before a step opens anything, the sites test together whether its rows differ from those of an earlier one by
1 to min_cell − 1 rows in all; the number itself stays closed, and so do the rows.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.core.files import atomic_write
from ppc.core.rng import random_bytes
from ppc.dataset.dataset import Dataset
from ppc.errors import FrameError
from ppc.joint.context import Context
from ppc.joint.statistics.study import Stopped, Study

MAX_REMEMBERED = 1000
_INDEX, _KEY = "index.json", "key"

Marks = NDArray[np.uint64]


class History:
    """One site's memory: for each earlier step the set of rows it was about."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / _KEY).exists():
            with atomic_write(folder / _KEY, mode=0o600) as out:
                out.write(random_bytes(32))
        self._key = (folder / _KEY).read_bytes()

    def index(self) -> dict[str, str]:
        """For each earlier step the name of its set of rows, the oldest first."""
        try:
            found = json.loads((self._folder / _INDEX).read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return {str(k): str(v) for k, v in found.items()}

    def rows(self, name: str) -> Marks:
        """A set of rows."""
        return np.asarray(np.load(self._folder / f"{name}.npy", allow_pickle=False))

    def remember(self, step: str, marks: Marks) -> None:
        """Keep the rows of a step; equal sets are kept once."""
        name = hashlib.sha256(self._key + marks.tobytes()).hexdigest()[:32]
        path = self._folder / f"{name}.npy"
        if not path.exists():
            with atomic_write(path, mode=0o600) as out:
                np.save(out, marks, allow_pickle=False)
        index = self.index()
        index.pop(step, None)
        index[step] = name
        while len(index) > MAX_REMEMBERED:
            index.pop(next(iter(index)))
        with atomic_write(self._folder / _INDEX, mode=0o600) as out:
            out.write(json.dumps(index).encode())

    def marks(self, dataset: Dataset) -> Marks:
        """A number for each row, of all its values, sorted: uint64 (rows,). Without the site's key it tells nothing."""
        total = np.full(len(dataset), np.uint64(int.from_bytes(self._key[:8], "little")))
        for i, field in enumerate(dataset.schema):
            if field.is_numeric:
                values = dataset.numpy(field.name)
                values[np.isnan(values)] = np.nan  # one bit pattern
                each = (values + 0.0).view(np.uint64)
            else:
                coded = dataset.column(field.name).combine_chunks().dictionary_encode()
                words = [self._word(v) for v in coded.dictionary.to_pylist()]
                at = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).astype(np.int64)
                each = np.array([*words, 0], np.uint64)[at]
            total = _mix(total ^ _mix(each + np.uint64((i + 1) * 0x9E3779B97F4A7C15 % 2**64)))
        return np.sort(total)

    def _word(self, value: Any) -> int:
        return int.from_bytes(hashlib.sha256(self._key + str(value).encode()).digest()[:8], "little")


def _mix(x: Marks) -> Marks:
    """Spread bits: the finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def difference(a: Marks, b: Marks) -> int:
    """How many rows the larger of the two differences has (of sets in which a row may occur more than once)."""
    names, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    in_a = np.zeros(len(names), np.int64)
    np.add.at(in_a, np.searchsorted(names, a), 1)
    extra = 2 * in_a - counts
    return int(max(extra[extra > 0].sum(), -extra[extra < 0].sum()))


def check(study: Study[Any], source: Dataset, ctx: Context[Any]) -> None:
    """Refuse rows that differ from an earlier step's by few; else remember them. `source`: with all its columns."""
    memory = History(ctx.models.with_name(f"{ctx.models.name}-history"))
    index, marks = memory.index(), memory.marks(source)
    sets = list(dict.fromkeys(index.values()))
    # Public: which earlier steps were about the same rows here. Not which rows, nor how many.
    told = ctx.pool.gather({step: sets.index(name) for step, name in index.items()})
    for party, steps in told.items():
        if not isinstance(steps, dict) or not all(isinstance(v, int) for v in steps.values()):
            raise FrameError("its list of earlier steps is malformed", party=party, where="history")
    common = [s for s in told[next(iter(told))] if all(s in steps for steps in told.values())]
    kinds = {tuple(steps[s] for steps in told.values()): s for s in common}
    if kinds:
        mine = {name: difference(marks, memory.rows(name)) for name in {index[s] for s in kinds.values()}}
        order = sorted(kinds.values())
        small = study.small(np.array([mine[index[s]] for s in order])).tolist()
        if any(small):
            raise Stopped(
                "refused",
                f"the rows differ by fewer than {study.limits.min_cell} from those of an earlier question "
                f"({order[small.index(True)].partition('/')[2]}): the two answers together would tell about them",
            )
    memory.remember(f"{ctx.run_id}/{ctx.job.name}, {ctx.step}", marks)

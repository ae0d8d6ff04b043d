"""What everybody receives in a whole job: every frame of every site, of two studies whose rows add up to the same.

The same patients lie at other hospitals in the second study, so each pooled figure is the same and each site's own part
another. Whatever is received is then one of three: public and equal in both (names, plans, the bits and pooled figures
that the plan lists); or a pooled figure that differs by rounding; or noise: uniform, of the same shape, in the same
place.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset.dataset import Dataset
from ppc.joint import Job
from ppc.joint.context import Event
from ppc.joint.simulate import outcomes
from ppc.mpc.aggregate import limbs
from ppc.net import memory

SITES = ("north", "south", "east", "west")
LEVELS = {"g": [0, 1], "e": [0, 1]}
STEPS = [
    {"operator": "describe", "columns": ["x"]},  # masked sums, tests of counts, comparisons for dominance
    {"operator": "crosstab", "rows": "g", "columns": "e", "levels": LEVELS},
    {"operator": "describe", "name": "closed", "columns": ["cost"]},  # the largest rows of all sites are compared
    {"operator": "kaplan_meier", "time": "t", "event": "e", "horizon": 40.0, "interval": 10.0},
    {"operator": "glm", "outcome": "e", "terms": ["x", "g"], "levels": LEVELS},
]
Frame = tuple[str, tuple[np.ndarray, ...]]
Lines = Mapping[tuple[str, str], list[Frame]]


def patients() -> pd.DataFrame:
    x = np.tile(np.repeat([34.0, 42.0, 50.0, 58.0, 66.0], [5, 30, 30, 30, 5]), 4)
    g = np.arange(400) // 3 % 2
    return pd.DataFrame({
        "x": x, "g": g, "e": (np.roll(g, 7) ^ (x > 50)).astype(int), "t": np.arange(400) % 40 + 1.0,
        "cost": np.where(np.arange(400) == 17, 9e5, 2.0),
    })  # fmt: skip


def study(order: np.ndarray) -> tuple[Lines, list[tuple[Any, ...]], Any]:
    """Every frame by (sender, receiver), every site's progress as it goes to the coordinator, and the results."""
    frame = patients().iloc[order].reset_index(drop=True)
    data = {p: Dataset.from_arrow(frame.iloc[100 * i : 100 * i + 100]) for i, p in enumerate(SITES)}
    seen: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    lines = {p: dict(c) for p, c in memory.network(list(SITES)).items()}
    for me, channels in lines.items():
        for peer, channel in channels.items():

            def keep(tag: str, arrays: Any, _real: Any = channel._frame, _who: Any = (me, peer)) -> Any:
                seen[_who].append((tag, tuple(np.array(a) for a in arrays)))
                return _real(tag, arrays)

            channel._frame = keep  # type: ignore[method-assign]
    events: list[tuple[Any, ...]] = []

    def told(e: Event) -> None:
        events.append((e.party, e.step, e.fraction, e.text, e.rounds, e.sent, e.received))

    job = Job.from_dict({"name": "study", "parties": list(SITES), "step": STEPS})
    found = outcomes(job, data, network=lines, progress=told)
    for result in found.values():
        if isinstance(result, BaseException):
            raise result
    return seen, events, found


@pytest.fixture(scope="module")
def both() -> Any:
    return study(np.arange(400)), study(np.random.default_rng(3).permutation(400))


def note(array: np.ndarray) -> Any:
    """A public note, without the names that a run has by chance; `None` if it is none."""
    try:
        text = array.tobytes().decode()
        value = json.loads(text)
    except ValueError:
        return None
    return {k.partition("/")[2]: v for k, v in value.items()} if isinstance(value, dict) else value


def noise(array: np.ndarray) -> np.ndarray | None:
    """The uniform bytes of a frame that should be noise, rows (k, bytes)."""
    if array.dtype == np.uint64:  # words of a masked sum; or residues modulo 2^61 - 1, of which seven bytes are uniform
        rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
        return rows if array.ndim == 2 else rows[:, :7]
    if array.dtype == np.uint8 and array.shape[-1] == 32:  # points and keys: modulo 2^255 - 19; the top byte is not
        return array.reshape(-1, 32)[:, :31]
    return array if array.dtype == np.uint8 and array.ndim == 2 else None  # sealed boxes


def uniform(octets: np.ndarray) -> float:
    """Chi-square of bytes, 255 degrees of freedom: above 400 once in ten million."""
    expected = octets.size / 256
    return float(((np.bincount(octets, minlength=256) - expected) ** 2 / expected).sum())


def test_all_that_a_site_receives_is_public_or_pooled_or_noise(both: Any) -> None:
    (first, _, _), (second, _, _) = both
    random: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    kinds = {"equal": 0, "note": 0, "pooled": 0, "noise": 0}
    for who in first:
        assert [t for t, _ in first[who]] == [t for t, _ in second[who]], "the same frames in the same order"
        for (_, mine), (_, other) in zip(first[who], second[who], strict=True):
            assert [(a.dtype, a.shape) for a in mine] == [(b.dtype, b.shape) for b in other], "of the same shapes"
            for a, b in zip(mine, other, strict=True):
                if np.array_equal(a, b):
                    kinds["equal"] += 1
                    # What is the same twice over is no patient's and no site's: from a site only bits and notes are.
                    assert who[0] == SITES[0] or a.dtype == np.uint8
                    continue
                if a.dtype == np.uint8 and note(a) is not None:
                    assert note(a) == note(b)
                    kinds["note"] += 1
                    continue
                if who[0] == SITES[0] and a.dtype == np.uint64 and a.ndim == 2:
                    np.testing.assert_allclose(limbs.decode(a), limbs.decode(b), rtol=1e-9, atol=1e-9)
                    kinds["pooled"] += 1
                    continue
                kinds["noise"] += 1
                for which, rows in ((0, noise(a)), (1, noise(b))):
                    assert rows is not None, f"{who}: {a.dtype} {a.shape} is neither public nor noise"
                    # Each once, though it passes the leader; a row of zeros stands for what a site keeps.
                    random[(*who, which)] |= {r.tobytes() for r in rows if r.any()}
    assert all(kinds.values()), kinds
    assert {(a, b) for a, b, _ in random} >= {pair for p in SITES[1:] for pair in ((p, SITES[0]), (SITES[0], p))}
    spread = {key: np.frombuffer(b"".join(sorted(rows)), np.uint8) for key, rows in random.items()}
    for key, octets in spread.items():
        assert octets.size > 20_000
        assert uniform(octets) < 400, key
    for sender, receiver, which in spread:  # and as many of each byte in the one study as in the other
        if which == 0:
            a, b = (np.bincount(spread[sender, receiver, i], minlength=256) for i in (0, 1))
            na, nb = a.sum(), b.sum()
            assert ((np.sqrt(nb / na) * a - np.sqrt(na / nb) * b) ** 2 / (a + b)).sum() < 400


def test_masked_sums_alone_are_uniform_in_every_byte_of_a_word(both: Any) -> None:
    """The vectors that carry the sites' own parts, apart from keys and boxes, place by place; a clear one is not."""
    words = [
        a for lines, _, _ in both for site in SITES[1:] for _, x in lines[site, SITES[0]] for a in x
        if a.dtype == np.uint64 and a.ndim == 2
    ]  # fmt: skip
    octets = np.concatenate([w.view(np.uint8).reshape(len(w), 16) for w in words])
    assert len(octets) > 600
    # 16 classes by the top four bits, 15 degrees of freedom: above 60 once in five million.
    for place in range(16):
        counts = np.bincount(octets[:, place] >> 4, minlength=16)
        assert ((counts - len(octets) / 16) ** 2 / (len(octets) / 16)).sum() < 60
    clear = limbs.encode(patients().x.to_numpy()).view(np.uint8).reshape(-1)
    assert uniform(clear) > 400


def test_what_the_coordinator_is_told_on_the_way_is_the_same(both: Any) -> None:
    """Progress in words, rounds and bytes: nothing in them depends on where the patients lie, or on their values."""
    (_, first, _), (_, second, _) = both
    assert len(first) > 20
    for site in SITES:
        assert [e for e in first if e[0] == site] == [e for e in second if e[0] == site]
    words = " ".join(str(e[3]) for e in first)
    assert "9e5" not in words
    assert "900000" not in words


def test_the_answers_are_the_same_and_the_parts_are_not(both: Any) -> None:
    """Else the comparison above would be of nothing."""
    (_, _, first), (_, _, second) = both
    for a, b in zip(first[SITES[0]].steps, second[SITES[0]].steps, strict=True):
        for name in set(a.summary) & {"n", "chi2", "deviance"}:
            assert a.summary[name] == pytest.approx(b.summary[name], rel=1e-9)
    assert first["north"].summary("crosstab")["counts"] == second["north"].summary("crosstab")["counts"]
    assert first["north"].summary("closed")["columns"][0]["mean"] is None
    own = [patients().x.iloc[o[:100]].sum() for o in (np.arange(400), np.random.default_rng(3).permutation(400))]
    assert own[0] != own[1]

"""Real clinical data split over sites, and jobs of one or more statistics on them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ppc.dataset import read
from ppc.dataset.dataset import Dataset
from ppc.joint import Job, simulate
from ppc.net import memory

HEART = Path(os.environ.get("PPC_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "heart"
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")


@pytest.fixture(scope="session")
def heart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """The four hospitals of the UCI heart-disease study, missing values and all, with `sick` and `arm` added."""
    if not HEART.is_dir():
        pytest.skip(f"no heart-disease data at {HEART}; set PPC_TEST_DATA")
    folder = tmp_path_factory.mktemp("heart")
    found = {}
    for name in HOSPITALS:
        text = (HEART / f"processed.{name}.data").read_text()
        path = folder / f"{name}.csv"
        path.write_text(text)
        data = read(path, null_values=("", "?"))
        found[name] = data.with_column("sick", (data.numpy("target") > 0).astype(np.int64))
    return found


@pytest.fixture(scope="session")
def pooled() -> Callable[[Mapping[str, Dataset]], pd.DataFrame]:
    """All sites' rows in one frame, with the site's name."""
    return lambda sites: pd.concat([d.to_pandas().assign(site=p) for p, d in sites.items()], ignore_index=True)


@pytest.fixture(scope="session")
def split() -> Callable[..., dict[str, Dataset]]:
    """A frame dealt out to sites, unevenly."""

    def deal(frame: pd.DataFrame, n: int = 3, seed: int = 5) -> dict[str, Dataset]:
        at = np.random.default_rng(seed).choice(n, len(frame), p=np.arange(1, n + 1) / (n * (n + 1) / 2))
        return {f"site-{i}": Dataset.from_arrow(frame[at == i].reset_index(drop=True)) for i in range(n)}

    return deal


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """`run(sites, step, …)`: each step's summary at the first site, after checking that all sites have the same."""

    def go(sites: Mapping[str, Dataset], *steps: dict[str, Any], **settings: Any) -> list[Mapping[str, Any]]:
        tables = [{"name": f"step{i}", **s} for i, s in enumerate(steps)]
        job = Job.from_dict({"name": "study", "parties": list(sites), "step": tables})
        results = simulate(job, sites, **settings)
        first = next(iter(results.values()))
        for other in results.values():
            assert [s.summary for s in other.steps] == [s.summary for s in first.steps]
        return [s.summary for s in first.steps]

    return go


class _Dies(BaseException):
    pass


def _lossy(names: list[str], lives: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """A network in which the processes of some sites end after so many calls of their channels."""
    lines: dict[str, dict[str, Any]] = {p: dict(c) for p, c in memory.network(names).items()}
    lock = threading.Lock()

    class Mortal:
        def __init__(self, channel: Any, left: list[int], own: list[Any]) -> None:
            self._channel, self._left, self._own = channel, left, own

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._channel, name)
            if not name.startswith(("send", "recv", "exchange")):
                return found

            def call(*args: Any) -> Any:
                with lock:
                    self._left[0] -= 1
                    dies = self._left[0] == 0
                if dies:
                    for other in self._own:
                        other._shut(None, patient=False)
                    raise _Dies
                return found(*args)

            return call

    for victim, calls in lives.items():
        own, left = list(lines[victim].values()), [calls]
        lines[victim] = {p: Mortal(c, left, own) for p, c in lines[victim].items()}
    return lines


@pytest.fixture(scope="session")
def lossy() -> Callable[..., dict[str, dict[str, Any]]]:
    """`lossy(names, {site: calls})`: a network in which sites die after so many calls of their channels."""
    return _lossy

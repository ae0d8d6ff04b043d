"""All parties of a job in one process, as threads with in-memory channels: for notebooks, tests and trying a job out.

The same operators, protocols and frames run as between real institutions; only the network is missing.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppc.errors import InternalError, JobCancelled, JobFileError, PpcError, RemoteFailure, did_you_mean
from ppc.joint.context import Event
from ppc.joint.job import NO_HELPER, Job
from ppc.joint.party import PartyResult, run_party
from ppc.net import memory
from ppc.net.channel import Channel

if TYPE_CHECKING:
    from ppc.dataset.dataset import Dataset

Outcome = PartyResult | BaseException


class _Folder:
    """A temporary folder that goes when nobody holds it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ppc-simulate-"))
        self._gone = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def simulate(
    job: Job | Mapping[str, Job],
    datasets: Mapping[str, Dataset],
    workdir: str | Path | None = None,
    *,
    models: str | Path | None = None,
    progress: Callable[[Event], None] | None = None,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    peer_rows: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, PartyResult]:
    """Run a job with every party in this process.

    Args:
        job: the job, or each party's own copy of it.
        datasets: each party's dataset.
        workdir: a folder for all parties' artifacts (`workdir/<party>`); kept, and resumed from. By default a temporary
            one that lives as long as the results.
        models: a folder for saved models (`models/<party>`); default: in `workdir`.
        progress: called with every party's events, from that party's thread.
        limits, peer_rows: a party's own limits, by party; see `run_party`.
        latency_s, bandwidth_bps: of every line between two parties (one way; bits a second), to try a slow network.

    Raises:
        PpcError: the failure that stopped the job. `outcomes` gives every party's own.
    """
    results = outcomes(
        job, datasets, workdir, models=models, progress=progress, latency_s=latency_s, bandwidth_bps=bandwidth_bps,
        limits=limits, peer_rows=peer_rows,
    )  # fmt: skip
    failures = [o for o in results.values() if isinstance(o, BaseException)]
    if failures:
        # The cause before its echoes at the other parties.
        raise min(failures, key=lambda e: isinstance(e, RemoteFailure) + 2 * isinstance(e, JobCancelled))
    return {party: o for party, o in results.items() if isinstance(o, PartyResult)}


def outcomes(
    job: Job | Mapping[str, Job],
    datasets: Mapping[str, Dataset],
    workdir: str | Path | None = None,
    *,
    models: str | Path | None = None,
    progress: Callable[[Event], None] | None = None,
    latency_s: float = 0.0,
    bandwidth_bps: float | None = None,
    network: Mapping[str, Mapping[str, Channel]] | None = None,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    peer_rows: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Outcome]:
    """Like `simulate`, but gives for each party its result or the exception that stopped it."""
    jobs = dict.fromkeys(job.parties, job) if isinstance(job, Job) else dict(job)
    one = next(iter(jobs.values()))
    for party in one.parties:
        if party not in datasets:
            raise JobFileError("no dataset was given for this party", party=party, where="key 'datasets'")
    for party in datasets:
        if party not in one.parties:
            raise JobFileError(f"'{party}' is not a party of the job", hint=did_you_mean(party, one.parties))
    folder = None if workdir is not None else _Folder()
    base = Path(workdir) if workdir is not None else folder.path  # type: ignore[union-attr]
    helper = None if one.helper == NO_HELPER else one.helper
    names = [*one.parties, *([helper] if helper else [])]
    lines = network or memory.network(names, latency_s=latency_s, bandwidth_bps=bandwidth_bps)
    stop = threading.Event()
    ended: dict[str, Outcome] = {}

    def run(me: str) -> None:
        try:
            ended[me] = run_party(
                jobs[me],
                me=me,
                dataset=datasets[me],
                channels={p: lines[me][p] for p in one.parties if p != me},
                dealer=lines[me][helper] if helper else None,
                workdir=base / me,
                models=Path(models) / me if models is not None else None,
                progress=progress,
                cancelled=stop,
                limits=(limits or {}).get(me),
                peer_rows=(peer_rows or {}).get(me),
            )
        except BaseException as error:
            ended[me] = error

    threads = [threading.Thread(target=run, args=(p,), name=f"ppc {p}", daemon=True) for p in one.parties]
    if helper:
        threads.append(threading.Thread(target=_deal, args=(lines[helper], stop), name=f"ppc {helper}", daemon=True))
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except BaseException:
        # A person pressed Ctrl-C: wake every party, wait until all have stopped, and pass it on.
        stop.set()
        for ends in lines.values():
            for channel in ends.values():
                channel.cancel()
        for thread in threads:
            thread.join()
        raise
    return {
        p: replace(o, keep=folder) if isinstance(o, PartyResult) else o for p, o in ((p, ended[p]) for p in one.parties)
    }


def _deal(channels: Mapping[str, Channel], stop: threading.Event) -> None:
    """The helper's thread. When a party fails the helper only has to end: the parties report it."""
    from ppc.mpc.correlations import dealer

    reason: PpcError | None = None
    with suppress(PpcError):
        try:
            dealer.serve(channels, cancelled=stop.is_set)
        except Exception as error:
            if not isinstance(error, PpcError):
                reason = InternalError(f"a defect of ppc: {type(error).__name__}", where="the helper")
            raise
        finally:
            for channel in channels.values():
                if reason is not None:
                    channel.abort(reason)
                channel.close()

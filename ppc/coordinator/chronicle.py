"""The coordinator's memory of jobs: those that are open, what happened to each, and who wants to know."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from ppc.coordinator.jobs import Event, EventKind, JobRecord, JobState, Phase, clip
from ppc.coordinator.mailbox import Mailbox
from ppc.coordinator.store import Store
from ppc.errors import JobNotFound

OPEN: Final = (JobState.PROPOSED, JobState.APPROVED, JobState.RUNNING)


class Chronicle:
    """Used by the board alone, under its lock. The store has every job; `open` those that can still move, in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscribers: dict[str, list[Mailbox[Event]]] = {}
        self.open: dict[str, JobRecord] = {j.id: j for j in reversed(store.jobs(states=OPEN))}

    def find(self, caller: str, job_id: str) -> JobRecord:
        """One job that `caller` takes part in; any other is not there, as far as the caller is concerned."""
        job = self.open.get(job_id) or self._store.load(job_id)
        if job is None or caller not in job.participants:
            what = f"there is no job '{clip(job_id)}' that {caller} takes part in"
            raise JobNotFound(what, hint="ppc jobs lists them")
        return job

    def of(self, name: str) -> list[JobRecord]:
        """The open jobs of one participant, the oldest first."""
        return [j for j in self.open.values() if name in j.participants]

    # ---- events ----
    def event(
        self,
        job: JobRecord,
        kind: EventKind,
        party: str = "",
        *,
        step: str = "",
        text: str = "",
        phase: Phase | None = None,
    ) -> Event:
        """The job's next event, to be committed."""
        job.events += 1
        return Event(job.events, time.time(), kind, job.attempt, party, step, 0.0, text, phase=phase)

    def state_event(self, job: JobRecord, text: str) -> Event:
        """The event that tells the job's present state."""
        return replace(self.event(job, EventKind.STATE, text=text), state=job.state)

    def commit(self, job: JobRecord, events: Sequence[Event]) -> None:
        """Writes the job with its new events, then tells them."""
        job.updated = time.time()
        self._store.save(job, events)
        self.tell(job, events)

    def tell(self, job: JobRecord, events: Iterable[Event]) -> None:
        """To everyone who watches the job."""
        for event in events:
            for box in self._subscribers.get(job.id, ()):
                box.put(event, droppable=event.kind is EventKind.PROGRESS)

    # ---- who wants to know ----
    def subscribe(self, job: JobRecord, after: int) -> Mailbox[Event]:
        """The kept events after number `after`, and all that come."""
        box: Mailbox[Event] = Mailbox()
        for event in self._store.events(job.id, after):
            box.put(event)
        if job.state.ended:
            box.close()
        else:
            self._subscribers.setdefault(job.id, []).append(box)
        return box

    def unsubscribe(self, job_id: str, box: Mailbox[Event]) -> None:
        """One watcher goes."""
        box.close()
        boxes = self._subscribers.get(job_id, [])
        if box in boxes:
            boxes.remove(box)
        if not boxes:
            self._subscribers.pop(job_id, None)

    def dismiss(self, job_id: str) -> None:
        """Nothing more happens to the job."""
        for box in self._subscribers.pop(job_id, []):
            box.close()

    def close(self) -> None:
        """Lets every watcher go."""
        for job_id in list(self._subscribers):
            self.dismiss(job_id)

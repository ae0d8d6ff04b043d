"""An agent's standing connection to the coordinator, opened again whenever it breaks; a sign of life each second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from ppc.coordinator.client import Attendance, Beat, Client, Leave
from ppc.coordinator.jobs import Directive, Hello, Notice, Report
from ppc.coordinator.mailbox import Mailbox
from ppc.errors import IdentityError, JobStateError, PpcError
from ppc.net.identity import Identity

BEAT_S: Final = 1.0
SILENCE_S: Final = 6.0  # the coordinator beats each second too
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0)

Said = Hello | Report | Notice | Leave | Beat


class Link:
    """Runs in a thread of its own. `say` never blocks; what is said while there is no connection is lost, so whoever
    uses it repeats everything that matters in `hello`."""

    def __init__(
        self,
        identity: Identity,
        address: str,
        server: str,
        *,
        hello: Callable[[], Hello],
        on_directive: Callable[[Directive], None],
        on_change: Callable[[bool, PpcError | None], None],
    ) -> None:
        self._identity, self._address, self._server = identity, address, server
        self._hello, self._on_directive, self._on_change = hello, on_directive, on_change
        self._stop = threading.Event()
        self._outgoing: Mailbox[Said] | None = None
        self._call: Attendance | None = None
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ppc-link", daemon=True)
        self._ever = False
        self.connected = False
        self.lost_at = time.monotonic()  # when the connection was last seen to break
        self.fatal: PpcError | None = None

    def start(self) -> None:
        """Begins to connect."""
        self._thread.start()

    def say(self, item: Said) -> None:
        """Sends, if there is a connection."""
        outgoing = self._outgoing
        if outgoing is not None:
            outgoing.put(item, droppable=isinstance(item, Notice))

    def restart(self) -> None:
        """Breaks the connection, so that the agent introduces itself anew."""
        if self._call is not None:
            self._call.cancel()

    def stop(self, reason: str) -> None:
        """Says goodbye and ends the thread."""
        self._stop.set()
        self.say(Leave(reason))
        if self._outgoing is not None:
            self._outgoing.close()
        self._thread.join(2.0)
        if self._thread.is_alive():
            self.restart()
            self._thread.join(5.0)

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            problem: PpcError | None = None
            try:
                with Client(self._identity, self._address, self._server) as client:
                    if self._attend(client):
                        tries = 0
            except PpcError as error:
                problem = error
            if self.connected:
                self.lost_at = time.monotonic()
            self.connected = False
            if self._stop.is_set():
                break
            refused = isinstance(problem, IdentityError) or (isinstance(problem, JobStateError) and tries >= 5)
            if refused and not self._ever:
                # Who was never let in will not be let in by asking again.
                self.fatal = problem
                self._on_change(False, problem)
                break
            self._on_change(False, problem)
            self._stop.wait(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
            tries += 1

    def _attend(self, client: Client) -> bool:
        """One connection, from the introduction to its end; whether the coordinator said anything at all."""
        self._outgoing = outgoing = Mailbox[Said]()
        outgoing.put(self._hello())
        self._heard = time.monotonic()
        self._call = call = client.attend(self._saying(outgoing))
        try:
            for item in call:
                self._heard = time.monotonic()
                if not self.connected:
                    self.connected = self._ever = True
                    self._on_change(True, None)
                if isinstance(item, Directive):
                    self._on_directive(item)
            return self.connected
        finally:
            outgoing.close()
            call.cancel()

    def _saying(self, outgoing: Mailbox[Said]) -> Iterator[Said]:
        while not outgoing.drained:
            item = outgoing.get(BEAT_S)
            if item is not None:
                yield item
            elif not outgoing.closed:
                if time.monotonic() - self._heard > SILENCE_S:
                    self.restart()
                    return
                yield Beat()

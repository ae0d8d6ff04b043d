"""A queue from the board to one listener, which the listener can leave and the board can close at any moment."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items in order. Beyond `limit` waiting items those that are `droppable` are not taken."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more will be put in."""
        return self._closed

    def put(self, item: T, *, droppable: bool = False) -> None:
        """Adds an item, unless the mailbox is closed."""
        with self._changed:
            if self._closed or (droppable and len(self._items) >= self._limit):
                return
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """No more items; those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def get(self, timeout_s: float) -> T | None:
        """The next item, or `None` when none came in time or none will come."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._items:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return None
                self._changed.wait(left)
            return self._items.popleft()

    @property
    def drained(self) -> bool:
        """Closed, and everything was taken."""
        with self._changed:
            return self._closed and not self._items

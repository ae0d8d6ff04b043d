"""What a program costs, line by line: rounds, bytes and time of each line of the caller's code."""

from __future__ import annotations

import linecache
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from ppc.net.channel import MeterReading

_HERE: Final = str(Path(__file__).resolve().parent)


@dataclass
class LineCost:
    """One line: how often it sent something, rounds, bytes sent, and seconds since the message before."""

    messages: int = 0
    rounds: int = 0
    sent: int = 0
    seconds: float = 0.0


class Profile:
    """Filled by `Session.profile`; print it, or read `lines`."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, int], LineCost] = {}
        self._last = time.perf_counter()

    def note(self, cost: MeterReading) -> None:
        """Charge a message to the line of the caller's code that led to it."""
        now = time.perf_counter()
        line = self.lines.setdefault(caller(sys._getframe(1)), LineCost())
        line.messages += 1
        line.rounds += cost.rounds
        line.sent += cost.sent
        line.seconds += now - self._last
        self._last = now

    def __str__(self) -> str:
        rows = [f"{'rounds':>7} {'bytes':>12} {'seconds':>8}  line"]
        for (file, number), c in sorted(self.lines.items(), key=lambda item: -item[1].seconds):
            text = linecache.getline(file, number).strip()
            rows.append(f"{c.rounds:7d} {c.sent:12,d} {c.seconds:8.4f}  {Path(file).name}:{number}  {text}")
        total = LineCost()
        for c in self.lines.values():
            total.rounds, total.sent, total.seconds = (
                total.rounds + c.rounds, total.sent + c.sent, total.seconds + c.seconds,
            )  # fmt: skip
        rows.append(f"{total.rounds:7d} {total.sent:12,d} {total.seconds:8.4f}  in all")
        return "\n".join(rows)


def caller(frame: FrameType | None) -> tuple[str, int]:
    """The nearest line outside of ppc.mpc."""
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    # The context managers of the standard library lie between a protocol and its messages.
    while frame is not None and frame.f_code.co_filename.endswith("contextlib.py"):
        frame = frame.f_back
        while frame is not None and frame.f_code.co_filename.startswith(_HERE):
            frame = frame.f_back
    return ("unknown", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)

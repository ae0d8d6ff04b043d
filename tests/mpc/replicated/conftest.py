"""What the tests of replicated shares have in common."""

import numpy as np
import pytest

from ppc.mpc import run
from ppc.mpc.session import Session


@pytest.fixture
def run3():
    """Run a program at three parties with replicated shares."""
    return lambda program, **options: run(program, parties=3, engine="replicated", **options)


class Recorder:
    """Every array that a party received, with the name of its message."""

    def __init__(self, monkeypatch):
        self.received = {}
        transfer = Session.transfer

        def recording(s, operation, sends, expects):
            came = transfer(s, operation, sends, expects)
            for sender, arrays in came.items():
                for i, array in enumerate(arrays):
                    self.received[f"{operation}#{s._step}.{i} {sender} to {s.rank}"] = np.array(array)
            return came

        monkeypatch.setattr(Session, "transfer", recording)


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)

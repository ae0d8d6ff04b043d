"""Nothing of a party's columns is in any frame that another party or the helper receives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from ppc.core.fixedpoint import FixedPoint
from ppc.dataset.dataset import Dataset
from ppc.joint import Job, outcomes, simulate
from ppc.joint.credit.training import P_BITS, X_BITS, Scale
from ppc.mpc.learn.descent import W_BITS
from ppc.net import memory, wire

Jobs = Callable[..., Job]
Banks = Callable[..., dict[str, Dataset]]
Words = np.ndarray[Any, np.dtype[np.uint64]]
JOBS = {
    "gradient descent": [{"epochs": 2, "batch_size": 128, "class_weight": "balanced"}],
    "newton": [{"solver": "newton", "max_iterations": 2}],
    "secret weights": [{"epochs": 2, "weights": "secret", "early_stop": "change"}],
}


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes]]:
    """What each party sent to anyone: the payload of every frame, as bytes on the wire."""
    sent: dict[str, list[bytes]] = {}
    queue = memory.MemoryChannel._queue

    def record(self: memory.MemoryChannel, parts: Any) -> None:
        frame = b"".join(bytes(p) for p in parts)
        _, _, _, details, _, _, size = wire.PREFIX.unpack_from(frame)
        assert len(frame) == wire.PREFIX.size + details + size
        sent.setdefault(self.me, []).append(frame[wire.PREFIX.size + details :])
        queue(self, parts)

    monkeypatch.setattr(memory.MemoryChannel, "_queue", record)
    return sent


def windows(frames: Iterable[bytes]) -> Words:
    """Every 8 bytes in a row, at every offset, as sorted distinct words."""
    found = []
    for frame in frames:
        for at in range(min(8, len(frame) - 7)):
            length = (len(frame) - at) // 8 * 8
            found.append(np.frombuffer(frame, "<u8", length // 8, at))
    return np.unique(np.concatenate(found))


def informative_bytes(values: Words) -> np.ndarray[Any, Any]:
    """Of each word, the bytes that are neither 0 nor 255."""
    octets = values.view(np.uint8).reshape(len(values), 8)
    return ((octets != 0) & (octets != 255)).sum(axis=1)


def leaks(values: Words, words: Words) -> bool:
    """Whether any value travels. Words of three informative bytes may meet a count or a shape: two are chance."""
    found = values[np.isin(values, words)]
    informative = informative_bytes(found)
    return bool((informative >= 4).any() or (informative == 3).sum() > 2)


def encodings(column: np.ndarray[Any, Any], train: np.ndarray[Any, Any]) -> Words:
    """A column in every form that a careless program might send: floats, fixed point, standardised, sorted deltas."""
    scale = Scale.of(train[:, None])
    standardised = scale.apply(column[:, None])[:, 0]
    forms = [column.astype("<f8").view("<u8"), standardised.astype("<f8").view("<u8")]
    for values in (column, standardised):
        forms += [FixedPoint(bits).encode(values) for bits in (X_BITS, P_BITS, W_BITS)]
    values = np.unique(np.concatenate(forms))
    return values[informative_bytes(values) >= 3]


@pytest.mark.parametrize("kind", JOBS)
def test_no_value_of_a_column_travels(
    bank_job: Jobs, bank_data: Banks, frames: dict[str, list[bytes]], kind: str
) -> None:
    data = bank_data()
    steps = [
        {"operator": "logistic_regression", "name": f"m{i}", "label": "bad", **p} for i, p in enumerate(JOBS[kind])
    ]
    job = bank_job({"operator": "align", "keys": ["id"], "holdout": 0.2}, *steps, {"operator": "score"})
    results = simulate(job, data)
    for bank, dataset in data.items():
        align = results[bank].artifacts.of("align")
        rows, held = align.array("rows"), align.array("holdout")
        sent = frames[bank] + frames["helper"]
        words = windows(sent)
        assert len(words) > 10_000
        for name in ("age", "debt", "income", "visits", "calls"):
            if name in dataset.columns:
                column = dataset.numpy(name)
                values = encodings(column, column[rows][~held])
                assert len(values) > 10
                assert not leaks(values, words), name
        text = b"\n".join(sent)
        for key in dataset.column("id").to_pylist():
            assert key.encode() not in text
            assert hashlib.sha256(key.encode()).digest() not in text
        for value in (f"{v:.2f}".encode() for v in dataset.numpy("debt" if "debt" in dataset.columns else "income")):
            assert value not in text


def test_the_labels_do_not_travel(bank_job: Jobs, bank_data: Banks, frames: dict[str, list[bytes]]) -> None:
    """A row of 0/1 labels would stand out as long runs of few distinct words, bytes or bits."""
    data = bank_data()
    results = simulate(
        bank_job(
            {"operator": "align", "keys": ["id"]}, {"operator": "logistic_regression", "label": "bad", "epochs": 2}
        ),
        data,
    )
    rows = results["bank-a"].artifacts.of("align").array("rows")
    y = data["bank-a"].numpy("bad")[rows].astype(np.uint8)
    order = results["bank-a"].job.public_stream("logistic_regression\0").derive("rows").permutation(len(y))
    text = b"".join(frames["bank-a"])
    for labels in (y, y[order]):
        for form in (labels, labels.astype("<i8"), labels.astype("<f8"), labels.astype("<u8") << np.uint64(P_BITS)):
            assert form[:64].tobytes() not in text
        assert np.packbits(labels[:128]).tobytes() not in text
        assert np.packbits(labels[:128], bitorder="little").tobytes() not in text


def test_the_search_finds_what_is_sent(toy_job: Jobs, frames: dict[str, list[bytes]], bank_data: Banks) -> None:
    """The tests above would notice: a value that is really sent is found at any offset."""
    data = bank_data()["bank-b"]
    column = data.numpy("calls")
    a, b = memory.pair("bank-b", "bank-a")
    a.send("odd offset ", np.array([1, 2, 3], np.uint8), column[:5])
    a.send_bytes("text", f"{data.numpy('income')[7]:.2f} of {data.column('id')[7].as_py()}".encode())
    words = windows(frames["bank-b"])
    assert leaks(encodings(column, column), words)
    assert not leaks(encodings(column + 0.5, column), words)
    assert data.column("id")[7].as_py().encode() in b"".join(frames["bank-b"])
    b.close()


def test_error_frames_hold_no_value(bank_job: Jobs, bank_data: Banks, frames: dict[str, list[bytes]]) -> None:
    def spoil(table: dict[str, Any]) -> None:
        table["bad"] = table["bad"] + 4711

    found = outcomes(
        bank_job({"operator": "align", "keys": ["id"]}, {"operator": "logistic_regression", "label": "bad"}),
        bank_data(a=spoil),
    )
    assert all(isinstance(e, BaseException) for e in found.values())
    text = b"".join(frames["bank-a"])
    assert b"4711" not in text
    assert b"4712" not in text
    assert not any("4711" in str(e) or "4712" in str(e) for e in found.values())

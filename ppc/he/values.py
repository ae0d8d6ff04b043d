"""Encrypted answers: a sum, mean, variance or histogram that only the key's owner reads.

Answers of disjoint rows add up: the sums of several branches, and so their means and variances too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, NoReturn

import numpy as np

from ppc.errors import EnvelopeError, ParameterMismatch, SecretMisuse
from ppc.he.envelope import Envelope
from ppc.he.keys import PrivateKey, PublicKey
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey
from ppc.he.paillier.vector import PaillierVector

KINDS: Final = {"sum": 1, "mean": 1, "variance": 2, "histogram": None}
_MAX_PARTS: Final = 1 << 16
_LENGTH_BYTES: Final = 8


class EncryptedValue:
    """One answer: its kind, the encrypted totals it is computed from, and the (clear) number of values."""

    __slots__ = ("count", "kind", "totals")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind: str, totals: list[PaillierVector], count: int) -> None:
        self.kind, self.totals, self.count = kind, totals, count

    @property
    def public(self) -> PaillierPublicKey:
        return self.totals[0].public

    def __add__(self, other: object) -> EncryptedValue:
        """The answer for both sets of rows together; they must not share a row.

        Raises:
            KeyMismatch: two keys.
            ParameterMismatch: two kinds of answers, or two formats.
            HeadroomExceeded: more than the slots hold.
        """
        if not isinstance(other, EncryptedValue) or (self.kind, len(self.totals)) != (other.kind, len(other.totals)):
            raise ParameterMismatch("only answers of one kind add up")
        totals = [a + b for a, b in zip(self.totals, other.totals, strict=True)]
        return EncryptedValue(self.kind, totals, self.count + other.count)

    def release(self, key: PaillierPrivateKey) -> Any:
        """The number (int for integers, float otherwise) or, of a histogram, the counts.

        Means and variances are computed from the exact totals, so they round once.
        """
        exact = [int(t.decrypt_encoded(key)[0]) for t in self.totals]
        if self.kind == "histogram":
            return np.array(exact, np.int64)
        points = [t.packing.point for t in self.totals]
        total, n = Fraction(exact[0], 1 << points[0]), self.count
        if self.kind == "sum":
            return int(total) if self.totals[0].dtype == "int64" else float(total)
        if self.kind == "mean":
            return float(total / n) if n else math.nan
        squares = Fraction(exact[1], 1 << points[1])
        return float((squares - total * total / n) / (n - 1)) if n > 1 else math.nan

    def __repr__(self) -> str:
        return f"<EncryptedValue {self.kind} paillier shape={self._shape} key={self.public.key_id[:12]}>"

    @property
    def _shape(self) -> tuple[int, ...]:
        return (len(self.totals),) if self.kind == "histogram" else ()

    def __bool__(self) -> NoReturn:
        raise SecretMisuse("an encrypted answer has no truth value", hint="Release it first.")

    def __float__(self) -> NoReturn:
        raise SecretMisuse("an encrypted answer is no float", hint="Release it first.")

    def __eq__(self, other: object) -> NoReturn:
        raise SecretMisuse("encrypted answers are not compared", hint="Release them first.")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise SecretMisuse("an encrypted answer is no NumPy array", hint="Release it first.")

    def __reduce__(self) -> NoReturn:
        raise SecretMisuse("an encrypted answer is not pickled", hint="Use Answers.to_bytes().")


class Answers:
    """Named encrypted answers in one file: what an adding party passes on to the key's owner."""

    def __init__(self, values: Mapping[str, EncryptedValue]) -> None:
        if not values:
            raise ParameterMismatch("there are no answers")
        self.values = dict(values)
        first = next(iter(self.values.values())).public
        for value in self.values.values():
            first.check(value.public.key_id, "an answer")

    @property
    def public(self) -> PaillierPublicKey:
        return next(iter(self.values.values())).public

    def __add__(self, other: object) -> Answers:
        if not isinstance(other, Answers) or set(self.values) != set(other.values):
            raise ParameterMismatch("the two sides do not have the same answers")
        return Answers({name: value + other.values[name] for name, value in self.values.items()})

    def release(self, key: PaillierPrivateKey) -> dict[str, Any]:
        """All answers in the clear."""
        return {name: value.release(key) for name, value in self.values.items()}

    def to_envelope(self) -> Envelope:
        """All answers in one envelope, each re-randomised."""
        listed, parts = [], []
        for name, value in self.values.items():
            listed.append({"name": name, "kind": value.kind, "count": value.count, "parts": len(value.totals)})
            for total in value.totals:
                data = total.to_bytes()
                parts += [len(data).to_bytes(_LENGTH_BYTES, "big"), data]
        public = self.public
        return Envelope(
            "paillier",
            "answers",
            public.key_id,
            public.parameter_hash,
            (len(self.values),),
            "float64",
            {"answers": listed},
            b"".join(parts),
        )

    @classmethod
    def from_envelope(cls, envelope: Envelope, key: PublicKey | PrivateKey) -> Answers:
        """The answers of `to_envelope`, checked against the key."""
        envelope.expect("paillier", "answers")
        key.public.check(envelope.key_id)
        listed, values, at = envelope.meta.get("answers"), {}, 0
        if not isinstance(listed, list) or envelope.shape != (len(listed),) or not listed:
            raise EnvelopeError("the list of answers is malformed")
        for item in listed:
            kind, count, parts, name = _item(item)
            totals = []
            for _ in range(parts):
                size = int.from_bytes(envelope.payload[at : at + _LENGTH_BYTES], "big")
                at += _LENGTH_BYTES
                if size == 0 or at + size > len(envelope.payload):
                    raise EnvelopeError("an answer is cut off")
                totals.append(PaillierVector.from_bytes(envelope.payload[at : at + size], key))
                at += size
            if any(t.shape != () for t in totals) or name in values:
                raise EnvelopeError("the list of answers is malformed")
            values[name] = EncryptedValue(kind, totals, count)
        if at != len(envelope.payload):
            raise EnvelopeError("there are bytes behind the last answer")
        return cls(values)


def _item(item: Any) -> tuple[str, int, int, str]:
    if isinstance(item, dict) and set(item) == {"name", "kind", "count", "parts"}:
        kind, count, parts, name = item["kind"], item["count"], item["parts"], item["name"]
        if (
            type(kind) is str
            and kind in KINDS
            and type(name) is str
            and type(count) is int
            and count >= 0
            and type(parts) is int
            and 1 <= parts <= _MAX_PARTS
            and KINDS[kind] in (None, parts)
        ):
            return kind, count, parts, name
    raise EnvelopeError("the list of answers is malformed")

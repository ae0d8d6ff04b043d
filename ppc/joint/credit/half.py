"""One party's half of a joint model of any kind: what `score` and `evaluate` need of it. In memory and on disk.

A file is JSON with a SHA-256 over its content. Floats are written so that they read back to the same bits; a damaged or
foreign file raises `ModelFileError`, it is never half read.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from ppc.core.files import atomic_write
from ppc.errors import FileError, ModelFileError
from ppc.joint import artifacts
from ppc.joint.credit import features
from ppc.joint.job import digest

if TYPE_CHECKING:
    from ppc.joint.credit.frame import Rows
    from ppc.mpc.session import Session
    from ppc.mpc.shares import AShare

_FORMAT: Final = "ppc.credit."
VERSION: Final = 1
#: Fraction bits of a logit.
LOGIT_BITS: Final = 22


@dataclass(frozen=True, repr=False, eq=False)
class Half(ABC):
    """What one party keeps of a joint model.

    Attributes:
        model_id: the same at all parties of one training; halves of different trainings do not fit.
        party, parties: whose half it is, and all parties in rank order.
        label_party: who had the label.
        pipeline: how the features come from the party's columns.
        names: the features in order.
        sizes: how many features each party has.
    """

    kind: ClassVar[str]

    model_id: str
    party: str
    parties: tuple[str, ...]
    label_party: str
    pipeline: features.Pipeline
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model_id} of {self.party} features={len(self.names)}>"

    @property
    def rank(self) -> int:
        """The party's index."""
        return self.parties.index(self.party)

    def features(self, dataset: Any) -> features.FeatureSet:
        """The party's features of a dataset's rows, raw."""
        made = features.apply(self.pipeline, dataset)
        if made.names != self.names:
            raise ModelFileError(
                "the pipeline of the model makes other features than it was trained on", party=self.party
            )
        return made

    @abstractmethod
    def logits(self, s: Session, dataset: Any, rows: Rows | None = None) -> AShare:
        """The logit of every row as a share: (rows,), `LOGIT_BITS`. All parties together; nobody learns anything.

        `rows`: the common rows of which the dataset has this party's own; those of others count as zero. The logit of
        a row that is not matched means nothing.
        """

    # --- as plain values and on disk ---
    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same bits."""

    @classmethod
    @abstractmethod
    def from_dict(cls, body: dict[str, Any]) -> Self:
        """The half that `to_dict` described; `KeyError`, `TypeError` or `ValueError` if it is not one."""

    def _common(self) -> dict[str, Any]:
        """The part of `to_dict` that every kind has."""
        return {
            "kind": self.kind,
            "model_id": self.model_id,
            "party": self.party,
            "parties": list(self.parties),
            "label_party": self.label_party,
            "pipeline": self.pipeline,
            "names": list(self.names),
            "sizes": list(self.sizes),
        }

    def save(self, path: str | Path) -> None:
        """Write the half to a file, whole or not at all, readable by its owner only."""
        body = artifacts.dumps(self.to_dict())
        doc = {"format": _FORMAT + self.kind, "version": VERSION, "sha256": digest(body), "body": json.loads(body)}
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileError(f"cannot make the folder of models: {error.strerror}", where=str(target.parent)) from None
        with atomic_write(target, mode=0o600) as out:
            out.write(json.dumps(doc, indent=1).encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The half in a file; `ModelFileError` if it is damaged, of another kind or version, or no model."""
        body = read(path)
        if body["kind"] != cls.kind:
            raise ModelFileError(f"a model of the kind '{body['kind']}', not '{cls.kind}'", where=str(path))
        return cls.parse(body, where=str(path))

    @classmethod
    def parse(cls, body: dict[str, Any], *, where: str) -> Self:
        """As `from_dict`; `ModelFileError` if the values are not a half."""
        try:
            return cls.from_dict(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFileError("the model file is damaged", where=where) from None


def common(body: dict[str, Any]) -> dict[str, Any]:
    """The arguments that every kind of half takes, from what `to_dict` gave."""
    return {
        "model_id": str(body["model_id"]),
        "party": str(body["party"]),
        "parties": tuple(body["parties"]),
        "label_party": str(body["label_party"]),
        "pipeline": list(body["pipeline"]),
        "names": tuple(str(n) for n in body["names"]),
        "sizes": tuple(int(n) for n in body["sizes"]),
    }


def read(path: str | Path) -> dict[str, Any]:
    """The content of a model's file, its checksum tested; `kind` says which half it is."""
    where = str(path)
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ModelFileError(f"cannot read the model: {error.strerror}", where=where) from None
    except UnicodeDecodeError:
        raise ModelFileError("the model file is damaged: not text", where=where) from None
    try:
        doc = json.loads(text)
        kind = str(doc.get("format"))
        if not kind.startswith(_FORMAT):
            raise ModelFileError("not a model of ppc", where=where)
        if doc.get("version") != VERSION:
            raise ModelFileError(f"a model of version {doc.get('version')}; this ppc reads {VERSION}", where=where)
        body = artifacts.dumps(artifacts.loads(json.dumps(doc["body"])))
        if digest(body) != doc["sha256"]:
            raise ModelFileError("the model file is damaged: its checksum does not fit", where=where)
        return {**artifacts.loads(body), "kind": kind.removeprefix(_FORMAT)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelFileError("the model file is damaged", where=where) from None

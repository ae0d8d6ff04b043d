"""One party's half of a joint model: how its features are made and scaled, and their weights. In memory and on disk.

A file is JSON with a SHA-256 over its content. Floats are written so that they read back to the same bits; a damaged or
foreign file raises `ModelFileError`, it is never half read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppc.core.files import atomic_write
from ppc.errors import FileError, ModelFileError
from ppc.joint import artifacts
from ppc.joint.credit import features
from ppc.joint.credit.training import Floats, Scale
from ppc.joint.job import digest

FORMAT = "ppc.credit.logistic"
VERSION = 1


@dataclass(frozen=True, repr=False, eq=False)
class ModelHalf:
    """What one party keeps of a joint logistic regression.

    Attributes:
        model_id: the same at all parties of one training; halves of different trainings do not fit.
        party, parties: whose half it is, and all parties in rank order.
        label_party: who holds the intercept.
        pipeline: how the features come from the party's columns.
        names, scale: the features in order, and how they are standardised.
        intercept: at the label holder, unless the weights are secret.
        coef: (features,) float64, unless the weights are secret.
        se, z, p: standard error, z and p-value of each coefficient (Newton only); `intercept_se` beside the intercept.
        share, share_bits: with secret weights this party's share of all of them, the intercept's first.
        sizes: how many features each party has.
    """

    model_id: str
    party: str
    parties: tuple[str, ...]
    label_party: str
    pipeline: features.Pipeline
    names: tuple[str, ...]
    scale: Scale
    sizes: tuple[int, ...]
    intercept: float | None = None
    intercept_se: float | None = None
    coef: Floats | None = None
    se: Floats | None = None
    z: Floats | None = None
    p: Floats | None = None
    share: NDArray[np.uint64] | None = None
    share_bits: int = 0

    def __repr__(self) -> str:
        return f"<ModelHalf {self.model_id} of {self.party} features={len(self.names)}>"

    @property
    def secret(self) -> bool:
        """Whether the weights are known to nobody."""
        return self.share is not None

    def features(self, dataset: Any) -> features.FeatureSet:
        """The party's features of a dataset's rows, raw."""
        made = features.apply(self.pipeline, dataset)
        if made.names != self.names:
            raise ModelFileError(
                "the pipeline of the model makes other features than it was trained on", party=self.party
            )
        return made

    def standardised(self, dataset: Any) -> Floats:
        """The features as the model takes them: (rows, features)."""
        return self.scale.apply(self.features(dataset).matrix)

    def partial(self, dataset: Any) -> Floats:
        """This party's part of every row's logit, (rows,): its weighted features, and the intercept if it holds it."""
        if self.coef is None:
            raise ModelFileError("the weights of this model are secret: no party can score alone", party=self.party)
        return np.asarray(self.standardised(dataset) @ self.coef + (self.intercept or 0.0))

    def table(self) -> list[dict[str, Any]]:
        """Feature, coefficient, and with Newton its standard error, z and p-value: what the party may show."""
        if self.coef is None:
            return []
        rows = []
        for j, name in enumerate(self.names):
            row: dict[str, Any] = {"feature": name, "coef": float(self.coef[j])}
            for key, column in (("se", self.se), ("z", self.z), ("p", self.p)):
                if column is not None:
                    row[key] = float(column[j])
            rows.append(row)
        return rows

    # --- on disk ---
    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` gives back the same bits."""

        def listed(x: NDArray[Any] | None) -> list[Any] | None:
            return None if x is None else x.tolist()

        return {
            "model_id": self.model_id,
            "party": self.party,
            "parties": list(self.parties),
            "label_party": self.label_party,
            "pipeline": self.pipeline,
            "names": list(self.names),
            "mean": listed(self.scale.mean),
            "scale": listed(self.scale.scale),
            "sizes": list(self.sizes),
            "intercept": self.intercept,
            "intercept_se": self.intercept_se,
            "coef": listed(self.coef),
            "se": listed(self.se),
            "z": listed(self.z),
            "p": listed(self.p),
            "share": listed(self.share),
            "share_bits": self.share_bits,
        }

    @staticmethod
    def from_dict(body: dict[str, Any]) -> ModelHalf:
        """The half that `to_dict` described; `KeyError`, `TypeError` or `ValueError` if it is not one."""

        def floats(key: str) -> Floats | None:
            return None if body[key] is None else np.asarray(body[key], np.float64)

        names = tuple(str(n) for n in body["names"])
        half = ModelHalf(
            model_id=str(body["model_id"]),
            party=str(body["party"]),
            parties=tuple(body["parties"]),
            label_party=str(body["label_party"]),
            pipeline=list(body["pipeline"]),
            names=names,
            scale=Scale(np.asarray(body["mean"], np.float64), np.asarray(body["scale"], np.float64)),
            sizes=tuple(int(n) for n in body["sizes"]),
            intercept=body["intercept"],
            intercept_se=body["intercept_se"],
            coef=floats("coef"),
            se=floats("se"),
            z=floats("z"),
            p=floats("p"),
            share=None if body["share"] is None else np.asarray(body["share"], np.uint64),
            share_bits=int(body["share_bits"]),
        )
        for column in (half.scale.mean, half.scale.scale, half.coef, half.se):
            if column is not None and column.shape != (len(names),):
                raise ValueError("columns of different lengths")
        return half

    def save(self, path: str | Path) -> None:
        """Write the half to a file, whole or not at all, readable by its owner only."""
        body = artifacts.dumps(self.to_dict())
        doc = {"format": FORMAT, "version": VERSION, "sha256": digest(body), "body": json.loads(body)}
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileError(f"cannot make the folder of models: {error.strerror}", where=str(target.parent)) from None
        with atomic_write(target, mode=0o600) as out:
            out.write(json.dumps(doc, indent=1).encode())

    @staticmethod
    def load(path: str | Path) -> ModelHalf:
        """The half in a file; `ModelFileError` if it is damaged, of another version, or no model."""
        where = str(path)
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            raise ModelFileError(f"cannot read the model: {error.strerror}", where=where) from None
        except UnicodeDecodeError:
            raise ModelFileError("the model file is damaged: not text", where=where) from None
        try:
            doc = json.loads(text)
            if doc.get("format") != FORMAT:
                raise ModelFileError("not a model of ppc", where=where)
            if doc.get("version") != VERSION:
                raise ModelFileError(f"a model of version {doc.get('version')}; this ppc reads {VERSION}", where=where)
            body = artifacts.dumps(artifacts.loads(json.dumps(doc["body"])))
            if digest(body) != doc["sha256"]:
                raise ModelFileError("the model file is damaged: its checksum does not fit", where=where)
            return ModelHalf.from_dict(artifacts.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ModelFileError("the model file is damaged", where=where) from None

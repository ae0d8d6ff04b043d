"""What steps leave behind at one party: arrays, tables, JSON values and shares, on disk, bit for bit.

One folder a step. While a step runs it writes to `<folder>.part`; when it has finished, a manifest with every file's
size and SHA-256 is written and the folder gets its name. So a folder without `.part` is a whole step, and a damaged
file is found.
Files are private to their owner (mode 0600): they hold a party's own columns and its shares.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppc.core.files import atomic_write
from ppc.errors import FileError, InternalError, JobStateError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

    from ppc.mpc.session import Session
    from ppc.mpc.shares import AShare

MANIFEST = "manifest.json"
VERSION = 1
_KINDS = {"array": ".npy", "table": ".parquet", "json": ".json", "share": ".npy"}


class StepArtifacts:
    """The artifacts of one step, by name. Written once while the step runs, read by the later steps."""

    def __init__(self, step: str, folder: Path, entries: dict[str, dict[str, Any]]) -> None:
        self.step = step
        self._folder = folder
        self._entries = entries

    @property
    def names(self) -> list[str]:
        """The names, in the order they were written."""
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def path(self, name: str) -> Path:
        """The file that holds the artifact."""
        return self._folder / str(self._entry(name)["file"])

    # --- reading ---
    def array(self, name: str) -> NDArray[Any]:
        """The array, of the dtype and shape it was written with."""
        return self._load_array(name, "array")

    def table(self, name: str) -> pa.Table:
        """The Arrow table."""
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(self._read(name, "table")))

    def json(self, name: str) -> Any:
        """The JSON value; floats are bit-exact, NaN and infinities included."""
        return loads(self._read(name, "json").decode())

    def share(self, session: Session, name: str) -> AShare:
        """The additive share. It is of use only beside the other parties' shares of the same run."""
        from ppc.joint import shares

        return shares.restore(session, self._load_array(name, "share"), int(self._entry(name)["frac_bits"]))

    # --- writing ---
    def put_array(self, name: str, value: NDArray[Any]) -> None:
        """Keep a NumPy array (no objects)."""
        self._write(name, "array", _npy(value))

    def put_table(self, name: str, value: pa.Table) -> None:
        """Keep an Arrow table (or anything with `to_arrow`)."""
        import pyarrow.parquet as pq

        out = io.BytesIO()
        pq.write_table(value.to_arrow() if hasattr(value, "to_arrow") else value, out, compression="zstd")
        self._write(name, "table", out.getvalue())

    def put_json(self, name: str, value: Any) -> None:
        """Keep a value made of dicts, lists, text, numbers, booleans and None."""
        self._write(name, "json", dumps(value).encode())

    def put_share(self, name: str, value: AShare) -> None:
        """Keep this party's additive share."""
        from ppc.joint import shares

        words, frac_bits = shares.words(value)
        self._write(name, "share", _npy(words), frac_bits=frac_bits)

    # --- inside ---
    def _entry(self, name: str) -> dict[str, Any]:
        if name not in self._entries:
            hint = did_you_mean(name, self._entries)
            raise JobStateError(f"step '{self.step}' left no artifact '{name}'", hint=hint)
        return self._entries[name]

    def _write(self, name: str, kind: str, data: bytes, **more: Any) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", name):
            raise InternalError(f"'{name}' cannot be the name of an artifact")
        file = name + (".share" if kind == "share" else "") + _KINDS[kind]
        with atomic_write(self._folder / file, mode=0o600) as out:
            out.write(data)
        digest = hashlib.sha256(data).hexdigest()
        self._entries[name] = {"kind": kind, "file": file, "bytes": len(data), "sha256": digest, **more}

    def _read(self, name: str, kind: str) -> bytes:
        entry = self._entry(name)
        if entry["kind"] != kind:
            raise InternalError(f"artifact '{name}' of step '{self.step}' is of kind {entry['kind']}, not {kind}")
        path = self.path(name)
        data = _read_file(path)
        if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise FileError("an artifact is damaged", where=str(path), hint="Delete the job's folder and run it again.")
        return data

    def _load_array(self, name: str, kind: str) -> NDArray[Any]:
        return np.asarray(np.load(io.BytesIO(self._read(name, kind)), allow_pickle=False))

    def intact(self) -> bool:
        """Whether every file is there with the bytes that were written."""
        try:
            for name, entry in self._entries.items():
                self._read(name, entry["kind"])
        except (FileError, InternalError):
            return False
        return True


class Store:
    """All steps' artifacts of one job at one party, under one folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileError(
                f"cannot make the job's folder: {error.strerror}",
                where=str(self.root),
                hint="Choose another folder, one that can be written.",
            ) from None
        self._steps: dict[str, StepArtifacts] = {}
        self._runs: dict[str, str] = {}

    @property
    def steps(self) -> list[str]:
        """The steps whose artifacts are in use, in order."""
        return list(self._steps)

    def of(self, step: str) -> StepArtifacts:
        """The artifacts of a finished step (or of the one that is running)."""
        if step not in self._steps:
            raise JobStateError(f"step '{step}' has not finished", hint=did_you_mean(step, self._steps))
        return self._steps[step]

    def latest(self, name: str) -> StepArtifacts | None:
        """The artifacts of the last step that left one of this name; `None` if none did."""
        for artifacts in reversed(self._steps.values()):
            if name in artifacts:
                return artifacts
        return None

    # --- the run's side ---
    def begin(self, index: int, step: str) -> StepArtifacts:
        """An empty folder for a step that starts; what was there before of this step and all later ones is removed."""
        for old in self.root.glob("[0-9][0-9]-*"):
            if old.is_dir() and int(old.name[:2]) >= index:
                shutil.rmtree(old)
        folder = self._folder(index, step).with_suffix(".part")
        folder.mkdir(mode=0o700)
        self._steps[step] = StepArtifacts(step, folder, {})
        return self._steps[step]

    def finish(self, index: int, step: str, *, key: str, run: str, seconds: float) -> None:
        """Make the step's folder whole: the manifest, then the name."""
        artifacts = self._steps[step]
        manifest = {
            "version": VERSION,
            "step": step,
            "key": key,
            "run": run,
            "seconds": seconds,
            "artifacts": artifacts._entries,
        }
        folder = self._folder(index, step)
        with atomic_write(folder.with_suffix(".part") / MANIFEST, mode=0o600) as out:
            out.write(json.dumps(manifest, indent=1).encode())
        os.replace(folder.with_suffix(".part"), folder)
        artifacts._folder = folder
        self._runs[step] = run

    def finished(self, index: int, step: str, *, key: str) -> str | None:
        """The run in which this very step (same `key`) finished here, with every file intact; `None` if it did not."""
        found = self._manifest(self._folder(index, step))
        if found is None or found["key"] != key or found["step"] != step:
            return None
        return self._take(self._folder(index, step), found)

    @staticmethod
    def of_finished(root: str | Path) -> Store:
        """A job's folder as it was left: every finished step whose files are intact."""
        store = Store(root)
        for folder in sorted(store.root.glob("[0-9][0-9]-*")):
            found = store._manifest(folder)
            if found is not None:
                store._take(folder, found)
        return store

    @staticmethod
    def _manifest(folder: Path) -> dict[str, Any] | None:
        try:
            found = json.loads((folder / MANIFEST).read_text("utf-8"))
            fits = found["version"] == VERSION and isinstance(found["artifacts"], dict)
            return dict(found) if fits and {"step", "key", "run"} <= set(found) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _take(self, folder: Path, manifest: Mapping[str, Any]) -> str | None:
        """Use what a finished step left; its run, or `None` if a file is damaged."""
        step, run = str(manifest["step"]), str(manifest["run"])
        artifacts = StepArtifacts(step, folder, dict(manifest["artifacts"]))
        try:
            if not artifacts.intact():
                return None
        except (KeyError, TypeError):
            return None
        self._steps[step] = artifacts
        self._runs[step] = run
        return run

    def forget(self, steps: list[str]) -> None:
        """Leave these steps out: they will be run again."""
        for step in steps:
            self._steps.pop(step, None)

    def seconds(self, index: int, step: str) -> float:
        """How long a finished step took."""
        manifest = json.loads((self._folder(index, step) / MANIFEST).read_text("utf-8"))
        return float(manifest["seconds"])

    def _folder(self, index: int, step: str) -> Path:
        return self.root / f"{index:02d}-{step.replace('.', '_')}"


# --- JSON whose floats are bit-exact ---
def dumps(value: Any) -> str:
    """JSON text. Floats read back to the same bits; NaN and infinities get a spelling of their own."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """What `dumps` wrote."""
    return json.loads(text, object_hook=lambda d: float(d["$float"]) if d.keys() == {"$float"} else d)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _npy(value: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(value) if value.ndim else value, allow_pickle=False)
    return out.getvalue()


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read an artifact: {error.strerror}", where=str(path)) from None

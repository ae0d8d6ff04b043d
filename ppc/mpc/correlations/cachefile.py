"""A party's file of correlated randomness made ahead of time: one section for each run of a program.

    magic (8)  header length (8)  header digest (32)  header (JSON)  spent (8)  seed of each run (16)  sections…

Every party's file has a fresh seed for each run; the last party's also has its shares of what is derived. A run is
claimed before anything of it is used: the file is locked, its seed is read, overwritten with zeros and the count of
spent runs raised, and only when that has reached the disk does the program go on. So a run that was begun can not be
begun again, whatever happened to it: its seed is gone at every party that claimed it.

A copy of the file that is put back has its seeds again. Two things stop it: the number of spent runs is also kept
beside the machine's other state (`PPC_STATE_DIR`, else XDG's), and a file that is behind it is refused; and the
parties agree, before they claim, on the first run that none of them has spent.

The file is the party's secret: mode 0600, written whole or not at all. Digests find damage; they are no signature.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppc.core import ring, rng
from ppc.core.files import atomic_write
from ppc.core.fixedpoint import FixedPoint
from ppc.errors import ConfigError, CorrelationError, FileError, FrameError
from ppc.mpc.correlations.dealer import Expander, _Dealer
from ppc.mpc.correlations.needs import Needs

Words: TypeAlias = NDArray[np.uint64]

_MAGIC: Final = b"ppc-off1"
_FIXED: Final = 8 + 8 + 32
_MAX_HEADER: Final = 64 << 20
MAX_RUNS: Final = 1 << 16
_HINT: Final = "make another with `ppc offline make`"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; none of it is secret."""

    cache: str  # the same in the files of all parties, hexadecimal
    party: str
    rank: int
    parties: tuple[str, ...]
    frac_bits: int
    ring_bits: int
    runs: int
    program: str
    needs: Needs
    digests: tuple[str, ...]  # of each run's section; empty at all parties but the last

    @property
    def section_bytes(self) -> int:
        """Bytes of one run's derived shares; 0 at all parties but the last."""
        if self.rank != len(self.parties) - 1:
            return 0
        return 8 * sum(f.size for _, c in self.needs.items() for f in c.derived)


def make(
    folder: str | Path,
    needs: Needs,
    parties: tuple[str, ...] | list[str],
    *,
    runs: int = 1,
    program: str = "program",
    fx: FixedPoint | None = None,
) -> dict[str, Path]:
    """Write one file for each party into `folder`, as `PARTY.ppcoff`; the dealer's part, done ahead of time.

    Whoever runs this knows every correlation, as a dealer does: it must be no party, collude with none, hand each file
    to its party over a secret channel, and delete its copies.

    Raises:
        FileError: the folder cannot be written, or a file is there already.
    """
    names = tuple(parties)
    if len(set(names)) != len(names) or len(names) < 2 or not all(_plain(n) for n in names):
        raise ConfigError("two or more parties with distinct plain names are needed", where="parties")
    if not 1 <= runs <= MAX_RUNS:
        raise ConfigError(f"runs are 1 to {MAX_RUNS}, not {runs}", where="runs")
    paths = {n: Path(folder) / f"{n}.ppcoff" for n in names}
    for path in paths.values():
        if path.exists():
            raise FileError("is there already", where=str(path), hint="a cache is never overwritten: name another one")
    seeds = [[rng.random_key() for _ in names] for _ in range(runs)]
    cache = rng.random_bytes(16).hex()
    fx = fx or FixedPoint()
    form = fx.frac_bits, fx.ring_bits
    with contextlib.ExitStack() as open_files:
        files = {n: open_files.enter_context(atomic_write(p, mode=0o600)) for n, p in paths.items()}
        digests = ["0" * 64] * runs
        for rank, name in enumerate(names):
            last = rank == len(names) - 1
            header = Header(cache, name, rank, names, *form, runs, program, needs, tuple(digests if last else ()))
            _write_head(files[name], header)
            files[name].write(np.zeros(1, np.uint64).tobytes() + b"".join(seed[rank] for seed in seeds))
        for run in range(runs):
            dealer = _Dealer([Expander(seed, rank) for rank, seed in enumerate(seeds[run])])
            digest = hashlib.sha256()
            for number, correlation in needs.items():
                for array in dealer.deal(number, correlation):
                    data = np.ascontiguousarray(ring.of(array).limbs(array)).tobytes()
                    digest.update(data)
                    files[names[-1]].write(data)
            digests[run] = digest.hexdigest()
        files[names[-1]].seek(0)
        _write_head(
            files[names[-1]],
            Header(cache, names[-1], len(names) - 1, names, *form, runs, program, needs, tuple(digests)),
        )
    return paths


def _plain(name: str) -> bool:
    return bool(name) and all(c.isalnum() or c in "-_." for c in name) and not name.startswith(".")


def _write_head(file: BinaryIO, header: Header) -> None:
    parts = {
        "cache": header.cache, "party": header.party, "rank": header.rank, "parties": list(header.parties),
        "frac_bits": header.frac_bits, "ring_bits": header.ring_bits, "runs": header.runs, "program": header.program,
        "needs": header.needs.to_json(), "digests": list(header.digests),
    }  # fmt: skip
    data = json.dumps(parts, separators=(",", ":")).encode()
    file.write(_MAGIC + len(data).to_bytes(8, "little") + hashlib.sha256(data).digest() + data)


class CacheFile:
    """An opened and locked file. Close it, or use it in a `with` block."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._fd = self._lock_fd = -1
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            self._lock(self._fd)
            self.header, self._spent_at = self._read_head()
            self._lock_copies()
            self._check()
        except OSError as error:
            self.close()
            raise FileError(f"cannot be opened: {error.strerror}", where=str(path)) from None
        except BaseException:
            self.close()
            raise

    def _lock_copies(self) -> None:
        """No other process of this machine holds this cache, under whatever name."""
        path = self._register_path().with_suffix(".lock")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock(self._lock_fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorrelationError(
                "this cache is in use by another process", where=str(self.path), hint="a cache serves one run at a time"
            ) from None

    def _read_head(self) -> tuple[Header, int]:
        fixed = os.pread(self._fd, _FIXED, 0)
        length = int.from_bytes(fixed[8:16], "little")
        if len(fixed) < _FIXED or fixed[:8] != _MAGIC or length > _MAX_HEADER:
            raise FileError("is no cache of correlations", where=str(self.path), hint=_HINT)
        data = os.pread(self._fd, length, _FIXED)
        if len(data) != length or hashlib.sha256(data).digest() != fixed[16:48]:
            raise self._damaged()
        try:
            return _header(json.loads(data), str(self.path)), _FIXED + length
        except (ValueError, TypeError, KeyError, FrameError):
            raise self._damaged() from None

    def _damaged(self) -> FileError:
        return FileError("is damaged", where=str(self.path), hint=_HINT)

    def _check(self) -> None:
        h, status = self.header, os.fstat(self._fd)
        if status.st_mode & 0o077:
            raise FileError(
                "others may read it, and it is this party's secret", where=str(self.path), hint="chmod 600 it"
            )
        if status.st_size != self._section(h.runs):
            raise self._damaged()
        if not self.spent <= h.runs:
            raise self._damaged()
        kept = self._registered()
        if kept > self.spent:
            raise CorrelationError(
                f"{kept} of its runs were spent on this machine, and it says {self.spent}: a copy was put back",
                where=str(self.path),
                hint=f"correlations are used once; {_HINT}",
            )

    # --- runs ---
    @property
    def spent(self) -> int:
        """How many runs are spent."""
        return int.from_bytes(os.pread(self._fd, 8, self._spent_at), "little")

    @property
    def left(self) -> int:
        """How many runs are left."""
        return self.header.runs - self.spent

    def _seed_at(self, run: int) -> int:
        return self._spent_at + 8 + rng.KEY_BYTES * run

    def _section(self, run: int) -> int:
        return self._seed_at(self.header.runs) + self.header.section_bytes * run

    def claim(self, run: int) -> bytes:
        """The seed of a run, which must not be spent; afterwards it is, and so are all before it.

        Raises:
            CorrelationError: no such run is left.
            FileError: its section is damaged (found before it is spent).
        """
        if run < self.spent:
            raise CorrelationError(f"run {run} is spent", where=str(self.path), hint=_HINT)
        if run >= self.header.runs:
            raise CorrelationError(
                f"out of correlations: all {self.header.runs} runs of this cache are spent",
                where=str(self.path),
                hint=f"{_HINT} --runs {max(self.header.runs, 2)}",
            )
        self._verify(run)
        seed = os.pread(self._fd, rng.KEY_BYTES, self._seed_at(run))
        if not any(seed):
            raise self._damaged()
        for gone in range(self.spent, run + 1):
            os.pwrite(self._fd, bytes(rng.KEY_BYTES), self._seed_at(gone))
        os.pwrite(self._fd, (run + 1).to_bytes(8, "little"), self._spent_at)
        os.fsync(self._fd)
        self._register(run + 1)
        return seed

    def _verify(self, run: int) -> None:
        if not self.header.section_bytes:
            return
        digest, at, end = hashlib.sha256(), self._section(run), self._section(run + 1)
        while at < end:
            piece = os.pread(self._fd, min(1 << 22, end - at), at)
            if not piece:
                break
            digest.update(piece)
            at += len(piece)
        if digest.hexdigest() != self.header.digests[run]:
            raise self._damaged()

    def words(self, run: int, at: int, shape: tuple[int, ...]) -> Words:
        """Words of a run's section, beginning with word `at`."""
        out = np.empty(shape, np.uint64)
        view, place = out.reshape(-1).view(np.uint8).data, self._section(run) + 8 * at
        done = 0
        while done < len(view):
            got = os.preadv(self._fd, [view[done:]], place + done)
            if not got:
                raise self._damaged()
            done += got
        return out

    # --- what this machine remembers ---
    def _register_path(self) -> Path:
        return state_dir() / f"{self.header.cache}-{self.header.rank}"

    def _registered(self) -> int:
        try:
            return int(self._register_path().read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0

    def _register(self, spent: int) -> None:
        path = self._register_path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(path, mode=0o600) as file:
            file.write(str(spent).encode())

    def close(self) -> None:
        """Let others open it."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def __enter__(self) -> CacheFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<CacheFile {self.path.name} party={self.header.party} left={self.left}>"


def state_dir() -> Path:
    """Where this machine remembers what was spent."""
    given = os.environ.get("PPC_STATE_DIR") or os.environ.get("XDG_STATE_HOME")
    return (Path(given) if given else Path.home() / ".local" / "state") / "ppc" / "offline"


def _header(parts: Any, where: str) -> Header:
    """A header whose every part is checked; any of ValueError, TypeError, KeyError if one is wrong."""
    parties, rank, runs = tuple(parts["parties"]), parts["rank"], parts["runs"]
    needs = Needs.from_json(parts["needs"], len(parties), where)
    header = Header(
        parts["cache"], parts["party"], rank, parties, parts["frac_bits"], parts["ring_bits"], runs, parts["program"],
        needs, tuple(parts["digests"]),
    )  # fmt: skip
    fits = (
        all(isinstance(p, str) and _plain(p) for p in parties)
        and type(rank) is type(runs) is int
        and 0 <= rank < len(parties)
        and parties[rank] == header.party
        and 1 <= runs <= MAX_RUNS
        and isinstance(header.cache, str)
        and len(bytes.fromhex(header.cache)) == 16
        and isinstance(header.program, str)
        and type(header.frac_bits) is type(header.ring_bits) is int
        and len(header.digests) == (runs if rank == len(parties) - 1 else 0)
    )
    if not fits:
        raise ValueError("header")
    return header

"""What `ppc psi` does with its options: checks, the run of one side, both sides here, and what is shown."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ppc.cli._common import err, print_json, size
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.joint.matching import Matching, Settings
    from ppc.mpc.psi.ecdh import Progress
    from ppc.net.stream import StreamChannel


class Output:
    """Where the matching rows go, checked before anything else happens."""

    def __init__(
        self, out: Path | None, columns: list[str] | None, rows_only: bool, number: str | None, join: str, reveal: str
    ) -> None:
        if join not in ("inner", "left"):
            raise ConfigError(f"'{join}' is neither inner nor left", where="--join")
        if rows_only and columns:
            raise ConfigError("give --rows-only or --columns, not both")
        if out is None and (rows_only or columns or number or join == "left"):
            raise ConfigError("these options say what to write, but --out does not say where", hint="add --out FILE")
        if out is not None:
            from ppc.dataset import io
            from ppc.errors import FileError

            if reveal == "count":
                raise ConfigError("a count gives no rows to write", where="--out", hint="leave --out away")
            io.writable_kind(out)
            if not out.parent.is_dir():
                raise FileError("there is no such folder", where=str(out.parent))
        self.path = out
        self.columns = [] if rows_only else columns
        self.number = number
        self.join = join


def run(
    source: str,
    settings: Settings,
    output: Output,
    channel_of: Any,
    work: Path | None,
    delimiter: str | None,
    encoding: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read the keys, connect, match, write, and say what came out."""
    from ppc.dataset.stream import open_table
    from ppc.errors import ColumnError, JobCancelled, did_you_mean
    from ppc.joint.matching import match, plan, prepare_passes, write_matched
    from ppc.mpc.psi.large import Work

    if output.path is not None and output.path.exists() and output.path.resolve() == Path(source).resolve():
        raise ConfigError("the output would replace the file that is matched", where="--out", hint="name another file")
    with contextlib.ExitStack() as stack:
        # Being told to end is as Ctrl-C: the other party hears of it, and nothing is left on the disk.
        if threading.current_thread() is threading.main_thread():
            stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.default_int_handler))
        kept = stack.enter_context(Work(work)) if work is not None and not dry_run else None
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ppc-psi-", dir=kept.folder if kept else None))
        )
        table = open_table(source, typed=settings.columns, delimiter=delimiter, encoding=encoding, scratch=scratch)
        for name in (*settings.columns, *(output.columns or ())):
            if name not in table.names:
                raise ColumnError(f"there is no column '{name}'", where=source, hint=did_you_mean(name, table.names))
        progress = stack.enter_context(_bar())
        passes = prepare_passes(table, settings, folder=scratch, progress=progress)
        for keys in passes:
            stack.enter_context(keys)
        if dry_run:
            planned = plan(settings, len(passes[0]))
            progress(1.0, "done")
            stack.close()
            _show_plan(planned, passes[0], as_json)
            return
        for keys in passes[1:]:
            keys.close()
        progress(0.0, "waiting for the other party")
        channel: StreamChannel = channel_of()
        with channel:
            try:
                found = match(channel, table, settings, passes, folder=scratch, work=kept, progress=progress)
                written = None
                if output.path is not None:
                    progress(1.0, "writing")
                    written = write_matched(
                        table, found, output.path, columns=output.columns, number=output.number,
                        everything=output.join == "left", folder=scratch,
                    )  # fmt: skip
                peer_done = _both_done(channel)
            except KeyboardInterrupt:
                channel.abort(JobCancelled(f"{channel.me} was interrupted by its user", party=channel.me))
                raise
            cost = channel.meter.snapshot()
        if kept is not None and peer_done:
            kept.clear()
    answer = _answer(found, channel.me, channel.peer, settings, written, output.path)
    answer |= {"bytes_sent": cost.sent, "bytes_received": cost.received, "rounds": cost.rounds, "peer_done": peer_done}
    if as_json:
        print_json(answer)
    else:
        show(answer)


def _both_done(channel: StreamChannel) -> bool:
    """Whether the peer has its result too; until then, what was kept for another try is not thrown away."""
    from ppc.errors import JobError, NetError

    try:
        channel.send_bytes("psi done", b"")
        channel.recv_bytes("psi done", 0)
    except (NetError, JobError):
        return False
    return True


def settings_of(
    key: list[str] | None,
    or_key: list[str] | None,
    similar: str | None,
    threshold: float,
    form: list[str] | None,
    normalise: bool,
    diacritics: bool,
    duplicates: str,
    reveal: str,
    protocol: str,
    randomness: str,
    security: str,
    max_peer_rows: int,
    bucket_rows: int,
) -> Settings:
    from ppc.joint.matching import Settings

    if not key:
        raise ConfigError("no key column is given", hint="add --key COLUMN")
    forms = {}
    for entry in form or ():
        name, equals, value = entry.rpartition("=")
        if not equals or not name:
            raise ConfigError(
                f"'{entry}' is not COLUMN=FORM", where="--form", hint="for example: --form phone=phone:DE"
            )
        forms[name] = value
    return Settings(
        keys=(tuple(key), *(tuple(k.strip() for k in entry.split(",")) for entry in or_key or ())),
        similar=tuple(n.strip() for n in similar.split(",")) if similar else (),
        threshold=threshold,
        forms=forms,
        case=normalise,
        width=normalise,
        spaces="collapse" if normalise else "keep",
        diacritics=diacritics,
        duplicates=duplicates,  # type: ignore[arg-type]  # checked by Settings, as the next ones
        reveal=reveal,  # type: ignore[arg-type]
        protocol=protocol,  # type: ignore[arg-type]
        randomness=randomness,  # type: ignore[arg-type]
        security=security,  # type: ignore[arg-type]
        max_peer_rows=max_peer_rows,
        bucket_rows=bucket_rows,
    )


def certified(folder: Path, name: str | None, peer: str | None) -> tuple[Any, str]:
    from ppc.net import identity

    if name is None or peer is None:
        raise ConfigError(
            "with --identity, give --name and --peer too", hint="--identity ca --name bank-a --peer bank-b"
        )
    return identity.load(folder, name), identity.check_party_name(peer)


def address_of(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"'{text}' is not HOST:PORT", hint="for example: ppc psi connect 192.0.2.7:5555 FILE")
    return host.removeprefix("[").removesuffix("]"), int(port)


def typed_code(code: str | None) -> str:
    from ppc.net.pairing import read_code

    if code is None:
        if not sys.stdin.isatty():
            raise ConfigError("no code is given", hint="add --code, set PPC_PSI_CODE, or use --identity")
        code = typer.prompt("code of the other party", err=True)
    return read_code(code)


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar on stderr; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda fraction, what: None
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    with Bars(BarColumn(24), TextColumn("{task.description}"), TimeElapsedColumn(), console=err(), transient=True) as b:
        task = b.add_task("", total=1.0)
        yield lambda fraction, what: b.update(task, completed=fraction, description=what.replace("[", r"\["))


# --- what is shown ---
def _answer(
    found: Matching, me: str, peer: str, settings: Settings, written: int | None, out: Path | None
) -> dict[str, Any]:
    names = ["+".join(k) for k in settings.keys]
    names += ["like " + "+".join(settings.similar)] if settings.similar else []
    return {
        "me": me,
        "peer": peer,
        "rows": found.total,
        "keys": found.keys,
        "without_key": found.nulls,
        "invalid_key": found.invalid,
        "repeated_key": found.duplicates,
        "peer_keys": None if found.theirs < 0 else found.theirs,
        "matched": found.matched,
        "matched_by": dict(zip(names, found.by, strict=True)),
        "buckets": found.buckets,
        "resumed_at": found.resumed_at,
        "out": None if out is None else str(out),
        "rows_written": written,
    }


def show(answer: dict[str, Any], indent: str = "") -> None:
    def line(text: str) -> None:
        print(indent + text)

    aside = [(answer["without_key"], "without a key"), (answer["invalid_key"], "with an invalid one")]
    aside.append((answer["repeated_key"], "with a repeated one"))
    left = "".join(f", {n:,} {what}" for n, what in aside if n)
    line(f"own rows     {answer['rows']:,}, of which {answer['keys']:,} with a key of their own{left}")
    if answer["peer_keys"] is not None:
        line(f"{answer['peer']:<12} {answer['peer_keys']:,} keys")
    line(f"in common    {answer['matched']:,}")
    if len(answer["matched_by"]) > 1:
        for name, count in answer["matched_by"].items():
            line(f"  by {name}: {count:,}")
    if not answer["matched"]:
        line("             (are both keys of the same spelling? --normalise evens out case, width and spaces)")
    if answer["out"]:
        line(f"written      {answer['rows_written']:,} rows to {answer['out']}")
    line(f"traffic      {size(answer['bytes_sent'])} sent, {size(answer['bytes_received'])} received")
    if answer["resumed_at"]:
        line(f"resumed      at bucket {answer['resumed_at'] + 1} of {answer['buckets']}")
    if not answer["peer_done"]:
        line(f"note         {answer['peer']} did not confirm that it has its result")


def _show_plan(planned: dict[str, Any], keys: Any, as_json: bool) -> None:
    own = {"rows": keys.total, "keys": len(keys), "without_key": keys.nulls, "invalid_key": keys.invalid}
    if as_json:
        print_json({**planned, "own": own})
        return
    print(f"own rows: {own['rows']:,}, distinct keys: {own['keys']:,}, without a key: {own['without_key']:,}")
    print("who learns what:")
    for entry in planned["learned"]:
        print(f"  {entry['who']}: {entry['learns']} ({entry['why']})")
    print(f"what stays: {planned['stays']}")
    print(f"not stopped: {planned['does_not_stop']}")
    print(f"rests on: {planned['rests_on']}")
    mine, theirs = planned["assumed_rows"]
    print(
        f"cost: about {size(planned['bytes_sent'])} sent by who sends more, if {theirs:,} keys meet {mine:,}",
        end="",
    )
    print(f", in {planned['buckets']} buckets" if planned["buckets"] > 1 else "")


# --- both sides here ---
def locally(
    left: str, right: str, key: list[str], right_key: list[str], options: list[str], left_out: Path | None,
    right_out: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """Run both sides as processes with certificates made for them; what each answered."""
    import subprocess

    from ppc.net import identity

    with tempfile.TemporaryDirectory(prefix="ppc-psi-") as folder:
        identity.create_ca(folder)
        for name in ("left", "right"):
            identity.issue(folder, name)

        def command(verb: list[str], me: str, peer: str, keys: list[str], out: Path | None) -> list[str]:
            ends = ["--identity", folder, "--name", me, "--peer", peer, "--json", *options]
            ends += [part for k in keys for part in ("--key", k)] + (["--out", str(out)] if out else [])
            return [sys.executable, "-m", "ppc.cli", "psi", *verb, *ends]

        processes: list[subprocess.Popen[str]] = []
        try:
            verb = ["listen", left, "--host", "127.0.0.1", "--wait", "60"]
            a = subprocess.Popen(command(verb, "left", "right", key, left_out), stdout=subprocess.PIPE, text=True)
            processes.append(a)
            first = a.stdout.readline() if a.stdout else ""
            if not first:
                raise typer.Exit(a.wait())
            port = json.loads(first)["port"]
            verb = ["connect", f"127.0.0.1:{port}", right]
            b = subprocess.Popen(
                command(verb, "right", "left", right_key, right_out), stdout=subprocess.PIPE, text=True
            )
            processes.append(b)
            right_told = b.communicate()[0]
            try:
                left_told = a.communicate(timeout=10 if b.returncode else None)[0]
            except subprocess.TimeoutExpired:  # the other failed before it connected
                raise typer.Exit(b.returncode) from None
            if b.returncode or a.returncode:
                raise typer.Exit(b.returncode or a.returncode)
            return {"left": json.loads(left_told.splitlines()[-1]), "right": json.loads(right_told.splitlines()[-1])}
        finally:
            for process in processes:
                if process.poll() is None:
                    process.terminate()
                    process.wait()

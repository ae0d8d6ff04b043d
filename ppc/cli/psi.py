"""`ppc psi`: match two files by key between two hosts, without a coordinator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ppc.cli._common import JsonOption, print_json
from ppc.cli._psi import Output, address_of, certified, locally, run, settings_of, show, typed_code
from ppc.errors import ConfigError

if TYPE_CHECKING:
    from ppc.net.stream import StreamChannel

app = typer.Typer(
    help=(
        "Match two files by key between two hosts, without showing the others.\n\n"
        "On one host `ppc psi listen FILE -k id -o OUT`, on the other `ppc psi connect HOST:PORT FILE -k id -o OUT`. "
        "With --left and --right both run here, as two processes, to try it out; whoever runs it sees both files."
    ),
    invoke_without_command=True,
    no_args_is_help=True,
)

_SESSION: Final = "ppc psi"

KeyOption = Annotated[
    list[str] | None, typer.Option("--key", "-k", help="A key column; several make one key together.")
]
OrKeyOption = Annotated[
    list[str] | None,
    typer.Option("--or-key", help="COLUMN or COLUMN,COLUMN: for rows that did not match before; in order of trust."),
]
SimilarOption = Annotated[
    str | None,
    typer.Option("--similar", help="NAME,COLUMN: last, names that are alike if COLUMN is equal. Trades privacy."),
]
ThresholdOption = Annotated[float, typer.Option("--threshold", help="How alike: common bigrams over all.")]
FormOption = Annotated[
    list[str] | None,
    typer.Option("--form", help="COLUMN=FORM: phone:DE, email, cn_id, name or digits; see docs/matching.md."),
]
NormaliseOption = Annotated[
    bool, typer.Option("--normalise", help="Even out case, full width and spaces in text keys, at both parties.")
]
DiacriticsOption = Annotated[bool, typer.Option("--diacritics", help="é is e in text keys, at both parties.")]
DuplicatesOption = Annotated[
    str, typer.Option("--duplicates", help="Rows with the same key: reject, first, all or drop.")
]
JoinOption = Annotated[
    str, typer.Option("--join", help="inner: matching rows only. left: then the others, without a match number.")
]
RevealOption = Annotated[str, typer.Option("--reveal", help="rows, or count: only how many match.")]
ProtocolOption = Annotated[str, typer.Option("--protocol", help="auto, or a protocol of docs/psi.md.")]
RandomnessOption = Annotated[str, typer.Option("--randomness", help="silent (LPN) or ot (does without it).")]
SecurityOption = Annotated[str, typer.Option("--security", help="semi-honest, or malicious.")]
MaxOption = Annotated[int, typer.Option("--max-peer-rows", min=1, help="Refuse a peer that brings more keys.")]
BucketOption = Annotated[
    int, typer.Option("--bucket-rows", min=1, help="Keys that are worked on at once; the same at both parties.")
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Where the matching rows go.")]
ColumnsOption = Annotated[list[str] | None, typer.Option("--columns", help="Columns to write; may be repeated.")]
RowsOnlyOption = Annotated[bool, typer.Option("--rows-only", help="Write row numbers (from 0) and no columns.")]
NumberOption = Annotated[
    str | None, typer.Option("--number", help="Add a column of this name: the match's number, the same at both.")
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Keep what is done there, so that the same command goes on after a stop.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="This party's name.")]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="Folder with certificates of `ppc ca issue`, instead of a code; needs --peer."),
]
PeerOption = Annotated[str | None, typer.Option("--peer", help="With --identity: whom to match with.")]
CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code", envvar="PPC_PSI_CODE", help="The other party's code; asked for if not given.", show_envvar=True
    ),
]
DelimiterOption = Annotated[str | None, typer.Option("--delimiter", help="Between the values of a CSV file.")]
EncodingOption = Annotated[str, typer.Option("--encoding", help="Of a CSV file.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Show who would learn what, and connect to nobody.")]
IdleOption = Annotated[float, typer.Option("--idle-timeout", min=1, help="Seconds that the peer may be silent.")]
SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A CSV, Parquet or Arrow file, or a URL: duckdb:///f.db?table=t, SQL.")
]
_MAX_ROWS: Final = 1 << 28
_BUCKET_ROWS: Final = 1 << 20


@app.command()
def listen(
    source: SourceArgument,
    key: KeyOption = None,
    or_key: OrKeyOption = None,
    out: OutOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")] = "0.0.0.0",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 0,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the other party.")] = 900.0,
    name: NameOption = None,
    identity: IdentityOption = None,
    peer: PeerOption = None,
    similar: SimilarOption = None,
    threshold: ThresholdOption = 0.7,
    form: FormOption = None,
    normalise: NormaliseOption = False,
    diacritics: DiacriticsOption = False,
    duplicates: DuplicatesOption = "reject",
    join: JoinOption = "inner",
    reveal: RevealOption = "rows",
    protocol: ProtocolOption = "auto",
    randomness: RandomnessOption = "silent",
    security: SecurityOption = "semi-honest",
    max_peer_rows: MaxOption = _MAX_ROWS,
    bucket_rows: BucketOption = _BUCKET_ROWS,
    columns: ColumnsOption = None,
    rows_only: RowsOnlyOption = False,
    number: NumberOption = None,
    work: WorkOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = "utf-8",
    idle_timeout: IdleOption = 60.0,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Wait for the other party, which runs `ppc psi connect`, and match this file with its.

    Shows a code to tell the other party, by telephone for instance: nobody gets in without it, and one wrong guess ends
    it. With --identity and --peer, certificates take its place.
    """

    def channel() -> StreamChannel:
        from ppc.net import pairing, tls

        def listening(address: tls.Address) -> None:
            if as_json:
                print_json({"event": "listening", "host": address[0], "port": address[1], "code": code})
                sys.stdout.flush()
            else:
                print(f"listening on {address[0]} port {address[1]}", file=sys.stderr)
                if code is not None:
                    print(f"code {code}  (tell it to the other party and to nobody else)", file=sys.stderr)
                sys.stderr.flush()

        if identity is not None:
            code = None
            me, other = certified(identity, name, peer)
            with tls.Listener(me, host, port, idle_timeout_s=idle_timeout) as listener:
                listening(listener.address)
                return listener.accept(_SESSION, other, wait)
        code = pairing.new_code()
        return pairing.accept(
            code, name or "host-a", host, port, wait, on_listening=listening, idle_timeout_s=idle_timeout
        )

    settings = settings_of(
        key,
        or_key,
        similar,
        threshold,
        form,
        normalise,
        diacritics,
        duplicates,
        reveal,
        protocol,
        randomness,
        security,
        max_peer_rows,
        bucket_rows,
    )
    output = Output(out, columns, rows_only, number, join, reveal)
    run(source, settings, output, channel, work, delimiter, encoding, dry_run, as_json)


@app.command()
def connect(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the other party listens.")],
    source: SourceArgument,
    key: KeyOption = None,
    or_key: OrKeyOption = None,
    out: OutOption = None,
    code: CodeOption = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to try to reach the other party.")] = 15.0,
    name: NameOption = None,
    identity: IdentityOption = None,
    peer: PeerOption = None,
    similar: SimilarOption = None,
    threshold: ThresholdOption = 0.7,
    form: FormOption = None,
    normalise: NormaliseOption = False,
    diacritics: DiacriticsOption = False,
    duplicates: DuplicatesOption = "reject",
    join: JoinOption = "inner",
    reveal: RevealOption = "rows",
    protocol: ProtocolOption = "auto",
    randomness: RandomnessOption = "silent",
    security: SecurityOption = "semi-honest",
    max_peer_rows: MaxOption = _MAX_ROWS,
    bucket_rows: BucketOption = _BUCKET_ROWS,
    columns: ColumnsOption = None,
    rows_only: RowsOnlyOption = False,
    number: NumberOption = None,
    work: WorkOption = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = "utf-8",
    idle_timeout: IdleOption = 60.0,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Connect to the other party, which runs `ppc psi listen`, and match this file with its."""
    host, port = address_of(address)
    settings = settings_of(
        key,
        or_key,
        similar,
        threshold,
        form,
        normalise,
        diacritics,
        duplicates,
        reveal,
        protocol,
        randomness,
        security,
        max_peer_rows,
        bucket_rows,
    )
    output = Output(out, columns, rows_only, number, join, reveal)

    def channel() -> StreamChannel:
        from ppc.net import pairing, tls

        if identity is not None:
            me, other = certified(identity, name, peer)
            return tls.connect(me, other, host, port, _SESSION, wait, idle_timeout_s=idle_timeout)
        return pairing.connect(typed, name or "host-b", host, port, wait, idle_timeout_s=idle_timeout)

    typed = "" if identity is not None or dry_run else typed_code(code)
    run(source, settings, output, channel, work, delimiter, encoding, dry_run, as_json)


@app.callback()
def both(
    ctx: typer.Context,
    left: Annotated[str | None, typer.Option("--left", help="Try it out: one party's file, …")] = None,
    right: Annotated[str | None, typer.Option("--right", help="… and the other's, both on this machine.")] = None,
    key: KeyOption = None,
    right_key: Annotated[
        list[str] | None, typer.Option("--right-key", help="The other's key columns, if they have other names.")
    ] = None,
    normalise: NormaliseOption = False,
    duplicates: DuplicatesOption = "reject",
    protocol: ProtocolOption = "auto",
    left_out: Annotated[Path | None, typer.Option("--left-out", help="Where the left file's rows go.")] = None,
    right_out: Annotated[Path | None, typer.Option("--right-out", help="Where the right file's rows go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Both sides on this machine, if no command follows."""
    given = left is not None or right is not None
    if ctx.invoked_subcommand is not None:
        if given:
            raise ConfigError("--left and --right run both sides here; they go without a command")
        return
    if left is None or right is None:
        raise ConfigError("give both --left and --right, or say: ppc psi listen, ppc psi connect")
    options = ["--duplicates", duplicates, "--protocol", protocol, *(["--normalise"] if normalise else [])]
    found = locally(left, right, key or [], right_key or key or [], options, left_out, right_out)
    if as_json:
        print_json(found)
        return
    for side, answer in found.items():
        print(f"{side}:")
        show(answer, indent="  ")

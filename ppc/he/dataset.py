"""`EncryptedDataset`: a dataset some of whose columns nobody reads, and that answers the questions of `Analysable`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gmpy2 import mpz

from ppc.dataset import Dataset, Schema
from ppc.dataset.aggregates import check_edges
from ppc.dataset.types import is_numeric
from ppc.errors import (
    ColumnError,
    EnvelopeError,
    KeyMismatch,
    ParameterMismatch,
    PpcError,
    ProtectionError,
    TypeMismatchError,
    did_you_mean,
)
from ppc.he.columns import BATCH_ROWS, Batch, ColumnPlan, Run, encrypt_batches, plan_columns
from ppc.he.keys import PrivateKey, PublicKey
from ppc.he.layout import from_arrow, layout_of, read_meta, to_arrow
from ppc.he.paillier.keys import PaillierPrivateKey, PaillierPublicKey
from ppc.he.paillier.vector import fold
from ppc.he.parquet import open_parquet, write_sealed
from ppc.he.values import EncryptedValue

Progress = Callable[[float, str], None]


class EncryptedDataset:
    """Rows with clear columns, which keep their values, and encrypted ones, which answer sums only.

    Whoever holds it can count, sum, average, and (where it was encrypted for that) take variances and histograms, of
    all rows or by group. The answers are encrypted; `release` needs the private key. Made by `encrypt`,
    `encrypt_file` or `EncryptedDataset.open`.
    """

    def __init__(
        self,
        key: PaillierPublicKey | PaillierPrivateKey,
        schema: Schema,
        plans: Sequence[ColumnPlan],
        by: tuple[str, ...],
        batches: Callable[[], Iterator[Batch]],
        num_rows: int,
    ) -> None:
        self._key, self._schema, self._by = key, schema, by
        self._plans = {p.name: p for p in plans}
        self._batches, self.num_rows = batches, num_rows

    @property
    def schema(self) -> Schema:
        """All columns, clear and encrypted."""
        return self._schema

    @property
    def encrypted_columns(self) -> list[str]:
        return list(self._plans)

    @property
    def key_id(self) -> str:
        return self._key.key_id

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        shape = (self.num_rows, len(self._schema.fields))
        return f"<EncryptedDataset paillier shape={shape} encrypted={self.encrypted_columns} key={self.key_id[:12]}>"

    def with_key(self, key: PrivateKey) -> EncryptedDataset:
        """The same dataset for the key's owner, who can release answers."""
        self._key.public.check(key.key_id, "the key")
        if not isinstance(key, PaillierPrivateKey):
            raise KeyMismatch("releasing needs the private key; this is the public one")
        return EncryptedDataset(key, self._schema, list(self._plans.values()), self._by, self._batches, self.num_rows)

    def clear(self) -> Dataset:
        """The clear columns, in the order of the encrypted rows."""
        batches = [b.clear for b in self._batches()]
        names = [n for n in self._schema.names if n not in self._plans]
        return Dataset.from_arrow(pa.Table.from_batches(batches), self._schema.select(names))

    # --- the questions ---
    def count(self, col: str | None = None) -> int:
        """How many rows, or values that are not null. Both are clear."""
        if col is None:
            return self.num_rows
        self._field(col)
        if col not in self._plans:
            return self.clear().count(col)
        return sum(run.counts[col] for run in self._runs())

    def sum(self, col: str) -> Any:
        """The encrypted sum; of a clear column the sum itself."""
        return self._answer("sum", col)

    def mean(self, col: str) -> Any:
        """The encrypted mean; of a clear column the mean itself."""
        return self._answer("mean", col)

    def variance(self, col: str) -> Any:
        """The encrypted variance, if the squares were encrypted (`squares=True`)."""
        return self._answer("variance", col)

    def histogram(self, col: str, edges: Sequence[float] | np.ndarray[Any, Any]) -> Any:
        """The encrypted counts, if these very bins were encrypted (`histograms={col: edges}`)."""
        self._numeric(col)
        if col not in self._plans:
            return self.clear().histogram(col, edges)
        plan = self._plans[col]
        if plan.edges is None:
            raise ProtectionError(
                f"column '{col}' was encrypted without bins, and ciphertexts are not compared",
                hint=f"Encrypt with histograms={{'{col}': edges}}, or share it (ppc.mpc), which compares.",
            )
        wanted = check_edges(edges, name=col)
        if tuple(wanted.tolist()) != plan.edges:
            raise ProtectionError(
                f"column '{col}' was encrypted with other bins", hint=f"Its edges are {list(plan.edges)}."
            )
        return self._total("histogram", plan, self._runs())

    def sum_by(self, col: str) -> dict[Any, EncryptedValue]:
        """The encrypted sum in each group of the columns that `encrypt` was told to group by."""
        return self._by_group("sum", col)

    def mean_by(self, col: str) -> dict[Any, EncryptedValue]:
        """The encrypted mean in each group."""
        return self._by_group("mean", col)

    def release(self, value: Any) -> Any:
        """An answer of this dataset as a plain number; dicts of answers too.

        Raises:
            KeyMismatch: this side has the public key only, or the answer belongs to another key.
        """
        if isinstance(value, dict):
            return {k: self.release(v) for k, v in value.items()}
        if not isinstance(value, EncryptedValue):
            if isinstance(value, int | float | np.ndarray | np.number):
                return value  # of a clear column
            raise TypeMismatchError(f"an answer of this dataset is needed, not a {type(value).__name__}")
        if not isinstance(self._key, PaillierPrivateKey):
            raise KeyMismatch(
                "releasing an answer needs the private key; this side has the public one",
                hint="Send the answer to the key's owner (ppc.he.Answers), or use with_key(private_key).",
            )
        return value.release(self._key)

    # --- files ---
    def write(self, path: str | Path, *, progress: Progress | None = None) -> None:
        """Write a Parquet file: clear columns as they are, ciphertexts as binary, a digest over every byte."""
        rows = 0

        def tables() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in self._batches():
                yield to_arrow(batch, self._plans, layout)
                rows += batch.rows
                if progress is not None:
                    progress(min(1.0, rows / max(1, self.num_rows)), "encrypting")

        layout = layout_of(self._schema, self._plans, self._by, self._key.public)
        write_sealed(path, layout, tables())

    @staticmethod
    def open(path: str | Path, key: PublicKey | PrivateKey) -> EncryptedDataset:
        """The dataset in a file of `write`; it is read batch by batch, as often as a question is asked.

        Raises:
            EnvelopeError: any byte of the file is not what was written.
            KeyMismatch: it was encrypted under another key.
        """
        file = open_parquet(path)
        meta = read_meta(file.schema_arrow, str(path))
        key.public.check(meta["key_id"], "the dataset")
        if not isinstance(key, PaillierPublicKey | PaillierPrivateKey):
            raise ParameterMismatch("an encrypted dataset needs a Paillier key")
        if meta["parameters"] != key.public.parameter_hash:
            raise ParameterMismatch("the dataset was made with other parameters than the key has")
        try:
            plans = [ColumnPlan.from_json(p) for p in meta["columns"]]
            schema, by = Schema.from_toml(meta["schema"]), tuple(str(n) for n in meta["by"])
        except (KeyError, TypeError, ValueError, PpcError) as error:
            raise EnvelopeError("the header of the encrypted dataset is malformed", where=str(path)) from error

        def batches() -> Iterator[Batch]:
            source = pq.ParquetFile(path)
            for i in range(source.num_row_groups):
                yield from_arrow(source.read_row_group(i), plans, by, key.public, str(path))

        return EncryptedDataset(key, schema, plans, by, batches, file.metadata.num_rows)

    # --- helpers ---
    def _runs(self) -> Iterator[Run]:
        for batch in self._batches():
            yield from batch.runs

    def _field(self, col: str) -> Any:
        if col not in self._schema:
            raise ColumnError(f"there is no column '{col}'", hint=did_you_mean(str(col), self._schema.names))
        return self._schema[col]

    def _numeric(self, col: str) -> None:
        field = self._field(col)
        if not is_numeric(field.type):
            raise TypeMismatchError(f"column '{col}' is {field.type}, and numbers are needed", where=f"column '{col}'")

    def _answer(self, kind: str, col: str) -> Any:
        self._numeric(col)
        if col not in self._plans:
            return getattr(self.clear(), kind)(col)
        self._check_kind(kind, self._plans[col])
        return self._total(kind, self._plans[col], self._runs())

    def _check_kind(self, kind: str, plan: ColumnPlan) -> None:
        if kind == "variance" and not plan.squares:
            raise ProtectionError(
                f"column '{plan.name}' was encrypted without its squares, and Paillier does not multiply",
                hint="Encrypt with squares=True, or share it (ppc.mpc), which multiplies.",
            )

    def _by_group(self, kind: str, col: str) -> dict[Any, EncryptedValue]:
        self._numeric(col)
        if col not in self._plans:
            raise ProtectionError(f"column '{col}' is clear", hint="Group it in the clear: dataset.clear().")
        if not self._by:
            raise ProtectionError(
                "the rows were not grouped when they were encrypted, and packed ciphertexts are not taken apart",
                hint="Encrypt with by=[…].",
            )
        runs: dict[Any, list[Run]] = {}
        for run in self._runs():
            runs.setdefault(run.group if len(self._by) > 1 else run.group[0], []).append(run)
        return {group: self._total(kind, self._plans[col], part) for group, part in runs.items()}

    def _total(self, kind: str, plan: ColumnPlan, runs: Iterable[Run]) -> EncryptedValue:
        """Multiply the ciphertexts of the runs together, stream by stream."""
        wanted = {"sum": ("value",), "mean": ("value",), "variance": ("value", "square")}.get(kind)
        public = self._key.public
        streams = [(i, s) for i, s in enumerate(plan.streams()) if _wants(kind, wanted, s[0])]
        products, used, count = [mpz(1)] * len(streams), [0] * len(streams), 0
        for run in runs:
            count += run.counts[plan.name]
            for j, (i, _) in enumerate(streams):
                rows = run.streams[plan.name][i]
                products[j] = products[j] * public.ring.product(rows) % public.n2
                used[j] += len(rows)
        totals = []
        for j, (_, (_, packing, bound)) in enumerate(streams):
            dtype = "int64" if plan.integer else "float64"
            totals.append(fold(public, products[j], packing, bound * max(1, used[j]), dtype))
        return EncryptedValue(kind, totals, count)


def _wants(kind: str, wanted: tuple[str, ...] | None, stream: str) -> bool:
    return stream.startswith("bin ") if wanted is None else stream in wanted


def encrypt(
    ds: Dataset,
    key: PublicKey | PrivateKey,
    columns: Iterable[str],
    *,
    by: Sequence[str] = (),
    squares: bool = False,
    histograms: Mapping[str, Sequence[float]] | None = None,
    frac_bits: int | None = None,
    value_bits: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> EncryptedDataset:
    """Encrypt columns of a dataset under a Paillier key.

    Args:
        ds: the dataset.
        key: the public key of whoever shall read the answers (its owner's private key is faster).
        columns: numeric or boolean columns to encrypt; the others stay clear.
        by: clear columns to group by later: the rows are put in their order, batch by batch.
        squares: also encrypt the squares, for variances. Twice the work.
        histograms: edges of bins to encrypt, by column. As much work again for each bin or two.
        frac_bits: of float columns, 20 by default; integers have none and stay exact. Parts that are to be added up
            need the same: give it where one part's column holds whole numbers only.
        value_bits: |x| <= 2**value_bits; by default from the schema's bounds, else 24 (integers 40).
        threads: as many as there are processors if None.
        progress: called with the fraction done.

    Raises:
        ColumnError: an unknown column, or a group column that is encrypted.
        TypeMismatchError: a column that is not numeric.
        ValueRangeError: NaN, infinite, or beyond value_bits; the message names the column.
    """
    source = ds.to_arrow().to_batches()
    made: list[Batch] = []
    result = _stream(source, ds.schema, key, columns, by, squares, histograms, frac_bits, value_bits, threads)
    for batch in result._batches():
        made.append(batch)
        if progress is not None:
            progress(min(1.0, sum(b.rows for b in made) / max(1, ds.num_rows)), "encrypting")
    return EncryptedDataset(
        result._key, ds.schema, list(result._plans.values()), result._by, lambda: iter(made), ds.num_rows
    )


def encrypt_file(
    source: str | Path,
    target: str | Path,
    key: PublicKey | PrivateKey,
    columns: Iterable[str],
    *,
    schema: Schema | None = None,
    by: Sequence[str] = (),
    squares: bool = False,
    histograms: Mapping[str, Sequence[float]] | None = None,
    frac_bits: int | None = None,
    value_bits: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> EncryptedDataset:
    """Encrypt a file into a Parquet file. A Parquet source is read in batches, so memory stays bounded.

    Arguments and errors as `encrypt`; other kinds of files are read whole by `ppc.read`, and written in batches.
    """
    from ppc.dataset import read

    if str(source).endswith((".parquet", ".pq")):
        described = _schema_of(source, schema)
        file = pq.ParquetFile(source)
        batches: Iterable[pa.RecordBatch] = file.iter_batches(BATCH_ROWS)
        rows = file.metadata.num_rows
    else:
        ds = read(source, schema)
        described, batches, rows = ds.schema, ds.to_arrow().to_batches(), ds.num_rows
    result = _stream(batches, described, key, columns, by, squares, histograms, frac_bits, value_bits, threads)
    result.num_rows = rows
    result.write(target, progress=progress)
    return EncryptedDataset.open(target, key)


def _schema_of(source: str | Path, schema: Schema | None) -> Schema:
    from ppc.dataset import read

    try:
        return Dataset.from_arrow(pq.read_schema(source).empty_table(), schema).schema
    except (pa.ArrowException, OSError):
        return read(source, schema).schema  # which says what is wrong with the file


def _stream(
    batches: Iterable[pa.RecordBatch],
    schema: Schema,
    key: PublicKey | PrivateKey,
    columns: Iterable[str],
    by: Sequence[str],
    squares: bool,
    histograms: Mapping[str, Sequence[float]] | None,
    frac_bits: int | None,
    value_bits: int | None,
    threads: int | None,
) -> EncryptedDataset:
    if not isinstance(key, PaillierPublicKey | PaillierPrivateKey):
        raise ParameterMismatch("datasets are encrypted under a Paillier key", hint="ppc keys new --scheme paillier")
    plans = plan_columns(
        schema,
        columns,
        squares=squares,
        histograms=dict(histograms or {}),
        frac_bits=frac_bits,
        value_bits=value_bits,
    )
    hidden = {p.name for p in plans}
    for name in by:
        if name not in schema:
            raise ColumnError(f"there is no column '{name}' to group by", hint=did_you_mean(name, schema.names))
        if name in hidden:
            raise ColumnError(f"column '{name}' is to be encrypted, and groups are clear")
    groups = tuple(by)
    return EncryptedDataset(
        key, schema, plans, groups, lambda: encrypt_batches(batches, plans, groups, key, threads=threads), 0
    )

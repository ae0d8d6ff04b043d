"""How an encrypted dataset lies in a table: clear columns as they are, ciphertexts as binary where each run starts."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ppc.dataset import Schema, types
from ppc.errors import ConfigError, EnvelopeError
from ppc.he.columns import Batch, ColumnPlan, Run
from ppc.he.paillier.keys import PaillierPublicKey

FILE_VERSION: Final = 1
_META: Final = b"ppc.he"
_COUNT_BYTES: Final = 8


def layout_of(
    schema: Schema, plans: dict[str, ColumnPlan], by: tuple[str, ...], public: PaillierPublicKey
) -> pa.Schema:
    """Clear columns under their names; every encrypted one as binary, filled at the first row of each run."""
    fields = [pa.field(f.name, pa.large_binary() if f.name in plans else types.to_arrow(f.type)) for f in schema.fields]
    meta = {
        "version": FILE_VERSION,
        "scheme": "paillier",
        "key_id": public.key_id,
        "parameters": public.parameter_hash,
        "columns": [p.to_json() for p in plans.values()],
        "by": list(by),
        "schema": schema.to_toml(),
    }
    return pa.schema(fields, metadata={_META: json.dumps(meta, sort_keys=True).encode()})


def to_arrow(batch: Batch, plans: dict[str, ColumnPlan], layout: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in layout:
        if field.name not in plans:
            arrays.append(batch.clear.column(field.name).cast(field.type))
            continue
        cells: list[bytes | None] = [None] * batch.rows
        first = 0
        for run in batch.runs:
            parts = [np.ascontiguousarray(rows, "<u8").tobytes() for rows in run.streams[field.name]]
            cells[first] = run.counts[field.name].to_bytes(_COUNT_BYTES, "big") + b"".join(parts)
            first += run.rows
        arrays.append(pa.array(cells, pa.large_binary()))
    return pa.record_batch(arrays, schema=layout)


def from_arrow(
    table: pa.Table, plans: list[ColumnPlan], by: tuple[str, ...], public: PaillierPublicKey, where: str
) -> Batch:
    malformed = EnvelopeError("the ciphertexts do not fit the rows", where=where)
    starts = [i for i, ok in enumerate(table.column(plans[0].name).is_valid().to_pylist()) if ok]
    if not starts or starts[0] != 0:
        raise malformed
    hidden = {p.name for p in plans}
    clear = table.select([n for n in table.column_names if n not in hidden]).combine_chunks()
    kept = clear.to_batches()[0] if clear.num_columns else pa.record_batch([], schema=pa.schema([]))
    keys = [clear.column(n) for n in by]
    runs = []
    for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
        counts, streams = {}, {}
        for plan in plans:
            cell = table.column(plan.name)[start].as_py()
            lengths = [-(-(end - start) // packing.slots(public.bits)) for _, packing, _ in plan.streams()]
            width = public.ring.words
            if not isinstance(cell, bytes) or len(cell) != _COUNT_BYTES + 8 * width * sum(lengths):
                raise malformed
            counts[plan.name] = int.from_bytes(cell[:_COUNT_BYTES], "big")
            if counts[plan.name] > end - start:
                raise malformed
            rows = np.frombuffer(cell, "<u8", offset=_COUNT_BYTES).reshape(-1, width)
            public.check_ciphertexts(rows, where)
            streams[plan.name] = list(np.split(rows, np.cumsum(lengths)[:-1]))
        runs.append(Run(tuple(k[start].as_py() for k in keys), end - start, counts, streams))
    return Batch(kept, runs)


def read_meta(schema: pa.Schema, where: str) -> dict[str, Any]:
    raw = (schema.metadata or {}).get(_META)
    if raw is None:
        raise EnvelopeError("a Parquet file, but no encrypted dataset of ppc", where=where)
    try:
        meta = json.loads(raw)
    except ValueError as error:
        raise EnvelopeError("the header of the encrypted dataset is malformed", where=where) from error
    names = {"version", "scheme", "key_id", "parameters", "columns", "by", "schema"}
    if not isinstance(meta, dict) or set(meta) != names:
        raise EnvelopeError("the header of the encrypted dataset is malformed", where=where)
    if meta["version"] != FILE_VERSION:
        raise EnvelopeError(f"the encrypted dataset has another version than {FILE_VERSION}", where=where)
    if meta["scheme"] != "paillier":
        raise ConfigError("the dataset is encrypted under another scheme than Paillier", where=where)
    return meta

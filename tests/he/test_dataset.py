"""Encrypted datasets: exact answers, sealed files, and what they refuse."""

from __future__ import annotations

import math
import pickle
import weakref

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppc import he
from ppc.dataset import Analysable, Dataset, Field, Schema
from ppc.errors import (
    ColumnError,
    ConfigError,
    EnvelopeError,
    FileError,
    HeadroomExceeded,
    KeyMismatch,
    ParameterMismatch,
    ProtectionError,
    SecretMisuse,
    TypeMismatchError,
    ValueRangeError,
)
from ppc.he import columns, dataset, parquet
from ppc.he.envelope import Envelope

EDGES = [0, 10, 50, 99]


def table(n: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": [f"p{i}" for i in range(n)],
            "site": pa.array(rng.choice(["x", "y", None], n).tolist(), pa.string()),
            "days": pa.array(rng.normal(size=n) * 20, mask=rng.random(n) < 0.2),
            "age": pa.array(rng.integers(0, 100, n), mask=rng.random(n) < 0.1),
            "dead": rng.random(n) < 0.3,
        }
    )


@pytest.fixture(scope="module")
def clear():
    return Dataset.from_arrow(table(300), name="stays")


@pytest.fixture(scope="module")
def encrypted(clear, paillier_key):
    return he.encrypt(
        clear,
        paillier_key.public,
        ["days", "age", "dead"],
        by=["site"],
        squares=True,
        histograms={"age": EDGES},
    )


@pytest.fixture(scope="module")
def path(encrypted, tmp_path_factory):
    out = tmp_path_factory.mktemp("he") / "stays.parquet"
    encrypted.write(out)
    return out


@pytest.fixture(params=["memory", "file"])
def owner(request, encrypted, path, paillier_key):
    """The dataset for the key's owner: as encrypted, and as read from a file."""
    if request.param == "memory":
        return encrypted.with_key(paillier_key)
    return he.EncryptedDataset.open(path, paillier_key)


class TestAnswers:
    def test_they_are_those_of_the_clear_data(self, owner, clear):
        assert isinstance(owner, Analysable)
        assert owner.count() == len(owner) == 300
        for column in ("days", "age", "dead"):
            assert owner.count(column) == clear.count(column)
            for question in ("sum", "mean", "variance"):
                got = owner.release(getattr(owner, question)(column))
                assert got == pytest.approx(getattr(clear, question)(column), rel=1e-6, abs=1e-4)
        assert owner.release(owner.sum("age")) == clear.sum("age")  # integers are exact
        assert isinstance(owner.release(owner.sum("dead")), int)
        assert owner.release(owner.histogram("age", EDGES)).tolist() == clear.histogram("age", EDGES).tolist()

    def test_by_group(self, owner, clear):
        frame = clear.to_pandas()
        sums, means = owner.release(owner.sum_by("age")), owner.release(owner.mean_by("days"))
        assert set(sums) == {"x", "y", None}
        for site in sums:
            rows = frame[frame.site.isna()] if site is None else frame[frame.site == site]
            assert sums[site] == rows.age.sum()
            assert means[site] == pytest.approx(rows.days.mean(), abs=1e-5)

    def test_clear_columns_keep_their_values(self, owner, clear):
        kept = owner.clear().to_pandas()
        before = clear.to_pandas()
        assert sorted(kept.id) == sorted(before.id)
        merged = kept.merge(before, on="id")
        assert (merged.site_x.fillna("-") == merged.site_y.fillna("-")).all()
        assert owner.count("site") == clear.count("site")

    def test_the_schema_stays(self, clear, paillier_key, tmp_path):
        schema = clear.schema.with_field(Field("age", "int64", bounds=(0, 120), unit="years"))
        ds = he.encrypt(clear.with_schema(schema), paillier_key, ["age"])
        assert ds.schema["age"].unit == "years"
        assert ds._plans["age"].value_bits == 7
        ds.write(tmp_path / "x.parquet")
        assert he.EncryptedDataset.open(tmp_path / "x.parquet", paillier_key).schema == schema

    def test_clear_numbers_are_answered_in_the_clear(self, clear, paillier_key):
        ds = he.encrypt(clear, paillier_key, ["days"])
        assert ds.release(ds.sum("age")) == clear.sum("age")
        assert ds.release(ds.mean("age")) == clear.mean("age")
        assert (ds.release(ds.histogram("age", [0, 50])) == clear.histogram("age", [0, 50])).all()

    def test_edges_of_bins_are_those_of_numpy(self, paillier_key):
        x = [-1.0, 0.0, 1.0, 1.5, 2.0, 2.0000001, None]
        ds = Dataset.from_arrow(pa.table({"x": x}))
        encrypted = he.encrypt(ds, paillier_key, ["x"], histograms={"x": [0, 1, 2]})
        assert encrypted.release(encrypted.histogram("x", [0, 1, 2])).tolist() == [1, 3]

    def test_no_values(self, paillier_key):
        ds = Dataset.from_arrow(pa.table({"x": pa.nulls(3, pa.float64())}))
        encrypted = he.encrypt(ds, paillier_key, ["x"], squares=True)
        assert encrypted.release(encrypted.sum("x")) == 0
        assert math.isnan(encrypted.release(encrypted.mean("x")))
        assert math.isnan(encrypted.release(encrypted.variance("x")))

    def test_parts_of_several_branches_add_up(self, paillier_key, tmp_path):
        parts = [Dataset.from_arrow(table(n, seed=n)) for n in (5, 40, 77)]
        files = []
        for i, part in enumerate(parts):  # each branch has the public key only
            encrypted = he.encrypt(part, paillier_key.public, ["days", "age"], squares=True)
            answers = he.Answers(
                {c + q: getattr(encrypted, q)(c) for c in ("days", "age") for q in ("sum", "variance")}
            )
            answers.to_envelope().write(tmp_path / f"{i}")
            files.append(he.Answers.from_envelope(Envelope.read(tmp_path / f"{i}"), paillier_key.public))
        total = (files[0] + files[1] + files[2]).release(paillier_key)
        whole = Dataset.from_arrow(pa.concat_tables([p.to_arrow() for p in parts]))
        for column in ("days", "age"):
            assert total[f"{column}sum"] == pytest.approx(whole.sum(column), abs=1e-3)
            assert total[f"{column}variance"] == pytest.approx(whole.variance(column), rel=1e-6)

    def test_whoever_decrypts_sees_no_single_value(self, paillier_key):
        ds = Dataset.from_arrow(pa.table({"x": [1, 2, 3]}))
        answer = he.encrypt(ds, paillier_key.public, ["x"]).sum("x")
        total = answer.totals[0]
        n, packing = paillier_key.public.n, total.packing
        plain = [m - n if m > n // 2 else m for m in paillier_key.decrypt_residues(total.ciphertexts)]
        slots = [int(v) for v in packing.unpack(plain, packing.slots(2048), 2048).tolist()]
        assert sum(slots) == 6
        assert min(abs(v) for v in slots) > 1 << 40


class TestFiles:
    def test_any_parquet_reader_opens_them(self, path):
        read = pq.read_table(path)
        assert read.num_rows == 300
        assert read.schema.field("age").type == pa.large_binary()
        assert sorted(read.column("id").to_pylist())[0] == "p0"

    def test_every_single_byte_flip_is_refused(self, paillier_key, tmp_path):
        small = he.encrypt(Dataset.from_arrow(pa.table({"k": ["a"], "x": [1]})), paillier_key.public, ["x"])
        file = tmp_path / "small.parquet"
        small.write(file)
        data = file.read_bytes()
        assert len(data) < 6000
        other = tmp_path / "damaged.parquet"
        for position in range(len(data)):
            damaged = bytearray(data)
            damaged[position] ^= 1 << (position % 8)
            other.write_bytes(damaged)
            with pytest.raises(EnvelopeError):
                he.EncryptedDataset.open(other, paillier_key)
        for length in range(0, len(data), 97):
            other.write_bytes(data[:length])
            with pytest.raises(EnvelopeError):
                he.EncryptedDataset.open(other, paillier_key)

    def test_other_files(self, path, paillier_key, other_paillier_key, ckks_key, tmp_path):
        with pytest.raises(KeyMismatch):
            he.EncryptedDataset.open(path, other_paillier_key)
        with pytest.raises(KeyMismatch):
            he.EncryptedDataset.open(path, ckks_key)
        with pytest.raises(FileError):
            he.EncryptedDataset.open(tmp_path / "none.parquet", paillier_key)
        pq.write_table(pa.table({"x": [1]}), tmp_path / "plain.parquet")
        with pytest.raises(EnvelopeError, match="no seal"):
            he.EncryptedDataset.open(tmp_path / "plain.parquet", paillier_key)
        parquet.write_sealed(tmp_path / "sealed.parquet", pa.schema([("x", pa.int64())]), [])
        with pytest.raises(EnvelopeError, match="no encrypted dataset"):
            he.EncryptedDataset.open(tmp_path / "sealed.parquet", paillier_key)

    def test_forged_cells_with_a_right_digest_are_refused(self, path, paillier_key, tmp_path):
        read = pq.read_table(path)
        cells = read.column("age").to_pylist()
        for change in (
            lambda c: c[:-8],
            lambda c: c[:8] + bytes(len(c) - 8),
            lambda c: b"\xff" * 8 + c[8:],
            lambda c: None,
        ):
            forged = [change(cells[0]), *cells[1:]]
            at = read.schema.get_field_index("age")
            new = read.set_column(at, read.schema.field("age"), pa.array(forged, pa.large_binary()))
            parquet.write_sealed(tmp_path / "forged.parquet", read.schema, new.combine_chunks().to_batches())
            ds = he.EncryptedDataset.open(tmp_path / "forged.parquet", paillier_key)
            with pytest.raises(EnvelopeError):
                ds.release(ds.sum("age"))

    @pytest.mark.parametrize("suffix", [".parquet", ".csv"])
    def test_files_are_encrypted_in_batches(self, tmp_path, paillier_key, monkeypatch, suffix):
        monkeypatch.setattr(columns, "BATCH_ROWS", 64)
        monkeypatch.setattr(dataset, "BATCH_ROWS", 64)
        clear = Dataset.from_arrow(table(200).drop_columns(["site"]))
        clear.write(tmp_path / f"in{suffix}")
        seen = []
        ds = he.encrypt_file(
            tmp_path / f"in{suffix}",
            tmp_path / "out.parquet",
            paillier_key,
            ["age", "days"],
            progress=lambda fraction, text: seen.append(fraction),
        )
        assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 4
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
        assert ds.release(ds.sum("age")) == clear.sum("age")
        assert ds.clear().num_rows == 200

    def test_a_file_is_written_batch_by_batch(self, tmp_path, paillier_key, monkeypatch):
        """No more than two batches are alive at any time, however many there are."""
        alive, most = weakref.WeakSet(), 0
        honest = columns.encrypt_batches

        def watched(*arguments, **options):
            nonlocal most
            for batch in honest(*arguments, **options):
                alive.add(batch)
                most = max(most, len(alive))
                yield batch

        monkeypatch.setattr(columns, "BATCH_ROWS", 50)
        monkeypatch.setattr(dataset, "BATCH_ROWS", 50)
        monkeypatch.setattr(dataset, "encrypt_batches", watched)
        pq.write_table(pa.table({"x": np.arange(1000)}), tmp_path / "in.parquet")
        ds = he.encrypt_file(tmp_path / "in.parquet", tmp_path / "out.parquet", paillier_key, ["x"])
        assert 1 <= most <= 2
        assert ds.release(ds.sum("x")) == 499_500

    def test_nothing_is_left_of_a_file_that_failed(self, tmp_path, paillier_key):
        pq.write_table(pa.table({"x": [1.0, float("nan")]}), tmp_path / "in.parquet")
        with pytest.raises(ValueRangeError, match="position 1"):
            he.encrypt_file(tmp_path / "in.parquet", tmp_path / "out.parquet", paillier_key, ["x"])
        assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]
        with pytest.raises(FileError):
            he.encrypt_file(tmp_path / "none.parquet", tmp_path / "out.parquet", paillier_key, ["x"])


class TestRefusals:
    def test_release_needs_the_private_key(self, encrypted, other_paillier_key, paillier_key):
        with pytest.raises(KeyMismatch, match="needs the private key"):
            encrypted.release(encrypted.sum("age"))
        with pytest.raises(KeyMismatch):
            encrypted.with_key(other_paillier_key)
        with pytest.raises(KeyMismatch):
            encrypted.with_key(paillier_key.public)
        ds = he.encrypt(Dataset.from_arrow(pa.table({"x": [1]})), other_paillier_key, ["x"])
        with pytest.raises(KeyMismatch):
            ds.release(encrypted.sum("age"))
        with pytest.raises(TypeMismatchError):
            encrypted.release("x")

    def test_what_paillier_can_not(self, clear, encrypted, paillier_key):
        plain = he.encrypt(clear, paillier_key, ["age"])
        for ask in (
            lambda: plain.variance("age"),
            lambda: plain.histogram("age", EDGES),
            lambda: encrypted.histogram("age", [0, 1]),
            lambda: plain.sum_by("age"),
        ):
            with pytest.raises(ProtectionError) as caught:
                ask()
            assert caught.value.hint

    def test_columns(self, clear, paillier_key, encrypted):
        for arguments, error in [
            ((["aeg"],), ColumnError),
            (([],), ConfigError),
            ((["age", "age"],), ColumnError),
            ((["id"],), TypeMismatchError),
        ]:
            with pytest.raises(error):
                he.encrypt(clear, paillier_key, *arguments)
        with pytest.raises(ColumnError, match="groups are clear"):
            he.encrypt(clear, paillier_key, ["age"], by=["age"])
        with pytest.raises(ColumnError):
            he.encrypt(clear, paillier_key, ["age"], by=["siet"])
        with pytest.raises(ColumnError, match="not encrypted"):
            he.encrypt(clear, paillier_key, ["age"], histograms={"days": [0, 1]})
        for edges in ([0], [1, 0], [0, math.nan]):
            with pytest.raises(ValueRangeError):
                he.encrypt(clear, paillier_key, ["age"], histograms={"age": edges})
        with pytest.raises(TypeMismatchError):
            encrypted.sum("id")
        with pytest.raises(ColumnError):
            encrypted.mean("aeg")

    def test_values(self, paillier_key):
        for x in ([1.0, math.inf], [1.0, math.nan], [1.0, 2.0**25]):
            with pytest.raises(ValueRangeError, match="position 1") as caught:
                he.encrypt(Dataset.from_arrow(pa.table({"income": x})), paillier_key, ["income"])
            assert "income" in str(caught.value.where)
        big = Dataset.from_arrow(pa.table({"x": pa.array([1 << 63], pa.uint64())}))
        with pytest.raises(ValueRangeError):
            he.encrypt(big, paillier_key, ["x"])

    def test_schemes(self, clear, ckks_key):
        with pytest.raises(ParameterMismatch, match="Paillier"):
            he.encrypt(clear, ckks_key, ["age"])

    def test_answers_only_add_up_with_their_like(self, encrypted, clear, paillier_key):
        total, mean = encrypted.sum("age"), encrypted.mean("age")
        for other in (mean, encrypted.sum("days"), 3, encrypted.histogram("age", EDGES)):
            with pytest.raises(ParameterMismatch):
                total + other
        with pytest.raises(ParameterMismatch):
            he.Answers({"a": total}) + he.Answers({"b": total})
        with pytest.raises(ParameterMismatch):
            he.Answers({})
        with pytest.raises(HeadroomExceeded):
            doubled = total
            for _ in range(80):
                doubled = doubled + doubled

    def test_the_types_are_closed(self, encrypted):
        answer = encrypted.sum("age")
        for use in (lambda: bool(answer), lambda: answer == 1, lambda: float(answer), lambda: np.asarray(answer)):
            with pytest.raises(SecretMisuse):
                use()
        with pytest.raises(SecretMisuse):
            pickle.dumps(answer)
        assert "EncryptedValue sum" in repr(answer)
        assert "stays" not in repr(encrypted)

    def test_lists_of_answers_that_lie(self, encrypted, paillier_key):
        from dataclasses import replace

        envelope = he.Answers({"a": encrypted.sum("age")}).to_envelope()
        good = envelope.meta["answers"][0]
        wrong = ({"kind": "max"}, {"parts": 2}, {"count": -1}, {"parts": 0}, {"name": 5}, {"more": 1})
        lists = [None, [], [good, good], ["x"], *([{**good, **w}] for w in wrong)]
        changes = [{"meta": {"answers": bad}} for bad in lists]
        changes += [{"payload": envelope.payload[:-1]}, {"payload": envelope.payload + b"x"}, {"shape": (2,)}]
        changes += [{"payload": b"\xff" * 20}, {"kind": "vector"}]
        for change in changes:
            with pytest.raises(EnvelopeError):
                he.Answers.from_envelope(replace(envelope, **change), paillier_key)


def test_schemas_of_any_kind_of_clear_column_survive(paillier_key, tmp_path):
    import datetime as dt

    ds = Dataset.from_arrow(
        pa.table(
            {
                "t": [dt.datetime(2024, 1, 1), None],
                "d": [dt.date(2024, 1, 1), None],
                "b": [b"x", None],
                "x": [1, 2],
            }
        ),
        None,
    )
    he.encrypt(ds, paillier_key, ["x"]).write(tmp_path / "x.parquet")
    back = he.EncryptedDataset.open(tmp_path / "x.parquet", paillier_key)
    assert isinstance(back.schema, Schema)
    assert back.clear().to_arrow().to_pylist() == ds.drop(["x"]).to_arrow().to_pylist()

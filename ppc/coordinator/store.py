"""What the coordinator keeps: jobs, participants, events, the catalog. SQLite by default, any SQLAlchemy URL.

Only portable SQL: rows are read by key, and an upsert is an update followed by an insert when nothing was there. One
coordinator uses a store at a time and calls it under its own lock, so no statement has to guard against another writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ppc.coordinator.jobs import (
    Cost,
    DatasetEntry,
    Event,
    EventKind,
    Fault,
    JobRecord,
    JobState,
    Participant,
    Phase,
    Role,
    Signed,
)
from ppc.errors import ConfigError, FileError, MissingExtra

VERSION: Final = "1"

_meta = sa.MetaData()
_about = sa.Table(
    "ppc_about", _meta, sa.Column("key", sa.String(40), primary_key=True), sa.Column("value", sa.String(200))
)
_jobs = sa.Table(
    "ppc_jobs",
    _meta,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("submitter", sa.String(64), nullable=False),
    sa.Column("job_toml", sa.Text, nullable=False),
    sa.Column("job_hash", sa.String(80), nullable=False),
    sa.Column("plan_hash", sa.String(80), nullable=False),
    sa.Column("submission", sa.Text, nullable=False),
    sa.Column("retry", sa.Text),
    sa.Column("datasets", sa.Text, nullable=False),
    sa.Column("fault", sa.Text),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("updated", sa.Float, nullable=False),
)
_participants = sa.Table(
    "ppc_participants",
    _meta,
    sa.Column("job", sa.String(64), sa.ForeignKey("ppc_jobs.id"), primary_key=True),
    sa.Column("party", sa.String(64), primary_key=True),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("plan_hash", sa.String(80), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("address", sa.String(300), nullable=False),
    sa.Column("fault", sa.Text),
    sa.Column("approval", sa.Text),
    sa.Column("decision", sa.Text),
    sa.Column("cost", sa.Text),
)
_events = sa.Table(
    "ppc_events",
    _meta,
    sa.Column("job", sa.String(64), sa.ForeignKey("ppc_jobs.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("party", sa.String(64), nullable=False),
    sa.Column("step", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("state", sa.String(16)),
    sa.Column("phase", sa.String(16)),
    sa.Column("fault", sa.Text),
)
_catalog = sa.Table(
    "ppc_catalog",
    _meta,
    sa.Column("party", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("schema_toml", sa.Text, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("visible_to", sa.Text, nullable=False),
)


class Store:
    """The tables at one URL."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        try:
            _meta.create_all(self._engine)
            with self._engine.begin() as db:
                found = db.execute(sa.select(_about.c.value).where(_about.c.key == "version")).scalar()
                if found is None:
                    db.execute(_about.insert().values(key="version", value=VERSION))
        except SQLAlchemyError as error:
            self.close()
            raise FileError(f"cannot open the store ({type(error).__name__})", where=self.place) from error
        if found not in (None, VERSION):
            self.close()
            raise FileError(f"the store is of version {found}, expected {VERSION}", where=self.place)

    @property
    def place(self) -> str:
        """The URL without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as db:
                yield db
        except SQLAlchemyError as error:
            raise FileError(f"the store does not answer ({type(error).__name__})", where=self.place) from error

    # ---- jobs ----
    def save(self, job: JobRecord, events: Iterable[Event] = ()) -> None:
        """Writes the job, its participants and new events, all or nothing."""
        with self._begin() as db:
            _upsert(db, _jobs, {"id": job.id}, _job_row(job))
            for rank, participant in enumerate(job.participants.values()):
                key = {"job": job.id, "party": participant.party}
                _upsert(db, _participants, key, {"rank": rank, **_participant_row(participant)})
            rows = [_event_row(job.id, event) for event in events]
            if rows:
                db.execute(_events.insert(), rows)

    def load(self, job_id: str) -> JobRecord | None:
        """One job, or `None`."""
        with self._begin() as db:
            row = db.execute(sa.select(_jobs).where(_jobs.c.id == job_id)).mappings().first()
            return _job(db, row) if row else None

    def jobs(
        self, *, party: str | None = None, states: Iterable[JobState] = (), limit: int | None = None
    ) -> list[JobRecord]:
        """Jobs, the newest first; of one participant and in some states only, if so asked."""
        query = sa.select(_jobs).order_by(_jobs.c.created.desc(), _jobs.c.id)
        if party is not None:
            query = query.where(_jobs.c.id.in_(sa.select(_participants.c.job).where(_participants.c.party == party)))
        wanted = [str(s) for s in states]
        if wanted:
            query = query.where(_jobs.c.state.in_(wanted))
        if limit is not None:
            query = query.limit(limit)
        with self._begin() as db:
            return [_job(db, row) for row in db.execute(query).mappings().all()]

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """The kept events of a job after number `after`, in order."""
        query = sa.select(_events).where(_events.c.job == job_id, _events.c.seq > after).order_by(_events.c.seq)
        with self._begin() as db:
            return [_event(row) for row in db.execute(query).mappings()]

    # ---- catalog ----
    def publish(self, party: str, entries: Iterable[DatasetEntry]) -> None:
        """Replaces everything that the catalog says of `party`."""
        rows = [
            {
                "party": party,
                "name": e.name,
                "schema_toml": e.schema_toml,
                "rows": e.rows,
                "visible_to": json.dumps(e.visible_to),
            }
            for e in entries
        ]
        with self._begin() as db:
            db.execute(_catalog.delete().where(_catalog.c.party == party))
            if rows:
                db.execute(_catalog.insert(), rows)

    def catalog(self) -> list[DatasetEntry]:
        """Every entry, by party and name."""
        query = sa.select(_catalog).order_by(_catalog.c.party, _catalog.c.name)
        with self._begin() as db:
            return [
                DatasetEntry(r["party"], r["name"], r["schema_toml"], r["rows"], tuple(json.loads(r["visible_to"])))
                for r in db.execute(query).mappings()
            ]


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "postgresql" and "+" not in parsed.drivername:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            engine = sa.create_engine(parsed, connect_args={"timeout": 10})
            sa.event.listen(engine, "connect", _pragmas)
            if parsed.database not in (None, "", ":memory:"):
                Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
            return engine
        return sa.create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(
            "not a database URL", where="store", hint="for example sqlite:///coordinator.db or postgresql://host/name"
        ) from error
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "the driver of this database is not installed", where="store", hint="pip install 'ppc[postgres]'"
        ) from error


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # The log is written ahead, so that readers do not wait; a power cut may lose the last events, never the file.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _upsert(db: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    where = [table.c[name] == value for name, value in key.items()]
    if db.execute(table.update().where(*where).values(**values)).rowcount == 0:
        db.execute(table.insert().values(**key, **values))


# ---- rows and records ----
def _signed_text(signed: Signed | None) -> str | None:
    if signed is None:
        return None
    return json.dumps([signed.payload.decode(), signed.signature.hex(), signed.certificate.decode()])


def _signed(text: str | None) -> Signed | None:
    if text is None:
        return None
    payload, signature, certificate = json.loads(text)
    return Signed(payload.encode(), bytes.fromhex(signature), certificate.encode())


def _fault_text(fault: Fault | None) -> str | None:
    return json.dumps(fault.to_dict()) if fault else None


def _fault(text: str | None) -> Fault | None:
    return Fault.from_dict(json.loads(text)) if text else None


def _job_row(job: JobRecord) -> dict[str, Any]:
    return {
        "name": job.name,
        "state": str(job.state),
        "attempt": job.attempt,
        "submitter": job.submitter,
        "job_toml": job.job_toml,
        "job_hash": job.job_hash,
        "plan_hash": job.plan_hash,
        "submission": _signed_text(job.submission),
        "retry": _signed_text(job.retry),
        "datasets": json.dumps([[e.party, e.name, e.schema_toml, e.rows, e.visible_to] for e in job.datasets]),
        "fault": _fault_text(job.fault),
        "events": job.events,
        "created": job.created,
        "updated": job.updated,
    }


def _job(db: sa.Connection, row: sa.RowMapping) -> JobRecord:
    query = sa.select(_participants).where(_participants.c.job == row["id"]).order_by(_participants.c.rank)
    submission = _signed(row["submission"])
    if submission is None:
        raise FileError(f"the store has no submission for job {row['id']}")
    return JobRecord(
        id=row["id"],
        name=row["name"],
        submitter=row["submitter"],
        job_toml=row["job_toml"],
        job_hash=row["job_hash"],
        submission=submission,
        participants={r["party"]: _participant(r) for r in db.execute(query).mappings()},
        datasets=tuple(DatasetEntry(p, n, s, k, tuple(v)) for p, n, s, k, v in json.loads(row["datasets"])),
        state=JobState(row["state"]),
        attempt=row["attempt"],
        plan_hash=row["plan_hash"],
        fault=_fault(row["fault"]),
        created=row["created"],
        updated=row["updated"],
        retry=_signed(row["retry"]),
        events=row["events"],
    )


def _participant_row(p: Participant) -> dict[str, Any]:
    return {
        "role": str(p.role),
        "phase": str(p.phase),
        "plan_hash": p.plan_hash,
        "detail": p.detail,
        "address": p.address,
        "fault": _fault_text(p.fault),
        "approval": _signed_text(p.approval),
        "decision": _signed_text(p.decision),
        "cost": json.dumps(vars(p.cost)) if p.cost else None,
    }


def _participant(row: sa.RowMapping) -> Participant:
    return Participant(
        party=row["party"],
        role=Role(row["role"]),
        phase=Phase(row["phase"]),
        plan_hash=row["plan_hash"],
        detail=row["detail"],
        address=row["address"],
        fault=_fault(row["fault"]),
        approval=_signed(row["approval"]),
        decision=_signed(row["decision"]),
        cost=Cost(**json.loads(row["cost"])) if row["cost"] else None,
    )


def _event_row(job_id: str, event: Event) -> dict[str, Any]:
    return {
        "job": job_id,
        "seq": event.seq,
        "time": event.time,
        "attempt": event.attempt,
        "kind": str(event.kind),
        "party": event.party,
        "step": event.step,
        "text": event.text,
        "state": str(event.state) if event.state else None,
        "phase": str(event.phase) if event.phase else None,
        "fault": _fault_text(event.fault),
    }


def _event(row: sa.RowMapping) -> Event:
    return Event(
        seq=row["seq"],
        time=row["time"],
        kind=EventKind(row["kind"]),
        attempt=row["attempt"],
        party=row["party"],
        step=row["step"],
        text=row["text"],
        state=JobState(row["state"]) if row["state"] else None,
        phase=Phase(row["phase"]) if row["phase"] else None,
        fault=_fault(row["fault"]),
    )

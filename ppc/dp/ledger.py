"""The budget that survives: who spent what on which dataset, in a database, and never more than the owner allowed.

A release reserves its cost, is made, and is then marked as committed, in this order, each step a transaction of its
own. The check and the reservation happen under a lock on the account's row, so two processes can not both spend the
last of it. A reservation counts as spent from the moment it is made: a process that dies in between leaves it spent,
because nobody can know what it had read or shown. Nothing is ever refunded.

SQLite by default, PostgreSQL (or whatever SQLAlchemy speaks that has row locks) by URL.
"""

from __future__ import annotations

import getpass
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from ppc.dp import accountant
from ppc.dp.accountant import Charge, Comparison, Totals
from ppc.dp.budget import ZERO, Budget, shown
from ppc.errors import BudgetExceeded, ConfigError, FileError, MissingExtra, ProtectionError

VERSION: Final = 1
_WAIT_S: Final = 120.0  # for another process's lock
_PERIODS: Final = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0, "year": 365 * 86400.0}

_meta = sa.MetaData()
_accounts = sa.Table(
    "ppc_dp_accounts",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("dataset", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("budget", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("limits", sa.Text, nullable=False),
    sa.Column("epsilon", sa.Text, nullable=False),  # exact decimals, as text
    sa.Column("rho", sa.Text, nullable=False),
    sa.Column("delta", sa.Text, nullable=False),
    sa.Column("gaussian", sa.Text, nullable=False),
    sa.UniqueConstraint("dataset", "owner"),
)
_entries = sa.Table(
    "ppc_dp_entries",
    _meta,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account", sa.Integer, sa.ForeignKey("ppc_dp_accounts.id"), nullable=False, index=True),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("charges", sa.Text, nullable=False),
    sa.Column("spent", sa.Text, nullable=False),  # of the account, after this entry
    sa.Column("state", sa.String(16), nullable=False),
)


@dataclass(frozen=True)
class Limit:
    """No more than this within any stretch of time: `Limit(Budget(epsilon=0.5), "day")`.

    Costs are added up by basic composition here (in ρ for a limit in ρ); δ is left to the budget.

    Args:
        budget: a pure ε, or a ρ.
        period: `"hour"`, `"day"`, `"week"`, `"month"` (30 days), `"year"` (365 days), or seconds.
    """

    budget: Budget
    period: str | float

    def __post_init__(self) -> None:
        if self.budget.kind == "approximate":
            raise ConfigError("a limit is a pure epsilon or a rho", where="limits")
        known = self.period in _PERIODS if isinstance(self.period, str) else 0 < self.period < 1e10
        if not known:
            raise ConfigError("a period is hour, day, week, month, year, or seconds", where="limits")

    @property
    def seconds(self) -> float:
        """The length of the period."""
        return _PERIODS[self.period] if isinstance(self.period, str) else float(self.period)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"budget": self.budget.to_dict(), "period": self.period}


@dataclass(frozen=True)
class Entry:
    """One reservation, as it stands in the ledger.

    Args:
        id: its number.
        time: when it was made, seconds since 1970 (UTC).
        who: the user who asked.
        what: the question in one line.
        query: the question, as JSON.
        charges: what it costs.
        spent: how much of the account was spent after it.
        state: `"reserved"` (made, and never reported as released) or `"committed"`. Both are spent.
    """

    id: int
    time: float
    who: str
    what: str
    query: str
    charges: tuple[Charge, ...]
    spent: Decimal
    state: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "id": self.id, "time": self.time, "who": self.who, "what": self.what, "query": json.loads(self.query),
            "charges": [c.to_dict() for c in self.charges], "spent": str(self.spent), "state": self.state,
        }  # fmt: skip


@dataclass(frozen=True)
class Status:
    """How an account stands.

    Args:
        dataset, owner: whose it is.
        budget: the whole.
        spent: of its ε (at its δ) or ρ, by the tightest rule that holds.
        totals: plain sums.
        entries: how many reservations.
        open: how many of them were never reported as released.
    """

    dataset: str
    owner: str
    budget: Budget
    spent: Decimal
    totals: Totals
    entries: int
    open: int

    @property
    def left(self) -> Decimal:
        """What is not spent, in ε or ρ; 0 or more."""
        limit = self.budget.rho if self.budget.rho is not None else (self.budget.epsilon or ZERO)
        return max(ZERO, limit - self.spent)

    def __str__(self) -> str:
        return f"{self.dataset} of {self.owner}: {self.budget}; spent {shown(self.spent)}, left {shown(self.left)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "dataset": self.dataset, "owner": self.owner, "budget": self.budget.to_dict(), "spent": str(self.spent),
            "left": str(self.left), "entries": self.entries, "open": self.open,
        }  # fmt: skip


def default_path() -> Path:
    """Where the ledger is unless said otherwise: `$PPC_LEDGER`, else `budget.db` in the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "ppc" / "budget.db"


class Ledger:
    """All accounts of one database.

    Args:
        place: a path of a SQLite file, `":memory:"` (gone with this object), or a URL (`postgresql+psycopg://…`);
            without one `$PPC_LEDGER`, else `default_path()`.

    Raises:
        FileError: the database can not be opened, or is of another version. MissingExtra: its driver is not installed.
    """

    def __init__(self, place: str | Path | None = None) -> None:
        place = place if place is not None else os.environ.get("PPC_LEDGER") or default_path()
        self._engine = _engine(place)
        self._threads = threading.RLock()  # ":memory:" is one connection, for one thread at a time
        self.place = self._engine.url.render_as_string(hide_password=True)
        self._create()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"<Ledger {self.place}>"

    def _create(self) -> None:
        for attempt in range(20):  # two processes may both find the tables missing
            try:
                _meta.create_all(self._engine)
                return
            except (IntegrityError, OperationalError, sa.exc.ProgrammingError) as error:
                if attempt == 19 or not _is_race(error):
                    self.close()
                    raise FileError("cannot open the ledger", where=self.place, hint=_first_line(error)) from None
                time.sleep(0.05 * (attempt + 1))
            except SQLAlchemyError as error:
                self.close()
                raise FileError(f"cannot open the ledger ({type(error).__name__})", where=self.place) from None

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self._threads, self._engine.begin() as db:
                yield db
        except SQLAlchemyError as error:
            raise FileError(
                f"the ledger failed ({type(error).__name__})", where=self.place, hint="Nothing was released."
            ) from error

    def account(
        self,
        dataset: str,
        owner: str | None = None,
        budget: Budget | None = None,
        *,
        unit: Mapping[str, Any] | None = None,
        limits: Sequence[Limit] = (),
    ) -> Account:
        """The account of a dataset and its owner; opened if it is new.

        Args:
            dataset: its name.
            owner: whose data; else the user of this process.
            budget: of a new account; of one that exists it has to be the same.
            unit: whose privacy the account counts (`Unit.to_dict()`): costs of rows and of persons do not add up.
            limits: of a new account.

        Raises:
            ConfigError: the account does not exist and no budget is given, or it exists with another budget or unit.
        """
        if not dataset or len(dataset) > 200:
            raise ConfigError("a dataset's name has 1 to 200 characters", where="dataset")
        owner = owner or _user()
        same = (_accounts.c.dataset == dataset) & (_accounts.c.owner == owner)
        with self._begin() as db:
            row = db.execute(sa.select(_accounts).where(same)).mappings().first()
        if row is None and budget is not None:
            new = {
                "dataset": dataset, "owner": owner, "version": VERSION, "created": time.time(),
                "budget": json.dumps(budget.to_dict()), "unit": _unit_key(unit),
                "limits": json.dumps([lim.to_dict() for lim in limits]), "epsilon": "0", "rho": "0", "delta": "0",
                "gaussian": "0",
            }  # fmt: skip
            try:
                with self._threads, self._engine.begin() as db:
                    db.execute(_accounts.insert().values(**new))
            except IntegrityError:
                pass  # another process opened it meanwhile
            with self._begin() as db:
                row = db.execute(sa.select(_accounts).where(same)).mappings().first()
        if row is None:
            raise ConfigError(
                f"there is no account of dataset '{dataset}' and owner '{owner}'",
                where=self.place,
                hint="Give a budget to open one.",
            )
        if row["version"] != VERSION:
            raise FileError(f"the account is of version {row['version']}, expected {VERSION}", where=self.place)
        held = Budget.from_dict(json.loads(row["budget"]))
        if budget is not None and held != budget:
            raise ConfigError(
                f"dataset '{dataset}' has a budget of {held}, not {budget}",
                where=self.place,
                hint="Ask for the budget that it has, or let the owner change it: ppc budget set.",
            )
        if unit is not None and row["unit"] != _unit_key(unit):
            raise ConfigError(
                f"dataset '{dataset}' keeps the privacy of another unit",
                where=self.place,
                hint="One account counts rows, or persons by one column; not both.",
            )
        return Account(self, row["id"], dataset, owner)

    def accounts(self) -> list[Account]:
        """All accounts, in order."""
        with self._begin() as db:
            rows = db.execute(sa.select(_accounts).order_by(_accounts.c.dataset, _accounts.c.owner)).mappings().all()
        return [Account(self, r["id"], r["dataset"], r["owner"]) for r in rows]


class Account:
    """The account of one dataset. Get it from `Ledger.account`."""

    def __init__(self, ledger: Ledger, number: int, dataset: str, owner: str) -> None:
        self._ledger = ledger
        self._id = number
        self.dataset = dataset
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Account of dataset '{self.dataset}', owner '{self.owner}'>"

    def reserve(self, charges: Iterable[Charge], query: Mapping[str, Any], what: str, who: str | None = None) -> int:
        """Spend the cost of a release that is about to be made; returns the reservation's number.

        Args:
            charges: what it costs.
            query: what is asked, as plain values.
            what: the same in one line.
            who: the user who asks; else that of this process.

        Raises:
            BudgetExceeded: it would overspend the budget or a limit. Nothing is reserved.
            ConfigError: the budget has a declared price, and this is another. Nothing is reserved.
        """
        added = tuple(charges)
        if not added:
            raise ConfigError("a release costs something", where="reserve")
        with self._ledger._begin() as db:
            # The lock: FOR UPDATE here, BEGIN IMMEDIATE in SQLite, until this transaction ends.
            row = db.execute(sa.select(_accounts).where(_accounts.c.id == self._id).with_for_update()).mappings().one()
            budget = Budget.from_dict(json.loads(row["budget"]))
            added = accountant.settled(budget, added)
            before = _totals(row)
            after = before.plus(added)
            counted = self._counted(db, added) if not budget.adaptive else None
            if not accountant.fits(budget, after, counted):
                gone = accountant.spent(budget, before, self._counted(db, ()) if not budget.adaptive else None)
                raise _too_much(budget, gone, added, self.dataset)
            now = time.time()
            for limit in json.loads(row["limits"]):
                self._check_limit(db, limit, added, now, budget)
            values = {k: str(getattr(after, k)) for k in ("epsilon", "rho", "delta", "gaussian")}
            db.execute(_accounts.update().where(_accounts.c.id == self._id).values(**values))
            entry = _entries.insert().values(
                account=self._id, time=now, who=who or _user(), what=what, state="reserved",
                query=json.dumps(query, ensure_ascii=False), charges=json.dumps([c.to_dict() for c in added]),
                spent=str(accountant.spent(budget, after, counted)),
            )  # fmt: skip
            (number,) = db.execute(entry.returning(_entries.c.id)).one()
        return int(number)

    def commit(self, reservation: int) -> None:
        """Note that a reserved release was made."""
        with self._ledger._begin() as db:
            mine = (_entries.c.id == reservation) & (_entries.c.account == self._id) & (_entries.c.state == "reserved")
            changed = db.execute(_entries.update().where(mine).values(state="committed")).rowcount
        if changed != 1:
            raise ProtectionError(
                "there is no such open reservation", where=f"account of '{self.dataset}'", hint="Reserve it first."
            )

    def status(self) -> Status:
        """How the account stands."""
        with self._ledger._begin() as db:
            row = db.execute(sa.select(_accounts).where(_accounts.c.id == self._id)).mappings().one()
            states = db.execute(
                sa.select(_entries.c.state, sa.func.count())
                .where(_entries.c.account == self._id)
                .group_by(_entries.c.state)
            ).all()
            budget = Budget.from_dict(json.loads(row["budget"]))
            counted = self._counted(db, ()) if not budget.adaptive else None
        by_state = {str(s): int(n) for s, n in states}
        gone = accountant.spent(budget, _totals(row), counted)
        return Status(
            self.dataset, self.owner, budget, gone, _totals(row), sum(by_state.values()), by_state.get("reserved", 0)
        )

    def history(self, limit: int | None = None) -> list[Entry]:
        """Reservations, the oldest first; with `limit`, the last so many."""
        wanted = sa.select(_entries).where(_entries.c.account == self._id).order_by(_entries.c.id.desc())
        with self._ledger._begin() as db:
            rows = db.execute(wanted if limit is None else wanted.limit(limit)).mappings().all()
        return [
            Entry(
                r["id"], r["time"], r["who"], r["what"], r["query"],
                tuple(Charge.from_dict(c) for c in json.loads(r["charges"])), Decimal(r["spent"]), r["state"],
            )
            for r in reversed(rows)
        ]  # fmt: skip

    def compare(self, delta: float) -> Comparison:
        """Everything spent so far by each rule, as ε at δ. See `accountant.compare`."""
        return accountant.compare([c for e in self.history() for c in e.charges], delta)

    def change(self, budget: Budget | None = None, limits: Sequence[Limit] | None = None) -> None:
        """Give the account another budget or other limits: the owner's decision. What is spent stays spent.

        Raises:
            ConfigError: the new budget declares a price for each release, and releases were made at others.
        """
        values = {}
        if budget is not None and budget.each is not None:
            for entry in self.history():
                if accountant.settled(budget, entry.charges) != entry.charges:
                    raise ConfigError(
                        "releases were made at other prices than the one that the new budget declares",
                        where=f"account of '{self.dataset}'",
                        hint="A declared price holds from the first release on.",
                    )
        if budget is not None:
            values["budget"] = json.dumps(budget.to_dict())
        if limits is not None:
            values["limits"] = json.dumps([lim.to_dict() for lim in limits])
        if values:
            with self._ledger._begin() as db:
                db.execute(sa.select(_accounts.c.id).where(_accounts.c.id == self._id).with_for_update()).one()
                db.execute(_accounts.update().where(_accounts.c.id == self._id).values(**values))

    # --- inside a transaction ---
    def _counted(self, db: sa.Connection, added: Sequence[Charge]) -> dict[Charge, int]:
        """How often each charge was made, those of `added` included."""
        same = sa.select(_entries.c.charges, sa.func.count()).where(_entries.c.account == self._id)
        out: dict[Charge, int] = {}
        for text, times in db.execute(same.group_by(_entries.c.charges)).all():
            for c in (Charge.from_dict(p) for p in json.loads(text)):
                out[c] = out.get(c, 0) + int(times)
        for c in added:
            out[c] = out.get(c, 0) + 1
        return out

    def _check_limit(
        self, db: sa.Connection, limit: Mapping[str, Any], added: Sequence[Charge], now: float, budget: Budget
    ) -> None:
        bound = Limit(Budget.from_dict(limit["budget"]), limit["period"])
        recent = (_entries.c.account == self._id) & (_entries.c.time > now - bound.seconds)
        texts = db.execute(sa.select(_entries.c.charges).where(recent)).scalars().all()
        total = Totals().plus(Charge.from_dict(c) for text in texts for c in json.loads(text)).plus(added)
        if not _within(bound.budget, total, budget):
            period = bound.period if isinstance(bound.period, str) else f"{bound.period:g} seconds"
            raise BudgetExceeded(
                f"the limit of {bound.budget} per {period} is reached",
                where=f"dataset '{self.dataset}'",
                hint="Wait, or let the owner change the limit: ppc budget set.",
            )


def _too_much(budget: Budget, gone: Decimal, added: Sequence[Charge], dataset: str) -> BudgetExceeded:
    cost = Totals().plus(added)
    where = f"dataset '{dataset}'"
    hint = "Ask at a lower price, or let the owner raise the budget: ppc budget set."
    if budget.kind == "pure" and cost.gaussian:
        return BudgetExceeded(
            "a budget in pure epsilon has no room for Gaussian noise", where=where, hint="Give epsilon=…"
        )
    if cost.delta and not budget.delta:
        return BudgetExceeded(
            "the budget has no delta", where=where, hint="Groups must be known, or the budget needs delta."
        )
    asked = f"ρ = {shown(cost.rho)}" if budget.rho is not None or cost.gaussian else f"ε = {shown(cost.epsilon)}"
    return BudgetExceeded(
        f"{asked} more would exceed the budget of {budget}; {shown(gone)} is spent", where=where, hint=hint
    )


def _within(limit: Budget, total: Totals, budget: Budget) -> bool:
    """Whether costs are within a limit; δ is the budget's business, and Gaussian noise counts at the budget's δ."""
    if limit.rho is not None:
        return total.rho <= limit.rho
    gaussian = ZERO
    if total.gaussian:
        if not budget.delta:
            return False
        gaussian = Decimal(accountant.zcdp_epsilon(float(total.gaussian), float(budget.delta)))
    return total.epsilon + gaussian <= (limit.epsilon or ZERO)


def _totals(row: Mapping[Any, Any]) -> Totals:
    return Totals(*(Decimal(row[k]) for k in ("epsilon", "rho", "delta", "gaussian")))


def _unit_key(unit: Mapping[str, Any] | None) -> str:
    """What has to be the same for costs to add up: rows, or persons by which column."""
    return json.dumps({"by": (unit or {}).get("by")})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


# --- the database ---
def _engine(place: str | Path) -> sa.Engine:
    text = str(place)
    if "://" not in text:
        if text != ":memory:":
            Path(text).absolute().parent.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{text}"
    else:
        url = text
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() != "sqlite":
            arguments = {"client_encoding": "utf8"} if parsed.drivername == "postgresql+psycopg" else {}
            level: Any = "READ COMMITTED"
            return sa.create_engine(
                parsed, pool_pre_ping=True, pool_size=1, isolation_level=level, connect_args=arguments
            )
        memory = parsed.database in (None, "", ":memory:")
        pool = StaticPool if memory else NullPool
        waiting = {"timeout": _WAIT_S, "check_same_thread": False}
        engine = sa.create_engine(parsed, poolclass=pool, connect_args=waiting)
    except ArgumentError:
        raise ConfigError("the ledger's URL is malformed", where="ledger", hint="A path, or postgresql://…") from None
    except (NoSuchModuleError, ModuleNotFoundError, ImportError):
        raise MissingExtra("the database's driver is not installed", hint="pip install 'ppc[postgres]'") from None

    @sa.event.listens_for(engine, "connect")
    def _plain(connection: Any, record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def _immediate(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the write lock at once: nobody reads what we will change

    return engine


def _is_race(error: SQLAlchemyError) -> bool:
    text = str(error).lower()
    return "already exists" in text or "unique" in text or "locked" in text


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", error)).strip().split("\n")[0]

"""What every secret array is, before any arithmetic: its public face, how it is revealed, and what it refuses."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np

from ppc.errors import ConfigError, SecretMisuse, TypeMismatchError, did_you_mean
from ppc.mpc import ops
from ppc.mpc.session import Session
from ppc.mpc.shares import AShare, BShare


class SecretArray:
    """Numbers (an `AShare`) or booleans (a `BShare`) of one session; never plain by accident."""

    __slots__ = ("_secret", "_session")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, session: Session, secret: AShare | BShare) -> None:
        self._session = session
        self._secret = secret

    # --- what is public ---
    @property
    def session(self) -> Session:
        """The session it belongs to."""
        return self._session

    @property
    def share(self) -> AShare | BShare:
        """The share inside, for `ppc.mpc.ops`."""
        return self._secret

    @property
    def is_boolean(self) -> bool:
        """Whether it holds booleans."""
        return isinstance(self._secret, BShare)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, which is public."""
        return self._secret.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._secret.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._secret.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `reveal` gives: bool, int64 for counts and indices, else float64."""
        if isinstance(self._secret, BShare):
            return np.dtype(bool)
        return np.dtype(np.float64 if self._secret.frac_bits else np.int64)

    def __len__(self) -> int:
        return len(self._secret)

    def __repr__(self) -> str:
        return f"<SecureArray {'booleans' if self.is_boolean else 'numbers'} shape={self.shape}>"

    def reveal(self, to: int | str | None = None) -> Any:
        """The plain array, told to every party, or to party `to` alone (the others get `None`).

        float64, bool for booleans, int64 for counts and indices. Cost: 1 round, 8 bytes an element, a bit for booleans.
        """
        s = self._session
        rank = None if to is None else rank_of(s, to)
        if isinstance(self._secret, BShare):
            if rank is None:
                return ops.open_bits(s, self._secret)
            plain = ops.reveal(s, ops.b2a(s, self._secret), rank)
            return None if plain is None else np.asarray(plain).astype(bool)
        plain = ops.open(s, self._secret) if rank is None else ops.reveal(s, self._secret, rank)
        if plain is None or self._secret.frac_bits:
            return plain
        return np.asarray(np.rint(plain)).astype(np.int64)

    # --- never plain by accident ---
    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise SecretMisuse(f"{what} of a SecureArray", hint=instead)

    def __bool__(self) -> NoReturn:  # noqa: PLE0304
        self._refuse("the truth value", "use where(condition, x, y), or condition.reveal() if everyone may see it")

    def __float__(self) -> NoReturn:
        self._refuse("float()", "use x.reveal()")

    def __int__(self) -> NoReturn:
        self._refuse("int()", "use x.reveal()")

    def __index__(self) -> NoReturn:  # noqa: PLE0305
        self._refuse("an index", "use ppc.mpc.secure_functions.lookup(table, index)")

    def __contains__(self, item: object) -> NoReturn:
        self._refuse("membership", "use (x == value).any().reveal() if everyone may see it")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._refuse("conversion to a NumPy array", "use x.reveal()")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self._refuse("pickling", "a share never leaves its party")

    def item(self) -> NoReturn:
        """Refused: use `reveal`."""
        self._refuse("item()", "use x.reveal()")

    def tolist(self) -> NoReturn:
        """Refused: use `reveal`."""
        self._refuse("tolist()", "use x.reveal().tolist()")

    # --- operands ---
    def wrap(self, secret: AShare | BShare) -> Self:
        """Another array of the same session."""
        return type(self)(self._session, secret)

    def as_number(self) -> AShare:
        """Itself as numbers."""
        return ops.b2a(self._session, self._secret) if isinstance(self._secret, BShare) else self._secret

    def as_boolean(self) -> BShare:
        """Itself as booleans, which it must be."""
        if not isinstance(self._secret, BShare):
            raise TypeMismatchError("booleans are needed: compare first", hint="x != 0 gives booleans")
        return self._secret


def rank_of(s: Session, who: int | str) -> int:
    """The rank of a party that is given by name or by rank."""
    if isinstance(who, str):
        if who not in s.parties:
            raise ConfigError(f"'{who}' is no party of this session", hint=did_you_mean(who, s.parties))
        return s.parties.index(who)
    if not 0 <= who < len(s.parties):
        raise ConfigError(f"rank {who} of a session of {len(s.parties)} parties")
    return who

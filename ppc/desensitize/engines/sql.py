"""The SQL functions, one list for DuckDB and Spark. Each is a transformation with its parameters by position.

    ppc_mask(text, first, last)         ppc_mask_email(text)     ppc_mask_phone(text)     ppc_mask_card(text)
    ppc_mask_name(text)                 ppc_mask_id(text)        ppc_mask_address(text)   ppc_redact(text)
    ppc_token(text, scope)              ppc_hash(text, scope)
    ppc_encrypt(text, scope)            ppc_decrypt(text, scope)
    ppc_fpe(text)                       ppc_fpe_decrypt(text)         (scope 'default')
    ppc_fpe_scoped(text, scope)         ppc_fpe_decrypt_scoped(text, scope)
    ppc_fake_name(text, scope)          ppc_fake_phone(text, scope)   ppc_fake_resident_id(text, scope)
    ppc_fake_card(text, scope)          ppc_fake_email(text, scope)   ppc_fake_address(text, scope)
    ppc_fake_company(text, scope)       ppc_mask_plate(text)
    ppc_bucket(number, width)           ppc_round(number, to)         ppc_truncate_date(date, unit)

A rule of a policy that leaves out `scope` has the column's name for it; to join with such tokens, name that here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from ppc.desensitize.arrays import flat
from ppc.desensitize.keys import Keys
from ppc.desensitize.transform import get
from ppc.errors import ConfigError

Kind = Literal["text", "integer", "number", "date"]
_ARROW: Final = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}


@dataclass(frozen=True)
class Function:
    """An SQL function: the transformation, what it takes, the names and types of the further parameters."""

    name: str
    transform: str
    takes: Kind = "text"
    gives: Kind = "text"
    parameters: tuple[tuple[str, Kind], ...] = ()
    keyed: bool = False

    @property
    def types(self) -> list[Kind]:
        """The types of all parameters."""
        return [self.takes, *(k for _, k in self.parameters)]

    def run(self, array: Any, values: Sequence[Any], keys: Keys) -> Any:
        """Apply to an Arrow array; `values` are the further parameters."""
        transform = get(self.transform)
        given = {
            name: (float(v) if kind == "number" else v)
            for (name, kind), v in zip(self.parameters, values, strict=False)
            if v is not None
        }
        params = transform.parse(given)
        key = keys["default"] if transform.wants_key(params) else None
        plain = array if array.type == _ARROW[self.takes] else array.cast(_ARROW[self.takes])
        return flat(transform.run(plain, params, key, {})).cast(_ARROW[self.gives])


_SCOPE: Final[tuple[tuple[str, Kind], ...]] = (("scope", "text"),)

FUNCTIONS: Final[tuple[Function, ...]] = (
    Function("ppc_mask", "mask", parameters=(("first", "integer"), ("last", "integer"))),
    Function("ppc_mask_email", "mask_email"),
    Function("ppc_mask_phone", "mask_phone"),
    Function("ppc_mask_card", "mask_card"),
    Function("ppc_mask_name", "mask_name"),
    Function("ppc_mask_id", "mask_id"),
    Function("ppc_mask_plate", "mask_plate"),
    Function("ppc_mask_address", "mask_address"),
    Function("ppc_redact", "redact"),
    Function("ppc_token", "token", parameters=_SCOPE, keyed=True),
    Function("ppc_hash", "hash", parameters=_SCOPE, keyed=True),
    Function("ppc_encrypt", "encrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_decrypt", "decrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe", "fpe_encrypt", keyed=True),
    Function("ppc_fpe_decrypt", "fpe_decrypt", keyed=True),
    Function("ppc_fpe_scoped", "fpe_encrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe_decrypt_scoped", "fpe_decrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_name", "fake_name", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_phone", "fake_phone", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_resident_id", "fake_resident_id", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_card", "fake_card", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_email", "fake_email", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_address", "fake_address", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_company", "fake_company", parameters=_SCOPE, keyed=True),
    Function("ppc_bucket", "bucket", takes="number", parameters=(("width", "number"),)),
    Function("ppc_round", "round", takes="number", gives="number", parameters=(("to", "number"),)),
    Function("ppc_truncate_date", "truncate_date", takes="date", gives="date", parameters=(("to", "text"),)),
)


def with_arity(evaluate: Callable[[tuple[Any, ...]], Any], count: int) -> Callable[..., Any]:
    """`evaluate` as a function of exactly `count` positional parameters: engines read the number from the signature."""

    def one(a: Any) -> Any:
        return evaluate((a,))

    def two(a: Any, b: Any) -> Any:
        return evaluate((a, b))

    def three(a: Any, b: Any, c: Any) -> Any:
        return evaluate((a, b, c))

    return (one, two, three)[count - 1]


def constants(function: Function, columns: Sequence[Any]) -> list[Any]:
    """The one value of each further parameter's column; ConfigError if a parameter differs between rows."""
    out = []
    for position, column in enumerate(columns):
        distinct = column.unique()
        if len(distinct) > 1:
            raise ConfigError(f"parameter {position + 2} of {function.name} is not a constant")
        out.append(distinct[0].as_py() if len(distinct) else None)
    return out

"""The SQL functions, one list for DuckDB and Spark. Each is a transformation with its parameters by position.

    ppc_mask(text, first, last)         ppc_mask_ends(text, first, last)   ppc_mask_range(text, start, stop)
    ppc_mask_before(text, mark)         ppc_mask_after(text, mark)         ppc_mask_pattern(text, pattern)
    ppc_mask_email(text)                ppc_mask_phone(text)               ppc_mask_card(text)
    ppc_mask_name(text)                 ppc_mask_id(text)                  ppc_mask_address(text)
    ppc_mask_plate(text)                ppc_redact(text)                   ppc_free_text(text)
    ppc_token(text, scope)              ppc_hash(text, scope)
    ppc_encrypt(text, scope)            ppc_decrypt(text, scope)
    ppc_fpe(text)                       ppc_fpe_decrypt(text)                     (scope 'default')
    ppc_fpe_scoped(text, scope)         ppc_fpe_decrypt_scoped(text, scope)
    ppc_fpe_tweaked(text, tweak)        ppc_fpe_decrypt_tweaked(text, tweak)      (`tweak` is a column)
    ppc_fpe_sm4(text, scope)            ppc_fpe_sm4_decrypt(text, scope)          ppc_ff3_1_decrypt(text, tweak_hex)
    ppc_fake_name(text, scope)          ppc_fake_phone(text, scope)               ppc_fake_resident_id(text, scope)
    ppc_fake_card(text, scope)          ppc_fake_email(text, scope)               ppc_fake_address(text, scope)
    ppc_fake_company(text, scope)       ppc_fake_credit_code(text, scope)
    ppc_bucket(number, width)           ppc_round(number, to)                     ppc_top_bottom_code(number, low, high)
    ppc_noise(number, entity, scale)    ppc_generalize(text, file, level)         (`entity` is a column)
    ppc_truncate_date(date, unit)       ppc_date_shift(date, entity, days)        ppc_age(date, on)

A rule of a policy that leaves out `scope` has the column's name for it; to join with such tokens, name that here.
`keep`, `nullify` and `replace` are SQL's own. Whole-column transformations (`shuffle`, `rank_swap`, `microaggregate`)
need a policy: an SQL function sees some rows at a time.
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
    """An SQL function: the transformation, what it takes, the names and types of the further parameters.

    column: the parameter that the second argument, a column of text, stands for. fixed: parameters that are always so.
    """

    name: str
    transform: str
    takes: Kind = "text"
    gives: Kind = "text"
    parameters: tuple[tuple[str, Kind], ...] = ()
    keyed: bool = False
    column: str | None = None
    fixed: tuple[tuple[str, Any], ...] = ()

    @property
    def types(self) -> list[Kind]:
        """The types of all arguments."""
        beside: list[Kind] = ["text"] if self.column else []
        return [self.takes, *beside, *(k for _, k in self.parameters)]

    def run(self, arguments: Sequence[Any], keys: Keys) -> Any:
        """Apply to the arguments, an Arrow array each."""
        transform = get(self.transform)
        array, columns = arguments[0], 2 if self.column else 1
        if not len(array):
            return pa.array([], _ARROW[self.gives])
        given = dict(self.fixed)
        for (name, kind), v in zip(self.parameters, _constants(self.name, arguments, columns), strict=True):
            if v is not None:
                given[name] = float(v) if kind == "number" else v
        params = transform.parse(given)
        key = keys["default"] if transform.wants_key(params) else None
        plain = array if array.type == _ARROW[self.takes] else array.cast(_ARROW[self.takes])
        context = {self.column: [arguments[1]]} if self.column else {}
        return flat(transform.run(plain, params, key, context)).cast(_ARROW[self.gives])


_SCOPE: Final[tuple[tuple[str, Kind], ...]] = (("scope", "text"),)

FUNCTIONS: Final[tuple[Function, ...]] = (
    Function("ppc_mask", "mask", parameters=(("first", "integer"), ("last", "integer"))),
    Function("ppc_mask_ends", "mask_ends", parameters=(("first", "integer"), ("last", "integer"))),
    Function("ppc_mask_range", "mask_range", parameters=(("start", "integer"), ("stop", "integer"))),
    Function("ppc_mask_before", "mask_before", parameters=(("mark", "text"),)),
    Function("ppc_mask_after", "mask_after", parameters=(("mark", "text"),)),
    Function("ppc_mask_pattern", "mask_pattern", parameters=(("pattern", "text"),)),
    Function("ppc_mask_email", "mask_email"),
    Function("ppc_mask_phone", "mask_phone"),
    Function("ppc_mask_card", "mask_card"),
    Function("ppc_mask_name", "mask_name"),
    Function("ppc_mask_id", "mask_id"),
    Function("ppc_mask_plate", "mask_plate"),
    Function("ppc_mask_address", "mask_address"),
    Function("ppc_redact", "redact"),
    Function("ppc_free_text", "free_text"),
    Function("ppc_token", "token", parameters=_SCOPE, keyed=True),
    Function("ppc_hash", "hash", parameters=_SCOPE, keyed=True),
    Function("ppc_encrypt", "encrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_decrypt", "decrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe", "fpe_encrypt", keyed=True),
    Function("ppc_fpe_decrypt", "fpe_decrypt", keyed=True),
    Function("ppc_fpe_scoped", "fpe_encrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe_decrypt_scoped", "fpe_decrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe_tweaked", "fpe_encrypt", column="tweak", keyed=True),
    Function("ppc_fpe_decrypt_tweaked", "fpe_decrypt", column="tweak", keyed=True),
    Function("ppc_fpe_sm4", "fpe_sm4_encrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_fpe_sm4_decrypt", "fpe_sm4_decrypt", parameters=_SCOPE, keyed=True),
    Function("ppc_ff3_1_decrypt", "ff3_1_decrypt", parameters=(("tweak_hex", "text"),), keyed=True),
    Function("ppc_fake_name", "fake_name", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_phone", "fake_phone", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_resident_id", "fake_resident_id", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_card", "fake_card", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_email", "fake_email", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_address", "fake_address", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_company", "fake_company", parameters=_SCOPE, keyed=True),
    Function("ppc_fake_credit_code", "fake_credit_code", parameters=_SCOPE, keyed=True),
    Function("ppc_bucket", "bucket", takes="number", parameters=(("width", "number"),)),
    Function("ppc_round", "round", takes="number", gives="number", parameters=(("to", "number"),)),
    Function("ppc_top_bottom_code", "top_bottom_code", "number", "number", (("low", "number"), ("high", "number"))),
    Function("ppc_noise", "noise", "number", "number", (("scale", "number"),), True, "entity", (("keyed", True),)),
    Function("ppc_generalize", "generalize", parameters=(("hierarchy", "text"), ("level", "integer"))),
    Function("ppc_truncate_date", "truncate_date", "date", "date", (("to", "text"),)),
    Function("ppc_date_shift", "date_shift", "date", "date", (("days", "integer"),), True, "entity"),
    Function("ppc_age", "age_from_birthdate", "date", "integer", (("on", "date"),)),
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


def _constants(name: str, arguments: Sequence[Any], first: int) -> list[Any]:
    """The one value of each argument from `first` on; ConfigError if one differs between rows."""
    out = []
    for position, column in enumerate(arguments[first:], first + 1):
        distinct = column.unique()
        if len(distinct) > 1:
            raise ConfigError(f"parameter {position} of {name} is not a constant")
        out.append(distinct[0].as_py() if len(distinct) else None)
    return out

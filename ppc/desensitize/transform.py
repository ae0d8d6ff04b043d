"""What a transformation is: a stateless function on Arrow arrays with typed parameters and declared properties.

    @transform("mask", takes={"string"}, gives=STRING, keeps_format=True)
    def mask(array, *, first: int = 0, last: int = 0, char: Char = "*"): ...

The decorator reads the keyword parameters into a pydantic model, so that a policy file and a direct call are checked by
the same rules, and registers the transformation under its name. Calling it directly takes an Arrow Array or
ChunkedArray and gives one back: `mask(array, first=3, last=4)`. Nulls stay null.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, ParamSpec

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from ppc.desensitize.arrays import SLICE_ROWS, flat, slices, type_class
from ppc.desensitize.keys import Key, KeyRef
from ppc.errors import ColumnError, ConfigError, PpcError, TypeMismatchError, ValueRangeError, did_you_mean

P = ParamSpec("P")

Gives = Callable[[Any, BaseModel], Any]
REGISTRY: Final[dict[str, Transform[Any]]] = {}

# Integers are taken by their decimal digits: a CSV reader makes integers of phone numbers.
TEXT: Final = frozenset({"string", "integer"})
INTEGERS: Final = frozenset({"integer"})
NUMBERS: Final = frozenset({"integer", "float", "decimal"})
DATES: Final = frozenset({"date", "timestamp"})
EXACT: Final = frozenset({"string", "binary", "integer", "decimal", "bool", "date", "time", "timestamp", "float"})
ANY: Final = frozenset({"*"})


def STRING(kind: Any, params: BaseModel) -> Any:
    """Gives text, whatever came."""
    return pa.string()


def SAME(kind: Any, params: BaseModel) -> Any:
    """Gives the type that came (text always as `string`)."""
    group = type_class(kind)
    if group == "string":
        return pa.string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _one_character(value: str) -> str:
    if len(value) != 1:
        raise ValueError("should be one character")
    return value


Char = Annotated[str, AfterValidator(_one_character)]
Count = Annotated[int, Field(ge=0, le=1 << 20)]
Scope = Annotated[str, Field(min_length=1, max_length=200)]
Invalid = Literal["error", "null"]


@dataclass(frozen=True)
class Transform(Generic[P]):
    """A registered transformation.

    name: what a policy's `use` says. function: the kernel, on one contiguous array. model: its parameters.
    takes: the type classes it accepts ('*' is any). gives: the output type for an input type and parameters.
    keyed: 'no', 'yes' or 'optional'. columns: parameters that name other columns (in a direct call: arrays), of which
    the `required` ones must be given.
    whole: needs the whole column at once, not a batch. reverse: the transformation that undoes it.
    deterministic: equal input, key and scope give equal output. joins: equal inputs, and only those, stay equal.
    """

    name: str
    function: Callable[P, Any]
    model: type[BaseModel]
    takes: frozenset[str]
    gives: Gives
    family: str
    keyed: Literal["no", "yes", "optional"] = "no"
    columns: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    whole: bool = False
    reverse: str | None = None
    deterministic: bool = True
    joins: bool = False
    keeps_format: bool = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        array, given = args[0], dict(kwargs)
        key = given.pop("key", None)
        if isinstance(key, KeyRef):
            key = key.load()
        context = {name: given.pop(name) for name in self.columns if given.get(name) is not None}
        for name in self.columns:
            given.pop(name, None)
        return self.run(array, self.parse(given), key, _as_lists(context))  # type: ignore[arg-type]

    def parse(self, given: Mapping[str, Any]) -> BaseModel:
        """The parameters, checked; raises ConfigError that names the parameter and suggests the near one."""
        try:
            return self.model(**given)
        except ValidationError as e:
            name, what, hint = explain(e, self.model.model_fields)
            raise ConfigError(f"parameter '{name}' of {self.name}: {what}", hint=hint) from None

    def check_columns(self, context: Mapping[str, Any]) -> None:
        """Raise ConfigError if a column that the transformation depends on is not given."""
        for name in self.required:
            if not context.get(name):
                raise ConfigError(f"{self.name} needs '{name}', the column(s) it depends on")

    def check_type(self, kind: Any) -> None:
        """Raise TypeMismatchError unless a column of this Arrow type is accepted."""
        group = type_class(kind)
        if "*" in self.takes or group in self.takes or group == "null":
            return
        hint = "Cast the column to text or to integers first." if group == "float" and self.takes == TEXT else None
        raise TypeMismatchError(f"{self.name} takes {_words(self.takes)}, not {kind}", hint=hint)

    def check_key(self, params: BaseModel, key: Key | None) -> None:
        """Raise ConfigError if the transformation needs a key and has none."""
        if key is None and self.wants_key(params):
            raise ConfigError(f"{self.name} needs a key", hint="Give key=Key.from_file(path), or --key FILE.")
        if key is not None and not isinstance(key, Key):
            raise ConfigError(
                f"the key of {self.name} is a {type(key).__name__}",
                hint="Give a Key or a KeyRef, never the secret itself.",
            )

    def wants_key(self, params: BaseModel) -> bool:
        """Whether these parameters need a key."""
        if self.keyed == "optional":
            return bool(getattr(params, "keyed", False))
        return self.keyed == "yes"

    def run(self, array: Any, params: BaseModel, key: Key | None, context: Mapping[str, list[Any]]) -> Any:
        """Apply to an Array or ChunkedArray; the result is of the same kind and length, of the declared type."""
        if not isinstance(array, pa.Array | pa.ChunkedArray):
            raise TypeMismatchError(f"{self.name} takes an Arrow array, not {type(array).__name__}")
        self.check_type(array.type)
        self.check_key(params, key)
        self.check_columns(context)
        kind = self.gives(array.type, params)
        settings: dict[str, Any] = {name: getattr(params, name) for name in type(params).model_fields}
        if self.keyed != "no":
            settings["key"] = key
        if pa.types.is_null(array.type):
            done = [pa.nulls(len(array), kind)]
        elif self.whole:
            done = [self._one(flat(array), settings, {n: [flat(a) for a in c] for n, c in context.items()})]
        elif any(context.values()):
            done = [self._one(a, settings, c) for a, c in _aligned(array, context)]
        else:
            done = [self._one(a, settings, {}) for a in slices(array)]
        done = [a if a.type == kind else a.cast(kind) for a in done]
        if isinstance(array, pa.ChunkedArray):
            return pa.chunked_array(done, kind)
        if len(done) == 1:
            return done[0]
        return pa.concat_arrays(done) if done else pa.array([], kind)

    def _one(self, array: Any, settings: dict[str, Any], context: Mapping[str, list[Any]]) -> Any:
        function: Callable[..., Any] = self.function
        if self.takes == TEXT and pa.types.is_integer(array.type):
            array = array.cast(pa.string())
        try:
            return function(array, **settings, **{n: c for n, c in context.items() if c})
        except (pa.ArrowException, UnicodeError, OverflowError):
            # Arrow's messages quote values, so this one says nothing but where.
            raise ValueRangeError(f"a value is not one that {self.name} can transform") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)

    def __repr__(self) -> str:
        return f"<transform {self.name}>"


def _as_lists(context: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {n: list(c) if isinstance(c, list | tuple) else [c] for n, c in context.items()}


def _aligned(array: Any, context: Mapping[str, list[Any]]) -> Iterable[tuple[Any, dict[str, list[Any]]]]:
    """Slices of the column with the same slices of the columns it depends on."""
    names = [(name, k) for name, arrays in context.items() for k in range(len(arrays))]
    columns = [array] + [context[name][k] for name, k in names]
    sizes = {len(c) for c in columns}
    if len(sizes) != 1:
        raise ColumnError("the columns that a transformation reads have different lengths")
    table = pa.table(columns, names=[str(i) for i in range(len(columns))])
    for batch in table.to_batches(max_chunksize=SLICE_ROWS):
        parts: dict[str, list[Any]] = {}
        for i, (name, _) in enumerate(names):
            parts.setdefault(name, []).append(flat(batch.column(i + 1)))
        yield flat(batch.column(0)), parts


def transform(
    name: str,
    *,
    takes: frozenset[str],
    gives: Gives,
    family: str,
    keyed: Literal["no", "yes", "optional"] = "no",
    columns: tuple[str, ...] = (),
    whole: bool = False,
    reverse: str | None = None,
    deterministic: bool = True,
    joins: bool = False,
    keeps_format: bool = False,
) -> Callable[[Callable[P, Any]], Transform[P]]:
    """Register a kernel. Its keyword parameters, less `key` and `columns`, become the parameters of the policy."""

    def register(function: Callable[P, Any]) -> Transform[P]:
        hints = typing.get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {}
        required = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.name in columns and parameter.default is inspect.Parameter.empty:
                required.append(parameter.name)
            if parameter.name == "key" or parameter.name in columns:
                continue
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
        model = create_model(
            f"{name}_parameters",
            __config__=ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True),
            **fields,
        )
        made = Transform(
            name=name,
            function=function,
            model=model,
            takes=takes,
            gives=gives,
            family=family,
            keyed=keyed,
            columns=columns,
            required=tuple(required),
            whole=whole,
            reverse=reverse,
            deterministic=deterministic,
            joins=joins,
            keeps_format=keeps_format,
        )
        made.__dict__["__doc__"] = function.__doc__
        REGISTRY[name] = made
        return made

    return register


def get(name: str) -> Transform[Any]:
    """The transformation of that name; raises ConfigError with the near one."""
    from ppc.desensitize import transforms  # noqa: F401  (fills the registry)

    try:
        return REGISTRY[name]
    except KeyError:
        raise ConfigError(f"no transformation named '{name}'", hint=did_you_mean(name, REGISTRY)) from None


def names() -> list[str]:
    """The names of all transformations."""
    from ppc.desensitize import transforms  # noqa: F401

    return sorted(REGISTRY)


def explain(error: ValidationError, known: Iterable[str]) -> tuple[str, str, str | None]:
    """The first fault of a pydantic error as (key, what is wrong, hint); never the value that was given."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(p) for p in first["loc"] if not str(p).startswith("function-"))
    kind = first["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), list(known), n=1)
        listed = ", ".join(known)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {listed}" if listed else "It takes no parameters."
        return where, "no such parameter", hint
    if kind == "missing":
        return where, "is required", None
    message = first["msg"].removeprefix("Value error, ")
    return where, message[:1].lower() + message[1:], None


def _words(takes: frozenset[str]) -> str:
    names = sorted(takes)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def at_column(error: PpcError, column: str) -> PpcError:
    """The same error, saying which column it concerns."""
    if error.where is None:
        error.where = f"column '{column}'"
    return error

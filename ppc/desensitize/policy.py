"""A desensitization policy: a TOML file of rules that says what becomes of every column.

    version = 1
    default = "deny"                  # what no rule matches: deny (an error), keep, nullify, redact or drop

    [[rule]]
    column = "phone"                  # a name, a list of names, or a pattern such as "addr_*"
    use = "mask"                      # a transformation, or drop
    first = 3                         # its parameters
    last = 4

    [[rule]]
    category = "finance.*"            # also: role = "identifier", grade = ">=4"; several must all hold
    use = "token"
    key = "cards"                     # the name of a key given to apply(); "default" if left out

    [[rule]]
    column = "salary"
    when = "country = 'DE'"           # an SQL condition on the row; the first rule that holds is used
    use = "bucket"
    width = 10000

For each column the first rule that matches decides; rules with `when` decide for the rows where it is true, and the
next ones for the other rows. A rule that names a column which the data lack is an error, with the near name.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ppc.dataset.schema import Field as ColumnField
from ppc.dataset.schema import Grade, Role, Schema
from ppc.errors import ConfigError, FileError, PolicyFileError, PpcError

Default = Literal["deny", "keep", "nullify", "redact", "drop"]
_MATCHERS: Final = ("column", "category", "role", "grade")
_KEYS: Final = (*_MATCHERS, "name", "when", "use", "key", "grade_after")
_GRADE: Final = re.compile(r"(>=|<=|>|<|=|==)?\s*([1-5]|[a-z]+)")
_MAX_FILE: Final = 4 << 20


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _grade_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Words = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_as_list), Field(min_length=1)]


class Rule(BaseModel):
    """One rule: which columns, on which rows, and the transformation with its parameters (all further keys)."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    column: Words | None = None
    category: Words | None = None
    role: Words | None = None
    grade: Annotated[str, BeforeValidator(_grade_text)] | None = None
    name: str | None = None
    when: Annotated[str, Field(min_length=1)] | None = None
    use: str
    key: str = "default"
    grade_after: Annotated[int, Field(ge=1, le=5)] | None = None

    @field_validator("role")
    @classmethod
    def _roles(cls, value: list[str] | None) -> list[str] | None:
        known = [r.value for r in Role]
        for role in value or ():
            if role not in known:
                near = difflib.get_close_matches(role, known, 1)
                raise ValueError(f"no role '{role}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
        return value

    @field_validator("grade")
    @classmethod
    def _grades(cls, value: str | None) -> str | None:
        if value is not None:
            found = _GRADE.fullmatch(value.strip().lower())
            if found is None or (found[2].isalpha() and found[2].upper() not in Grade.__members__):
                raise ValueError("should be 1 to 5, a name such as 'sensitive', or a comparison such as '>=4'")
        return value

    @model_validator(mode="after")
    def _matches_something(self) -> Rule:
        if all(getattr(self, m) is None for m in _MATCHERS):
            raise ValueError(f"has none of {', '.join(_MATCHERS)}, so it matches nothing")
        return self

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys that are the transformation's own."""
        return dict(self.model_extra or {})

    def matches(self, field: ColumnField) -> bool:
        """Whether the rule is about this column (`when` aside)."""
        if self.column is not None and not any(fnmatchcase(field.name, p) for p in self.column):
            return False
        if self.category is not None and not any(fnmatchcase(field.category or "", p) for p in self.category):
            return False
        if self.role is not None and (field.role is None or field.role.value not in self.role):
            return False
        return self.grade is None or _compare(field.grade, self.grade)


def _compare(grade: Grade | None, text: str) -> bool:
    found = _GRADE.fullmatch(text.strip().lower())
    if grade is None or found is None:
        return False
    wanted = int(found[2]) if found[2].isdigit() else int(Grade[found[2].upper()])
    match found[1]:
        case ">=":
            return grade >= wanted
        case "<=":
            return grade <= wanted
        case ">":
            return grade > wanted
        case "<":
            return grade < wanted
    return grade == wanted


class Policy(BaseModel):
    """The rules, in order, and what becomes of columns that none matches.

    `Policy.read(path)`, `Policy.from_toml(text)`, or in code
    `Policy(rule=[Rule(column="phone", use="mask", first=3, last=4)])`. Parameters are checked when it is made.

    Raises:
        PolicyFileError: naming the file, the line, the key, and the near name of what is unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    name: str = "policy"
    description: str = ""
    default: Default = "deny"
    rule: tuple[Rule, ...] = ()

    @staticmethod
    def read(path: str | Path) -> Policy:
        """The policy in a TOML file."""
        try:
            with Path(path).open("rb") as f:
                content = f.read(_MAX_FILE + 1)
        except OSError as e:
            raise FileError(f"the policy can not be read: {e.strerror}", where=str(path)) from None
        if len(content) > _MAX_FILE:
            raise PolicyFileError(f"the policy is larger than {_MAX_FILE >> 20} MiB", where=str(path))
        try:
            text = content.decode()
        except UnicodeDecodeError as e:
            line = content[: e.start].count(b"\n") + 1
            raise PolicyFileError("the policy is not UTF-8", where=f"{path}, line {line}") from None
        return Policy.from_toml(text, where=str(path), folder=Path(path).parent)

    @staticmethod
    def from_toml(text: str, *, where: str = "policy", folder: Path | None = None) -> Policy:
        """The policy in a TOML text; `where` names it in errors, `folder` is where its hierarchy files lie."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as e:
            place = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(e))
            what = str(e).split(" (at ")[0]
            raise PolicyFileError(
                f"not valid TOML: {what[:1].lower() + what[1:]}", where=f"{where}, {place[1]}" if place else where
            ) from None
        lines = _Lines(text, where)
        if "rules" in raw and "rule" not in raw:
            raise PolicyFileError("no such key: 'rules'", where=lines.at("rules"), hint="Write [[rule]] for each rule.")
        if folder is not None:
            raw = _with_files(raw, folder, lines)
        try:
            policy = Policy(**raw)
        except ValidationError as e:
            raise _fault(e, lines) from None
        for i, rule in enumerate(policy.rule):
            check_parameters(rule, i, lines)
        return policy

    def only(self, columns: Iterable[str]) -> Policy:
        """The policy for a table with these columns: names of other columns are left out of its rules.

        One policy then serves several tables. Without this, a rule that names a missing column is an error.
        """
        known = set(columns)
        rules = []
        for rule in self.rule:
            if rule.column is None:
                rules.append(rule)
                continue
            kept = [c for c in rule.column if c in known or any(ch in c for ch in "*?[")]
            if kept:
                rules.append(rule.model_copy(update={"column": kept}))
        return self.model_copy(update={"rule": tuple(rules)})

    def rule_label(self, index: int) -> str:
        """How messages and reports call a rule."""
        rule = self.rule[index]
        return f"rule {index + 1}" + (f" '{rule.name}'" if rule.name else "")

    def plan(self, schema: Schema, keys: Any = None, *, streaming: bool = False) -> Any:
        """Check the policy against a schema and keys, before a row is touched; see `ppc.desensitize.plan.Plan`."""
        from ppc.desensitize.plan import Plan

        return Plan.make(self, schema, keys, streaming=streaming)


def check_parameters(rule: Rule, index: int, lines: _Lines | None = None) -> None:
    """Raise PolicyFileError if a rule's transformation or one of its parameters is unknown or out of range."""
    from ppc.desensitize.transform import get, names

    lines = lines or _Lines("", "policy")
    given = rule.arguments
    if rule.use == "drop":
        for name in given:
            raise PolicyFileError(f"drop takes no parameter '{name}'", where=lines.at("rule", index, name))
        return
    try:
        transform = get(rule.use)
    except ConfigError as e:
        near = difflib.get_close_matches(rule.use, [*names(), "drop"], 1)
        hint = f"Did you mean '{near[0]}'?" if near else e.hint
        raise PolicyFileError(e.what, where=lines.at("rule", index, "use"), hint=hint) from None
    for name in transform.columns:
        value = given.pop(name, None)
        if value is not None and not _are_names(value):
            raise PolicyFileError(f"'{name}' should be a column's name or a list", where=lines.at("rule", index, name))
    try:
        transform.model(**given)
    except ValidationError as e:
        from ppc.desensitize.transform import explain

        known = [*transform.model.model_fields, *transform.columns]
        name, what, hint = explain(e, [*known, *_KEYS] if known else _KEYS)
        if what == "no such parameter" and hint and not hint.startswith("Did"):
            hint = f"It takes: {', '.join(known)}." if known else "It takes no parameters."
        raise PolicyFileError(
            f"'{name}' of {rule.use}: {what}", where=lines.at("rule", index, name), hint=hint
        ) from None


def _are_names(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(v, str) and v for v in values)


def _with_files(raw: dict[str, Any], folder: Path, lines: _Lines) -> dict[str, Any]:
    """The same with hierarchy files, which lie beside the policy, read in."""
    rules = raw.get("rule")
    if not isinstance(rules, list):
        return raw
    from ppc.desensitize.hierarchy import Hierarchy

    out = []
    for i, rule in enumerate(rules):
        if isinstance(rule, Mapping) and isinstance(rule.get("hierarchy"), str):
            try:
                rule = {**rule, "hierarchy": Hierarchy.read(folder / rule["hierarchy"])}
            except PpcError as e:
                where = (
                    f"{lines.at('rule', i, 'hierarchy')}: {e.where}" if e.where else lines.at("rule", i, "hierarchy")
                )
                raise PolicyFileError(e.what, where=where, hint=e.hint) from None
        out.append(rule)
    return {**raw, "rule": out}


def _fault(error: ValidationError, lines: _Lines) -> PolicyFileError:
    from ppc.desensitize.transform import explain

    first = error.errors(include_url=False, include_input=False)[0]
    loc = list(first["loc"])
    if loc[:1] == ["rule"]:
        index = next((p for p in loc if isinstance(p, int)), None)
        name = next((str(p) for p in loc[2:] if isinstance(p, str)), "")
        _, what, hint = explain(error, _KEYS)
        label = f"'{name}' of rule {index + 1}: " if name and index is not None else ""
        prefix = label or (f"rule {index + 1} " if index is not None else "")
        return PolicyFileError(f"{prefix}{what}", where=lines.at("rule", index, name), hint=hint)
    name, what, hint = explain(error, Policy.model_fields)
    return PolicyFileError(f"'{name}': {what.replace('parameter', 'key')}", where=lines.at(name), hint=hint)


class _Lines:
    """Where things stand in the policy's text."""

    def __init__(self, text: str, where: str) -> None:
        self._lines = text.splitlines()
        self._where = where

    def at(self, table: str, index: int | None = None, key: str = "") -> str:
        """'FILE, line N' of a top-level key, or of a key of the index-th [[rule]]."""
        found = self._find(table, index, key)
        return f"{self._where}, line {found}" if found else self._where

    def _find(self, table: str, index: int | None, key: str) -> int | None:
        if index is None:
            return self._key(table, 0, len(self._lines))
        heads = [i for i, s in enumerate(self._lines) if re.match(rf"\s*\[\[\s*{table}\s*\]\]", s)]
        if index >= len(heads):
            return None
        stop = heads[index + 1] if index + 1 < len(heads) else len(self._lines)
        return (self._key(key.split(".")[0], heads[index] + 1, stop) if key else None) or heads[index] + 1

    def _key(self, key: str, start: int, stop: int) -> int | None:
        pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""")
        return next((i + 1 for i in range(start, stop) if pattern.match(self._lines[i])), None)


def as_policy(policy: Policy | str | Path | Iterable[Mapping[str, Any]]) -> Policy:
    """A policy from what apply() is given: a Policy, the path of a file, or a list of rules as mappings."""
    if isinstance(policy, Policy):
        for i, rule in enumerate(policy.rule):
            check_parameters(rule, i)
        return policy
    if isinstance(policy, str | Path):
        return Policy.read(policy)
    rules = list(policy) if isinstance(policy, Iterable) else [policy]
    if not all(isinstance(r, Mapping) for r in rules):
        raise ConfigError(
            "the policy is neither a Policy, nor a file's path, nor a list of rules",
            hint="A rule in code is a mapping: {'column': 'phone', 'use': 'mask', 'first': 3}.",
        )
    try:
        made = Policy.model_validate({"rule": [dict(r) for r in rules]})
    except ValidationError as e:
        raise _fault(e, _Lines("", "policy")) from None
    return as_policy(made)

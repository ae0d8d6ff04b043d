"""Free text: find personal data inside it and transform what is found; the rest of the text stays."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pyarrow as pa
from pydantic import AfterValidator, Field

from ppc.desensitize import arrays as a
from ppc.desensitize.detectors import Detector, PatternDetector, chosen, sifted
from ppc.desensitize.keys import Key
from ppc.desensitize.transform import STRING, TEXT, Scope, get, transform
from ppc.errors import ConfigError, PpcError


def _regexes(value: dict[str, str]) -> dict[str, str]:
    for name, pattern in value.items():
        try:
            re.compile(pattern)
        except re.error:
            raise ValueError(f"the pattern '{name}' is not a regular expression") from None
    return value


def _names(value: list[str] | None) -> list[str] | None:
    try:
        chosen(value)
    except PpcError as e:
        raise ValueError(e.what + (f" ({e.hint})" if e.hint else "")) from None
    return value


def _text_transform(value: str) -> str:
    if value == "label":
        return value
    try:
        inner = get(value)
    except PpcError as e:
        raise ValueError(e.what + (f" ({e.hint})" if e.hint else "")) from None
    text = inner.gives(pa.string(), inner.model.model_construct()) == pa.string()
    if inner.whole or inner.required or inner.name == "free_text" or not text:
        raise ValueError("should turn a text into a text, value by value")
    return value


@transform("free_text", takes=TEXT, gives=STRING, family="free text", keyed="optional")
def free_text(
    array: Any,
    *,
    find: Annotated[list[str], Field(min_length=1), AfterValidator(_names)] | None = None,
    patterns: Annotated[dict[str, Annotated[str, Field(min_length=1)]], AfterValidator(_regexes)] = {},  # noqa: B006
    replace_with: Annotated[str, AfterValidator(_text_transform)] = "label",
    options: dict[str, Any] = {},  # noqa: B006
    keyed: bool = False,
    scope: Scope = "default",
    key: Key | None = None,
) -> Any:
    """Replace what detectors find. replace_with="label" writes the category ([person.phone]); or name a transformation.

    find: names or categories of detectors (all by default). patterns: further regular expressions by category, which
    win over detectors. options: the parameters of the named transformation; for one with a key set keyed = true. Of
    overlapping finds the first, then the longest, counts. Detection is not perfect: review before text leaves.
    """
    own: list[Detector] = [PatternDetector(name, name, re.compile(p)) for name, p in patterns.items()]
    detectors = own + ([] if patterns and find is None else chosen(find))
    strings = a.flat(array).cast(pa.string())
    texts = strings.to_pylist()
    found = [
        [] if t is None or not able else _spans(t, [detectors[i] for i in able])
        for t, able in zip(texts, sifted(strings, detectors), strict=True)
    ]
    pieces = [t[s:e] for t, spans in zip(texts, found, strict=True) for s, e, _ in spans]
    replaced = iter(
        _replace(pieces, [d.category for spans in found for _, _, d in spans], replace_with, options, scope, key)
    )
    out: list[str | None] = []
    for t, spans in zip(texts, found, strict=True):
        if not spans:
            out.append(t)
            continue
        parts, at = [], 0
        for s, e, _ in spans:
            parts += [t[at:s], next(replaced) or ""]
            at = e
        out.append("".join([*parts, t[at:]]))
    return pa.array(out, pa.string())


def _spans(text: str, detectors: list[Detector]) -> list[tuple[int, int, Detector]]:
    """Disjoint spans in order."""
    every = [(s, e, i) for i, d in enumerate(detectors) for s, e in d.find(text)]
    out: list[tuple[int, int, Detector]] = []
    for s, e, i in sorted(every, key=lambda x: (x[0], -x[1], x[2])):
        if not out or s >= out[-1][1]:
            out.append((s, e, detectors[i]))
    return out


def _replace(
    pieces: list[str], categories: list[str], use: str, parameters: dict[str, Any], scope: str, key: Key | None
) -> list[str | None]:
    if use == "label" or not pieces:
        return [f"[{c}]" for c in categories]
    inner = get(use)
    given = dict(parameters)
    if "scope" in inner.model.model_fields:
        given.setdefault("scope", scope)
    params = inner.parse(given)
    if inner.wants_key(params) and key is None:
        raise ConfigError(
            f"free_text with replace_with = '{use}' needs a key", hint="Set keyed = true, and give a key."
        )
    done = a.flat(inner.run(pa.array(pieces, pa.string()), params, key if inner.keyed != "no" else None, {}))
    return list(done.to_pylist())

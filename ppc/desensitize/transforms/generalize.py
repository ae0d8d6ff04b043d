"""Generalization: a value becomes the group it belongs to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, InstanceOf

from ppc.desensitize.hierarchy import ANYTHING, Hierarchy
from ppc.desensitize.transform import ANY, STRING, transform
from ppc.errors import PpcError


def _hierarchy(value: Any) -> Any:
    try:
        return Hierarchy.read(value) if isinstance(value, str) else Hierarchy.of(value)
    except PpcError as e:
        raise ValueError(str(e)) from None


HierarchyParam = Annotated[InstanceOf[Hierarchy], BeforeValidator(_hierarchy)]


@transform("generalize", takes=ANY, gives=STRING, family="generalize")
def generalize(
    array: Any,
    *,
    hierarchy: HierarchyParam,
    level: Annotated[int, Field(ge=0)],
    missing: Literal["error", "null", "*"] = "error",
) -> Any:
    """Replace each value by its group at `level` of a hierarchy (a file beside the policy, or inline).

    missing: what becomes of a value that a table hierarchy lacks: an error, null, or '*'.
    """
    if missing == "error" or level == 0:
        return hierarchy.apply(array, level)
    out = hierarchy.apply(hierarchy.without_missing(array), level)
    if missing == "*":
        out = pc.if_else(pc.and_(pc.is_null(out), pc.is_valid(array)), pa.scalar(ANYTHING), out)
    return out

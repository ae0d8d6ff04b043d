"""What of an error may leave its party.

An error of the ppc tree says names, shapes and bounds only, so its text travels; paths are cut to the file's name. Of
any other exception only the class travels: its text may quote a value. The full text stays in the party's own log.
"""

from __future__ import annotations

import re
from typing import Final

from ppc.coordinator.jobs import Fault, clip
from ppc.errors import ConfigError, FileError, InternalError, KeyFileError, MissingExtra, PolicyFileError, PpcError

# These speak of one installation: the others need to know only that it happened, and where to ask.
_LOCAL: Final = (ConfigError, PolicyFileError, KeyFileError, MissingExtra)

_PATH: Final = re.compile(
    r"""(?x)
    (?<! [\w./\\~-] )                           # not in the middle of "and/or"
    (?: file:// | duckdb:/// )?                 # a URL's head
    (?: [A-Za-z]:[\\/] | ~?/ | \.{1,2}[\\/] )   # an absolute or an explicitly relative start
    [^\s'"<>|,;)\]]*                            # the rest of the path
    """
)
_RELATIVE: Final = re.compile(r"\b[\w.-]+(?:[\\/][\w.-]+)+\.[A-Za-z]\w{0,7}\b")


def without_paths(text: str) -> str:
    """`text` with each path cut to its last part."""

    def last(match: re.Match[str]) -> str:
        return re.split(r"[\\/]", match.group().rstrip("\\/"))[-1] or "…"

    return _RELATIVE.sub(last, _PATH.sub(last, text))


def fault_of(error: BaseException, *, party: str, step: str | None = None) -> Fault:
    """The fault that tells the others of `error`, which happened at `party` in `step`."""
    if not isinstance(error, PpcError):
        return Fault(
            InternalError.code,
            f"an unexpected error ({type(error).__name__})",
            hint=f"the log of {party} has the details",
            party=party,
            step=step,
        )
    if isinstance(error, _LOCAL):
        return Fault(
            error.code,
            "its own installation or settings are at fault",
            hint=f"the log of {party} has the details",
            party=party,
            step=step,
        )
    return Fault(
        error.code,
        clip(without_paths(error.what)),
        clip(without_paths(error.where)) if error.where else None,
        clip(without_paths(error.hint)) if error.hint and not isinstance(error, FileError) else None,
        error.party or party,
        step,
    )

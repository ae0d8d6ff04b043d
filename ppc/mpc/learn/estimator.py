"""What estimators have in common: public parameters by name, and attributes that exist after `fit`."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from ppc.errors import ConfigError, SecretMisuse, did_you_mean


class Estimator:
    """Parameters are given by name and kept in public; what is fitted is secret.

    A subclass gives `_defaults`, the names in `_fixed` that may not be given, and `_check`.
    """

    _defaults: ClassVar[dict[str, Any]] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **params: Any) -> None:
        known = [name for name in self._defaults if name not in self._fixed]
        for name in params:
            if name not in known:
                raise ConfigError(
                    f"{type(self).__name__} has no parameter '{name}'",
                    hint=did_you_mean(name, known) or f"it has {', '.join(known)}",
                )
        self._params = {**self._defaults, **params}
        self._check()

    def _check(self) -> None:
        """Refuse parameters that cannot be."""

    def get_params(self) -> dict[str, Any]:
        """The parameters by name."""
        return {name: value for name, value in self._params.items() if name not in self._fixed}

    def _fitted(self, name: str) -> Any:
        if name not in self.__dict__:
            raise ConfigError(f"this {type(self).__name__} is not fitted", hint="call fit(x, y) first")
        return self.__dict__[name]

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items() if v != self._defaults[k])
        return f"{type(self).__name__}({given})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecretMisuse("pickling of a model in shares", hint="reveal what may be known, and store that")

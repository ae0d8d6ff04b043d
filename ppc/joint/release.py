"""`[release]` of a job file: every figure leaves with noise, and the whole job costs (ε, δ).

```toml
[release]
epsilon = 1.0
delta = 1e-6
bounds = { age = [18, 110] }       # public bounds of the numbers that are averaged
```
"""

from __future__ import annotations

from pydantic import Field, model_validator

from ppc.joint.operator import Params


class Release(Params):
    """epsilon, delta: what the whole job costs about one row. bounds: of numbers; values beyond count as the bound."""

    epsilon: float = Field(gt=0, le=50)
    delta: float = Field(default=1e-6, gt=0, lt=0.1)
    bounds: dict[str, tuple[float, float]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sane(self) -> Release:
        if not all(low < high for low, high in self.bounds.values()):
            raise ValueError("bounds: low must be less than high")
        return self

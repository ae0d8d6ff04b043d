"""Private scoring: a client's rows, a server's model, and neither sees the other's.

    server = Server(model)                        # the model's owner
    client = Client(server.card)                  # the card: features, ranges, what key is needed
    server.accept(client.public_bytes())          # once
    answer = server.score(client.encrypt(rows))
    scores = client.read(answer)                  # Scores: values, out_of_range

The server learns the number of rows. The client learns the scores, and with them what scores tell: whoever gets d + 1
exact scores of a linear model can solve for its d weights. Limit the rows a client may have scored.

By default the server returns the linear predictor and the client applies the logistic function itself: it would learn
the same from the probability, and nothing is lost to a polynomial. `Server(model, link="server")` applies a polynomial
under encryption, for those who go on computing with probabilities.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppc.errors import (
    ConfigError,
    DepthExhausted,
    EnvelopeError,
    KeyMismatch,
    ModelFileError,
    ParameterMismatch,
    ProtectionError,
    ValueRangeError,
)
from ppc.he.ckks import CkksVector
from ppc.he.ckks_matrix import CkksMatrix
from ppc.he.envelope import Envelope
from ppc.he.keys import generate, public_from_bytes
from ppc.he.lattice import CkksPrivateKey, CkksPublicKey
from ppc.he.models import FUNCTIONS, Card, Model, rows_of
from ppc.he.polynomial import Fit, evaluate, fit_for_depth, sigmoid

__all__ = ["Card", "Client", "Model", "Scores", "Server"]

PRECISION: Final = 1e-4  # what a server promises of a linear predictor; its own estimate would tell of its weights
_LINK_LEVELS: Final = 6  # degree 31: 3e-6 on ±8
_HIGHEST_DEGREE: Final = 31
_AT_THE_EDGE: Final = 1e-6  # a row on the edge of the reach decrypts to a little more or less
_MAX_SESSIONS: Final = 64
_MAX_ROWS: Final = 1 << 20


@dataclass(frozen=True, repr=False)
class Scores:
    """What a client reads.

    Args:
        values: (n,), NaN where the row was out of range.
        out_of_range: (n,), rows outside of what the model was calibrated for.
    """

    values: NDArray[np.float64]
    out_of_range: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"<Scores shape={self.values.shape} out_of_range={int(self.out_of_range.sum())}>"


class Server:
    """The model's owner. Holds clients' public keys, scores encrypted rows, reads nothing.

    Args:
        model: what to score with.
        link: `client`, or `server` to apply the logistic function under encryption.
        reach: with link `server`, the largest |linear predictor| that it is good for.
        max_rows: the most rows in one request.
    """

    def __init__(self, model: Model, *, link: str = "client", reach: float = 8.0, max_rows: int = 1 << 16) -> None:
        if link not in ("client", "server"):
            raise ConfigError(f"link is 'client' or 'server', not '{link}'")
        if not 1 <= max_rows <= _MAX_ROWS:
            raise ConfigError(f"max_rows is between 1 and {_MAX_ROWS}")
        self.model = model
        self._max_rows = max_rows
        self._hidden = model.hidden_fits()
        self._link: Fit | None = None
        depth = 1 + sum(1 + f.levels for f in self._hidden)
        if link == "server" and model.link == "logistic":
            self._link = fit_for_depth(sigmoid, reach, _LINK_LEVELS)
            depth += self._link.levels
        if depth > 19:
            raise ProtectionError("the network has more layers than one key can follow", hint="Use one hidden layer.")
        outside = None if self._link is None else reach
        self.card = model._card("identity" if self._link else model.link, depth, outside)
        self._keys: OrderedDict[str, CkksPublicKey] = OrderedDict()

    def accept(self, public: bytes) -> str:
        """Take a client's public key, once; its id. The oldest of more than 64 are forgotten.

        Raises:
            KeyFileError: damaged. WeakParameters: below 128-bit security. ParameterMismatch: not what the card asks.
        """
        key = public_from_bytes(public)
        if not isinstance(key, CkksPublicKey):
            raise ParameterMismatch(f"a CKKS key is needed, not a {key.scheme} key")
        if key.depth < self.card.depth or (self.card.products and not key.products):
            raise ParameterMismatch(
                f"the key has depth {key.depth}; the model needs {self.card.depth}"
                + (" and keys for products" if self.card.products else ""),
                hint="Make the client with this server's card.",
            )
        self._keys[key.key_id] = key
        if len(self._keys) > _MAX_SESSIONS:
            self._keys.popitem(last=False)
        return key.key_id

    def score(self, request: bytes) -> bytes:
        """Score a client's encrypted rows.

        Raises:
            KeyMismatch: a key that was not accepted.
            EnvelopeError: damaged. ParameterMismatch: not the card's columns, or too many rows.
        """
        key = self._keys.get(Envelope.from_bytes(request).key_id)
        if key is None:
            raise KeyMismatch("the request is under a key that this server does not know", hint="Send the key first.")
        x = CkksMatrix.from_bytes(request, key)
        width = self.model.layers[0].weights.shape[0]
        if x.shape[1] != width or x.shape[0] > self._max_rows:
            raise ParameterMismatch(
                f"{x.shape[0]} rows of {x.shape[1]} columns; at most {self._max_rows} rows of {width} are scored"
            )
        if any(c.bound > 1 for c in x.columns) or x.level < self.card.depth:
            raise ParameterMismatch("the columns are not within ±1 at the level of a fresh ciphertext")
        return CkksMatrix([_hide(c, key) for c in self._run(x)]).to_bytes()

    def _run(self, x: CkksMatrix) -> list[CkksVector]:
        *hidden, last = self.model.layers
        for layer, series in zip(hidden, self._hidden, strict=True):
            scaled = x @ (layer.weights / series.reach)
            units = zip(scaled.columns, layer.bias / series.reach, strict=True)
            x = CkksMatrix([evaluate(unit + float(b), series) for unit, b in units])
        scale = 1.0 if self._link is None else self._link.reach
        linear = (x @ (last.weights[:, 0] / scale)) + float(last.bias[0]) / scale
        if linear.error * scale > PRECISION and not hidden:
            raise DepthExhausted("the weights are too large for the precision promised", hint="Scale the scores down.")
        return [linear] if self._link is None else [evaluate(linear, self._link), linear]


def _hide(vector: CkksVector, key: CkksPublicKey) -> CkksVector:
    """Header numbers that do not tell of the weights; `to_bytes` re-randomises the ciphertext."""
    return vector.declare(bound=key.capacity(vector.level), error=PRECISION)


class Client:
    """Who has the rows. Makes a key for the model's card, and alone reads the scores."""

    def __init__(self, card: Card | dict[str, Any] | str, key: CkksPrivateKey | None = None) -> None:
        if isinstance(card, str):
            try:
                card = json.loads(card)
            except ValueError as error:
                raise ModelFileError("the model's card is no JSON") from error
        self.card = card if isinstance(card, Card) else Card.from_json(card)
        made = key if key is not None else generate("ckks", depth=self.card.depth, products=self.card.products)
        if not isinstance(made, CkksPrivateKey):
            raise KeyMismatch("a client needs a private CKKS key")
        self.key = made
        self._pending: list[NDArray[np.bool_]] = []

    def public_bytes(self) -> bytes:
        """The public key for the server: sent once."""
        return self.key.public.to_bytes()

    def encrypt(self, rows: Any) -> bytes:
        """A request for rows (n, features): an array, or a `Dataset` whose columns carry the card's names.

        Rows outside of the calibrated range are sent clipped and reported by `read`.

        Raises:
            ValueRangeError: NaN or infinite (a scorecard takes NaN for missing).
            ColumnError: a dataset without one of the features.
        """
        x = rows_of(rows.matrix(list(self.card.features)) if hasattr(rows, "matrix") else rows, len(self.card.features))
        if len(x) == 0:
            raise ConfigError("there are no rows to score")
        fine = np.isfinite(x) if self.card.bins is None else ~np.isinf(x)
        if not fine.all():
            row, column = np.argwhere(~fine)[0]
            raise ValueRangeError(
                f"NaN or infinite in row {row}", where=f"feature '{self.card.features[column]}'", hint="Fill it first."
            )
        columns, outside = self.card.columns(x)
        self._pending.append(outside)
        return CkksMatrix.encrypt(self.key, columns, max_abs=1.0).to_bytes()

    def read(self, answer: bytes) -> Scores:
        """The scores in the server's answer to the oldest request that was not answered yet."""
        if not self._pending:
            raise ConfigError("no request is waiting for an answer")
        matrix = CkksMatrix.from_bytes(answer, self.key)
        outside = self._pending[0]
        if matrix.shape != (len(outside), 1 if self.card.reach is None else 2):
            raise EnvelopeError(f"an answer of shape {matrix.shape} to {len(outside)} rows")
        self._pending.pop(0)
        numbers = matrix.decrypt(self.key)
        if self.card.reach is not None:
            beyond = np.abs(numbers[:, 1])  # in units of the reach
            outside = outside | (beyond > 1 + _AT_THE_EDGE)
            self._check_spoilt(beyond)
        values = FUNCTIONS[self.card.link](numbers[:, 0])
        return Scores(np.where(outside, np.nan, values), outside)

    def _check_spoilt(self, beyond: NDArray[np.float64]) -> None:
        """Far outside its interval a polynomial exceeds the modulus, and that changes the other rows too."""
        highest = np.cosh(_HIGHEST_DEGREE * np.arccosh(np.maximum(beyond, 1.0)))
        far = np.flatnonzero(highest > self.key.public.capacity(0) / 4)
        if len(far):
            raise ValueRangeError(
                f"{len(far)} rows are far beyond the model's reach, the first at position {far[0]}; the batch is lost",
                hint="Leave those rows out, or ask for a server with a larger reach.",
            )


def score_in_process(model: Model, rows: ArrayLike, **options: Any) -> Scores:
    """Both sides in one process, for tests and notebooks."""
    server = Server(model, **options)
    client = Client(server.card)
    server.accept(client.public_bytes())
    return client.read(server.score(client.encrypt(rows)))

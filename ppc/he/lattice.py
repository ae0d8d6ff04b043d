"""Keys of the two lattice schemes, CKKS and BFV, on TenSEAL (Microsoft SEAL).

Parameters are chosen from the wanted depth, never given one by one, and always stay within 128-bit security.

Source: Albrecht et al., "Homomorphic Encryption Standard" (2018), table 1: ternary secret, classical, 128 bits.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar, Final, Self

from ppc.errors import ConfigError, KeyFileError, WeakParameters
from ppc.he.keys import Json, PrivateKey, PublicKey, digest_id, from_text, to_text

# Ring degree -> most bits of all moduli together, for 128-bit security.
SECURE_BITS: Final = {2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
_OUTER_BITS: Final = 60  # SEAL's largest prime: the first modulus, and the one that key switching uses up


def tenseal() -> Any:
    """The tenseal module, loaded on first use."""
    import tenseal

    return tenseal


@functools.cache
def _primes(degree: int, bits: tuple[int, ...]) -> tuple[int, ...]:
    from tenseal import sealapi

    return tuple(int(m.value()) for m in sealapi.CoeffModulus.Create(degree, list(bits)))


class LatticePublicKey(PublicKey):
    """A public key, with keys for products (relinearisation) and for rotations (Galois) if it was made with them."""

    def __init__(self, parameters: Json, base: bytes, evaluation: bytes | None) -> None:
        self.parameters = parameters
        self._base, self._evaluation = base, evaluation
        self.key_id = digest_id(self.scheme, self.parameter_hash.encode(), base)
        try:
            self.context: Final[Any] = tenseal().context_from(evaluation if evaluation is not None else base)
        except (ValueError, RuntimeError) as error:
            raise KeyFileError(f"no {self.scheme} key: {error}") from error
        if self.context.is_private():
            raise KeyFileError("a public key holds a private part")

    @functools.cached_property
    def degree(self) -> int:
        """N of the ring Z[x] / (x**N + 1)."""
        return int(self.parameters["degree"])

    @property
    def slots(self) -> int:
        """Numbers in a ciphertext: N/2."""
        return self.degree // 2

    @functools.cached_property
    def depth(self) -> int:
        """How many products, one after the other, a fresh ciphertext allows."""
        return int(self.parameters["depth"])

    @property
    def products(self) -> bool:
        """Whether two ciphertexts can be multiplied."""
        return bool(self.context.has_relin_keys())

    @property
    def rotations(self) -> bool:
        """Whether slots can be moved: `sum`, `dot` and `matmul` of one vector need it."""
        return bool(self.context.has_galois_keys())

    def public_fields(self) -> Json:
        evaluation = None if self._evaluation is None else to_text(self._evaluation)
        return {"parameters": self.parameters, "key": to_text(self._base), "evaluation": evaluation}

    @classmethod
    def from_fields(cls, fields: Json) -> Self:
        parameters, evaluation = fields.get("parameters"), fields.get("evaluation")
        if not isinstance(parameters, dict):
            raise KeyFileError(f"no {cls.scheme} key: it has no parameters")
        cls.check_parameters(parameters)
        base = from_text(fields.get("key"))
        return cls(parameters, base, None if evaluation is None else from_text(evaluation))

    @classmethod
    def check_parameters(cls, parameters: Json) -> None:
        """Raise unless the parameters are ones that `generate` makes."""
        raise ConfigError(f"{cls.__name__} is not used by itself")

    def without_evaluation_keys(self) -> Self:
        """The same key, much smaller, for those who only encrypt and add."""
        return type(self)(self.parameters, self._base, None)


class LatticePrivateKey(PrivateKey):
    """The secret key of a lattice scheme."""

    public: Any
    public_class: ClassVar[type[LatticePublicKey]]

    def __init__(self, public: LatticePublicKey, context: Any) -> None:
        self.public = public
        self._context = context
        self.secret: Final[Any] = context.secret_key()

    @classmethod
    def _of_context(cls, parameters: Json, context: Any, *, products: bool, rotations: bool) -> Self:
        base = _serialized(context)
        evaluation = None
        if products or rotations:
            if rotations:
                context.generate_galois_keys()
            evaluation = _serialized(context, relin=products, galois=rotations)
        return cls(cls.public_class(parameters, base, evaluation), context)

    def secret_bytes(self) -> bytes:
        return _serialized(self._context, secret=True)

    @classmethod
    def from_secret(cls, public: Any, secret: bytes) -> Self:
        try:
            context = tenseal().context_from(secret)
            private = bool(context.is_private())
        except (ValueError, RuntimeError) as error:
            raise KeyFileError("the private part is malformed") from error
        if not private or _serialized(context) != public._base:
            raise KeyFileError("the private part does not belong to the public part")
        return cls(public, context)


def _serialized(context: Any, *, secret: bool = False, relin: bool = False, galois: bool = False) -> bytes:
    return bytes(
        context.serialize(save_public_key=True, save_secret_key=secret, save_galois_keys=galois, save_relin_keys=relin)
    )


# --- CKKS ---
class CkksPublicKey(LatticePublicKey):
    """Real numbers, approximately: parameters `degree`, `depth`, `scale_bits`."""

    scheme: ClassVar[str] = "ckks"

    @functools.cached_property
    def scale(self) -> float:
        """The factor that numbers are encoded with."""
        return 2.0 ** int(self.parameters["scale_bits"])

    @functools.cached_property
    def primes(self) -> tuple[int, ...]:
        """The moduli of a ciphertext, the last to be dropped first: a product at level L drops primes[L]."""
        return _primes(self.degree, tuple(_ckks_bits(self.depth, int(self.parameters["scale_bits"]))))[:-1]

    def capacity(self, level: int) -> float:
        """The largest magnitude that a ciphertext of that level can hold."""
        return self._capacities[level]

    @functools.cached_property
    def _capacities(self) -> tuple[float, ...]:
        scale_bits = int(self.parameters["scale_bits"])
        return tuple(2.0 ** (_OUTER_BITS - scale_bits - 2 + i * scale_bits) for i in range(self.depth + 1))

    @classmethod
    def check_parameters(cls, parameters: Json) -> None:
        degree, depth, scale_bits = (parameters.get(n) for n in ("degree", "depth", "scale_bits"))
        if not all(type(x) is int for x in (degree, depth, scale_bits)) or len(parameters) != 3:
            raise KeyFileError("a CKKS key has the parameters degree, depth and scale_bits")
        if degree != _ckks_degree(int(depth or 0), int(scale_bits or 0)):
            raise WeakParameters(f"ring degree {degree} does not give 128-bit security at depth {depth}")


def _ckks_bits(depth: int, scale_bits: int) -> list[int]:
    return [_OUTER_BITS, *[scale_bits] * depth, _OUTER_BITS]


def _ckks_degree(depth: int, scale_bits: int) -> int:
    if not 0 <= depth <= 25 or not 25 <= scale_bits <= 50:
        raise WeakParameters(f"depth {depth} with {scale_bits} bits of scale: 0 … 25 and 25 … 50 are supported")
    need = sum(_ckks_bits(depth, scale_bits))
    for degree, bits in SECURE_BITS.items():
        if degree >= 8192 and need <= bits:
            return degree
    raise WeakParameters(
        f"depth {depth} at {scale_bits} bits of scale needs {need} bits of modulus; 128-bit security ends at "
        f"{max(SECURE_BITS.values())}",
        hint="Ask for less depth or a smaller scale.",
    )


class CkksPrivateKey(LatticePrivateKey):
    """A CKKS key pair."""

    public: CkksPublicKey
    public_class = CkksPublicKey

    @classmethod
    def generate(cls, depth: int = 2, scale_bits: int = 40, *, products: bool = True, rotations: bool = False) -> Self:
        """A fresh key.

        Args:
            depth: products that follow one another, 0 … 20 (a plain factor counts as one).
            scale_bits: 25 … 50. A fresh number is exact to about degree / 2**scale_bits: 40 bits give 1e-8.
            products: with keys to multiply two ciphertexts (1–20 MB more).
            rotations: with keys to sum within a ciphertext and multiply by matrices (20 MB to 1 GB more).

        | depth (40 bits) | ring degree | numbers a ciphertext |
        |---|---|---|
        | 0–2 | 8192 | 4096 |
        | 3–7 | 16384 | 8192 |
        | 8–19 | 32768 | 16384 |
        """
        if type(depth) is not int or type(scale_bits) is not int:
            raise ConfigError("depth and scale_bits are integers")
        degree = _ckks_degree(depth, scale_bits)
        ts = tenseal()
        context = ts.context(ts.SCHEME_TYPE.CKKS, degree, coeff_mod_bit_sizes=_ckks_bits(depth, scale_bits))
        context.global_scale = 2.0**scale_bits
        parameters = {"degree": degree, "depth": depth, "scale_bits": scale_bits}
        return cls._of_context(parameters, context, products=products, rotations=rotations)


# --- BFV ---
class BfvPublicKey(LatticePublicKey):
    """Integers, exactly, between -t/2 and t/2: parameters `degree`, `depth`, `plain_bits`, `plain_modulus`."""

    scheme: ClassVar[str] = "bfv"

    @property
    def plain_modulus(self) -> int:
        return int(self.parameters["plain_modulus"])

    @property
    def limit(self) -> int:
        """The largest magnitude that a slot holds."""
        return (self.plain_modulus - 1) // 2

    @classmethod
    def check_parameters(cls, parameters: Json) -> None:
        names = ("degree", "depth", "plain_bits", "plain_modulus")
        degree, depth, plain_bits, t = (parameters.get(n) for n in names)
        if not all(type(x) is int for x in (degree, depth, plain_bits, t)) or len(parameters) != 4:
            raise KeyFileError(f"a BFV key has the parameters {', '.join(names)}")
        if degree != _bfv_degree(int(depth or 0), int(plain_bits or 0)) or t != _bfv_modulus(int(degree), plain_bits):
            raise WeakParameters(f"ring degree {degree} is not the one for depth {depth} and {plain_bits} bits")


@functools.cache
def _bfv_modulus(degree: int, plain_bits: int) -> int:
    from tenseal import sealapi

    return int(sealapi.PlainModulus.Batching(degree, plain_bits).value())


def _bfv_degree(depth: int, plain_bits: int) -> int:
    """The least degree whose noise budget outlasts `depth` products; SEAL's default moduli, all 128-bit secure."""
    if not 0 <= depth <= 12 or not 20 <= plain_bits <= 59:
        raise WeakParameters(f"depth {depth} with {plain_bits} bits: 0 … 12 and 20 … 59 are supported")
    for degree, key_switching_bits in ((8192, 44), (16384, 49), (32768, 56)):
        # A fresh ciphertext loses t and a few bits; a product loses t, N and a few bits; 20 are kept for sums.
        fresh = SECURE_BITS[degree] - key_switching_bits - plain_bits - 12
        if fresh - depth * (plain_bits + math.log2(degree) + 3) >= 20:
            return degree
    raise WeakParameters(
        f"depth {depth} with {plain_bits} bits is beyond 128-bit security", hint="Ask for less depth or fewer bits."
    )


class BfvPrivateKey(LatticePrivateKey):
    """A BFV key pair."""

    public: BfvPublicKey
    public_class = BfvPublicKey

    @classmethod
    def generate(cls, depth: int = 1, plain_bits: int = 40, *, products: bool = True, rotations: bool = False) -> Self:
        """A fresh key.

        Args:
            depth: products that follow one another, 0 … 12 (a plain factor counts as one).
            plain_bits: 20 … 59; results lie within ±2**(plain_bits - 2) or so.
            products: with keys to multiply two ciphertexts.
            rotations: with keys to sum within a ciphertext.
        """
        if type(depth) is not int or type(plain_bits) is not int:
            raise ConfigError("depth and plain_bits are integers")
        degree = _bfv_degree(depth, plain_bits)
        t = _bfv_modulus(degree, plain_bits)
        ts = tenseal()
        context = ts.context(ts.SCHEME_TYPE.BFV, degree, plain_modulus=t)
        parameters = {"degree": degree, "depth": depth, "plain_bits": plain_bits, "plain_modulus": t}
        return cls._of_context(parameters, context, products=products, rotations=rotations)

    def noise_budget(self, ciphertext: Any) -> int:
        """Bits of noise that a ciphertext can still take; 0 means that it does not decrypt."""
        from tenseal import sealapi

        decryptor = sealapi.Decryptor(self._context.seal_context().data, self.secret.data)
        return int(decryptor.invariant_noise_budget(ciphertext))

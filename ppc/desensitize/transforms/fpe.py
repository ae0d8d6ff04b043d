"""Format-preserving encryption: a card number becomes a card number, and with the key the same one again."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from ppc.desensitize import arrays as a
from ppc.desensitize._kernels import ff1 as k
from ppc.desensitize._kernels import text as utf8
from ppc.desensitize.blockcipher import KEY_BYTES
from ppc.desensitize.ff1 import FF1, MIN_DOMAIN, ff3_1_decrypt, ff3_1_longest
from ppc.desensitize.keys import Key, needed
from ppc.desensitize.transform import STRING, TEXT, Invalid, Scope, transform
from ppc.errors import ConfigError, ValueRangeError

_DIGITS: Final = "0123456789"
_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
ALPHABETS: Final = {
    "digits": _DIGITS,
    "hex": _DIGITS + "abcdef",
    "letters": _LOWER,
    "upper": _LOWER.upper(),
    "base36": _DIGITS + _LOWER,
    "BASE36": _DIGITS + _LOWER.upper(),
    "base62": _DIGITS + _LOWER.upper() + _LOWER,
}


def _alphabet(value: str) -> str:
    letters = ALPHABETS.get(value, value)
    if not 2 <= len(letters) <= 1 << 16:
        raise ValueError("should have from 2 to 65536 characters")
    if len(set(letters)) != len(letters):
        raise ValueError("should not have a character twice")
    return letters


Alphabet = Annotated[str, AfterValidator(_alphabet)]
Strength = Literal["aes-128", "aes-192", "aes-256"]
Hex = Annotated[str, Field(pattern=r"^(?:[0-9A-Fa-f]{2})*$", max_length=512)]


def _fpe(
    array: Any,
    cipher: str,
    alphabet: str,
    separators: str,
    scope: str,
    raw_key: bool,
    tweak_hex: str,
    tweak: list[Any] | None,
    invalid: str,
    key: Key | None,
    decrypt: bool,
) -> Any:
    if set(alphabet) & set(separators):
        raise ConfigError("a character is both in the alphabet and a separator")
    size = KEY_BYTES[cipher]
    own = needed(key)
    secret = own.exactly(size, cipher) if raw_key else own.derive(f"ff1/{cipher}", scope, size)
    engine = FF1(secret, len(alphabet), sm4=cipher == "sm4")
    column = _Symbols(array, alphabet, separators)
    constant = bytes.fromhex(tweak_hex)
    tweaks = None if not tweak else _joined(tweak, constant)

    def group(rows: npt.NDArray[np.int64], n: int) -> None:
        if tweaks is None:
            one = np.frombuffer(constant, np.uint8).reshape(1, -1)
            engine.rows(column.symbols, rows, column.off, column.table, column.letters, n, one, decrypt)
            return
        widths = np.diff(tweaks.offsets)[rows]
        for t in np.unique(widths):
            part = rows[widths == t]
            each = np.empty((len(part), int(t)), np.uint8)
            k.gather_blocks(part, tweaks.offsets, tweaks.data, int(t), each)
            engine.rows(column.symbols, part, column.off, column.table, column.letters, n, each, decrypt)

    return column.run(group, invalid, "FF1")


def _joined(columns: list[Any], constant: bytes) -> a.Text:
    """The tweak of each row: the constant, then the canonical text of each column, unambiguously joined."""
    texts = [a.canonical(c, "a tweak").to_pylist() for c in columns]
    rows: list[bytes] = []
    for parts in zip(*texts, strict=True):
        encoded = [b"" if p is None else (p if isinstance(p, bytes) else p.encode()) for p in parts]
        # One column is its own bytes (as other implementations take it); several carry their lengths.
        body = encoded[0] if len(encoded) == 1 else b"".join(len(e).to_bytes(4, "big") + e for e in encoded)
        rows.append(constant + body)
    off = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(r) for r in rows], out=off[1:])
    return a.Text(off, np.frombuffer(b"".join(rows) or b"\0", np.uint8), None)


class _Symbols:
    """A text column as symbols: its bytes if alphabet, separators and all are ASCII, else its code points."""

    def __init__(self, array: Any, alphabet: str, separators: str) -> None:
        self.text = a.text_of(array)
        self.radix = len(alphabet)
        self.wide = not (alphabet + separators).isascii()
        codes = np.array([ord(c) for c in alphabet], np.int64)
        top = max(int(codes.max()), *(ord(c) for c in separators), 255) + 1
        self.table = np.full(top, k.INVALID, np.int32)
        for c in separators:
            self.table[ord(c)] = k.SEPARATOR
        self.table[codes] = np.arange(self.radix, dtype=np.int32)
        self.letters = codes.astype(np.int32 if self.wide else np.uint8)
        if self.wide:
            self.off = np.empty(len(self.text) + 1, np.int32)
            utf8.count_code_points(self.text.offsets, self.text.data, self.off)
            self.symbols: npt.NDArray[Any] = np.empty(max(int(self.off[-1]), 1), np.int32)
            utf8.decode(self.text.offsets, self.text.data, self.symbols)
        else:
            self.off = self.text.relative()
            self.symbols = a.allocate(self.text.nbytes)
            self.symbols[: self.text.nbytes] = self.text.span()

    def run(self, group: Any, invalid: str, what: str, longest: int | None = None) -> Any:
        """Call group(rows, n) for the rows of n numerals, for every n; then give the array back."""
        counts = np.empty(len(self.text), np.int32)
        k.scan(self.off, self.symbols, self.table, counts)
        present = self.text.present()
        least = 2
        while self.radix**least < MIN_DOMAIN:
            least += 1
        foreign = int(np.count_nonzero(present & (counts < 0)))
        short = int(np.count_nonzero(present & (counts >= 0) & (counts < least)))
        long = 0 if longest is None else int(np.count_nonzero(present & (counts > longest)))
        if invalid == "error" and foreign:
            raise ValueRangeError(
                f"{foreign} value(s) hold a character outside the alphabet and the separators",
                hint="Name the alphabet and separators of the column, clean it, or set invalid = 'null'.",
            )
        if invalid == "error" and short:
            raise ValueRangeError(
                f"{short} value(s) have fewer than {least} symbols: {what} needs a domain of {MIN_DOMAIN:,}"
                f" (radix {self.radix})",
                hint="Use `token` or `encrypt` for short values, a larger alphabet, or invalid = 'null'.",
            )
        if invalid == "error" and long:
            raise ValueRangeError(f"{long} value(s) have more than {longest} symbols, the most {what} takes")
        good = present & (counts >= least) & (counts <= (longest or 0x7FFFFFFF))
        for n in np.unique(counts[good]):
            group(np.flatnonzero(good & (counts == n)), int(n))
        if foreign or short or long:
            # The bytes of a value that became null must not stay behind it.
            return a.scrubbed(self._array(good))
        return self._array(self.text.valid)

    def _array(self, valid: npt.NDArray[np.bool_] | None) -> Any:
        if not self.wide:
            return a.build(self.off, self.symbols, valid)
        off = np.empty(len(self.text) + 1, np.int32)
        utf8.encoded_size(self.off, self.symbols, off)
        out = a.allocate(int(off[-1]))
        utf8.encode(self.symbols, int(self.off[-1]), out)
        return a.build(off, out, valid)


@transform(
    "fpe_encrypt",
    takes=TEXT,
    gives=STRING,
    family="reversible",
    keyed="yes",
    columns=("tweak",),
    reverse="fpe_decrypt",
    joins=True,
    keeps_format=True,
)
def fpe_encrypt(
    array: Any,
    *,
    alphabet: Alphabet = _DIGITS,
    separators: str = " -",
    cipher: Strength = "aes-256",
    scope: Scope = "default",
    raw_key: bool = False,
    tweak_hex: Hex = "",
    tweak: list[Any] | None = None,
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """FF1 (NIST SP 800-38G): numerals become other numerals of the same alphabet, separators stay; one to one.

    alphabet: digits, hex, letters, upper, base36, BASE36, base62, or the characters themselves. tweak: columns whose
    text varies the encryption per row (their values must be at hand to decrypt). A domain below 1,000,000 values
    (six digits) is refused, as Revision 1 asks. raw_key: use the key as it is, not one derived for the scope.
    """
    return _fpe(array, cipher, alphabet, separators, scope, raw_key, tweak_hex, tweak, invalid, key, False)


@transform(
    "fpe_decrypt",
    takes=TEXT,
    gives=STRING,
    family="reversible",
    keyed="yes",
    columns=("tweak",),
    reverse="fpe_encrypt",
    joins=True,
    keeps_format=True,
)
def fpe_decrypt(
    array: Any,
    *,
    alphabet: Alphabet = _DIGITS,
    separators: str = " -",
    cipher: Strength = "aes-256",
    scope: Scope = "default",
    raw_key: bool = False,
    tweak_hex: Hex = "",
    tweak: list[Any] | None = None,
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """Undo fpe_encrypt with the same parameters, scope, key and tweak; another key silently gives another value."""
    return _fpe(array, cipher, alphabet, separators, scope, raw_key, tweak_hex, tweak, invalid, key, True)


@transform(
    "fpe_sm4_encrypt",
    takes=TEXT,
    gives=STRING,
    family="reversible",
    keyed="yes",
    columns=("tweak",),
    reverse="fpe_sm4_decrypt",
    joins=True,
    keeps_format=True,
)
def fpe_sm4_encrypt(
    array: Any,
    *,
    alphabet: Alphabet = _DIGITS,
    separators: str = " -",
    scope: Scope = "default",
    raw_key: bool = False,
    tweak_hex: Hex = "",
    tweak: list[Any] | None = None,
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """FF1's construction over SM4 (GB/T 32907-2016) in place of AES: no standard names it; for SM-only environments."""
    return _fpe(array, "sm4", alphabet, separators, scope, raw_key, tweak_hex, tweak, invalid, key, False)


@transform(
    "fpe_sm4_decrypt",
    takes=TEXT,
    gives=STRING,
    family="reversible",
    keyed="yes",
    columns=("tweak",),
    reverse="fpe_sm4_encrypt",
    joins=True,
    keeps_format=True,
)
def fpe_sm4_decrypt(
    array: Any,
    *,
    alphabet: Alphabet = _DIGITS,
    separators: str = " -",
    scope: Scope = "default",
    raw_key: bool = False,
    tweak_hex: Hex = "",
    tweak: list[Any] | None = None,
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """Undo fpe_sm4_encrypt."""
    return _fpe(array, "sm4", alphabet, separators, scope, raw_key, tweak_hex, tweak, invalid, key, True)


@transform("ff3_1_decrypt", takes=TEXT, gives=STRING, family="reversible", keyed="yes", joins=True, keeps_format=True)
def ff3_1_decrypt_(
    array: Any,
    *,
    tweak_hex: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{14}$")],
    alphabet: Alphabet = _DIGITS,
    separators: str = " -",
    cipher: Strength = "aes-256",
    invalid: Invalid = "error",
    key: Key | None = None,
) -> Any:
    """Decrypt what another system encrypted with FF3-1 (56-bit tweak, its own key), to move the data off it."""
    secret = needed(key).exactly(KEY_BYTES[cipher], cipher)
    column = _Symbols(array, alphabet, separators)
    tweak = bytes.fromhex(tweak_hex)

    def group(rows: npt.NDArray[np.int64], n: int) -> None:
        for i in rows:
            span = np.arange(column.off[i], column.off[i + 1])
            where = span[column.table[column.symbols[span]] >= 0]
            plain = ff3_1_decrypt(secret, tweak, column.table[column.symbols[where]].tolist(), column.radix)
            column.symbols[where] = column.letters[plain]

    return column.run(group, invalid, "FF3-1", ff3_1_longest(column.radix))


__all__ = [
    "ALPHABETS",
    "ff3_1_decrypt_",
    "fpe_decrypt",
    "fpe_encrypt",
    "fpe_sm4_decrypt",
    "fpe_sm4_encrypt",
]

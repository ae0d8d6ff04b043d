"""Credentials: keys and tokens whose form their issuers publish, and columns called password or secret."""

from __future__ import annotations

from typing import Final

from ppc.desensitize.discovery.detector import Detector

PEM: Final = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\S]*"
TOKENS: Final = (
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS access key
    r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"  # GitHub
    r"|xox[abprs]-[A-Za-z0-9-]{10,250}"  # Slack
    r"|sk_(?:live|test)_[A-Za-z0-9]{16,250}"  # Stripe
    r"|glpat-[A-Za-z0-9_-]{20,64}"  # GitLab
    r"|AIza[A-Za-z0-9_-]{35}"  # Google
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"  # JSON Web Token (RFC 7519)
)
HASHES: Final = r"\$(?:2[aby]?|5|6|y|argon2(?:i|d|id))\$[A-Za-z0-9./$=,+v-]{20,200}"

DETECTORS: Final = (
    Detector(
        "private_key",
        "secret.key",
        "Private key in PEM form (RFC 7468)",
        pattern=PEM,
        chance=1e-9,
        names=("private_key", "pem", "私钥"),
        length=(27, 1 << 20),
        kinds=("text",),
    ),
    Detector(
        "token",
        "secret.token",
        "Access token or key of a known service",
        pattern=TOKENS,
        chance=1e-9,
        names=("token", "api_key", "apikey", "access_key", "secret_key", "jwt", "bearer"),
        length=(20, 8192),
        kinds=("text",),
    ),
    Detector(
        "password_hash",
        "secret.password",
        "Password hash (crypt, bcrypt, Argon2)",
        pattern=HASHES,
        chance=1e-9,
        names=("password", "passwd", "pwd", "password_hash", "密码"),
        length=(24, 256),
        kinds=("text",),
    ),
    Detector(
        "password",
        "secret.password",
        "Password",
        names=("password", "passwd", "pwd", "passcode", "pin_code", "cvv", "cvv2", "cvc", "密码", "口令", "支付密码"),
        named=0.85,
        kinds=("text", "number"),
    ),
    Detector(
        "secret",
        "secret.token",
        "Credential",
        names=("api_key", "apikey", "access_token", "refresh_token", "auth_token", "secret_key", "client_secret"),
        named=0.8,
        kinds=("text",),
    ),
)

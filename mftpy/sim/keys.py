"""API keys: making a pair for an account, and checking the login tokens that are signed with it."""

from __future__ import annotations

import math
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mftpy.sim.protocol import AUTHENTICATION_FAILED, LARGEST_DOUBLE, Refusal

ALGORITHMS: Final = ["RS256", "RS384", "RS512"]
CLOCK_TOLERANCE_S: Final = 30.0


class Keys:
    """The public keys that may log in, whose they are, and the date of the last token of each."""

    def __init__(self) -> None:
        self._public: dict[str, rsa.RSAPublicKey] = {}
        self._accounts: dict[str, str] = {}
        self._last_iat: dict[str, float] = {}

    def make(self, key_id: str, account: str) -> bytes:
        """Make a key pair for an account; returns the private key in PEM, which is kept nowhere else."""
        private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.add(key_id, account, private.public_key())
        return private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def add(self, key_id: str, account: str, public: rsa.RSAPublicKey) -> None:
        """Let a key log in to an account."""
        self._public[key_id] = public
        self._accounts[key_id] = account

    def check(self, token: str, unix_s: float) -> str:
        """Return the account of a valid token; raises `Refusal` with code 19 and the reason.

        A token is used up by a check that it passes: the next one of its key needs a later ``iat``.
        """
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key_id = kid if isinstance(kid, str) else ""
            public = self._public.get(key_id)
            if public is None:
                raise _failed("unknown key")
            claims = jwt.decode(
                token,
                public,
                algorithms=ALGORITHMS,
                options={"verify_iat": False, "verify_exp": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:  # PyJWT lets some of what it is fed through
            raise _failed(type(error).__name__) from error
        iat: Any = claims.get("iat")
        if isinstance(iat, bool) or not isinstance(iat, int | float) or not abs(iat) <= LARGEST_DOUBLE:
            raise _failed("no iat")
        if abs(iat - unix_s) > CLOCK_TOLERANCE_S:
            raise _failed("iat is not within 30 s of server time")
        if iat <= self._last_iat.get(key_id, -math.inf):
            raise _failed("iat is not later than the last one used")
        self._last_iat[key_id] = float(iat)
        return self._accounts[key_id]


def _failed(reason: str) -> Refusal:
    return Refusal(AUTHENTICATION_FAILED, f"authentication failed: {reason}")

"""Login tokens: the private key of an API key, and the dates on the tokens, which must rise strictly.

The exchange refuses a token that is not dated later than every other one of the same key. Several connections and
processes of one user log in with it, so the last date used is one locked word in a file that all of them share.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mftpy.errors import ConfigError, ResourceError, VenueError

ALGORITHM: Final = "RS512"
MOST_KEY_BYTES: Final = 65_536
LEAST_KEY_BITS: Final = 2048
WORD_BYTES: Final = 32
LOCK_S: Final = 5.0
LOCK_RETRY_S: Final = 0.005

MOST_AHEAD_S: Final = 20.0
"""How far the last token's date may lie ahead of the clock. The exchange allows 30 s between it and its own clock."""


class LoginKey:
    """The id and the private half of an API key. Shows nothing of the latter.

    Parameters
    ----------
    key_id : str
        Such as ``K123456789``; goes into the token's header.
    key : RSAPrivateKey
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key_id: str, key: RSAPrivateKey) -> None:
        self.key_id = key_id
        self._key = key

    def __repr__(self) -> str:
        return f"LoginKey({self.key_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a private key does not travel between processes; load it where it is used")

    @classmethod
    def from_pem(cls, key_id: str, pem: bytes, *, source: str = "the private key") -> LoginKey:
        """Read a key.

        Raises
        ------
        ConfigError
            There is no id, or `pem` is no unencrypted RSA private key of at least 2048 bits.
        """
        if not key_id:
            raise ConfigError("the API key's id is missing; set THALEX_KEY_ID")
        try:
            key = load_pem_private_key(pem, password=None)
        # `from None`: nothing of the key shall stand in a traceback
        except TypeError:
            raise ConfigError(
                f"{source} is encrypted with a password; store it without one, readable by you only"
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigError(f"{source} is not a private key in PEM form") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_KEY_BITS:
            raise ConfigError(f"{source} is not an RSA key of at least {LEAST_KEY_BITS} bits; make one at the exchange")
        return cls(key_id, key)

    @classmethod
    def from_file(cls, key_id: str, path: str | Path) -> LoginKey:
        """Read a key from a file.

        Raises
        ------
        ConfigError
            There is none, others may read it, or it holds no key.
        """
        return cls.from_pem(key_id, _read_private(Path(path)), source=f"the key file {path}")

    def sign(self, issued_s: float) -> str:
        """Return a login token dated `issued_s`, Unix time in seconds with a fraction."""
        return jwt.encode({"iat": issued_s}, self._key, algorithm=ALGORITHM, headers={"kid": self.key_id})


def _read_private(path: Path) -> bytes:
    try:
        # non-blocking, so that a pipe of that name does not hang the start
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a null character
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"the key file {path} cannot be read: {said}; check THALEX_KEY_FILE") from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(f"the key file {path} is not a regular file; check THALEX_KEY_FILE")
        if info.st_mode & 0o077:
            raise ConfigError(f"the key file {path} can be read by others; run: chmod 600 {path}")
        if info.st_size > MOST_KEY_BYTES:
            raise ConfigError(f"the key file {path} is too large to be a private key; check THALEX_KEY_FILE")
        return os.read(fd, MOST_KEY_BYTES)
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be read: {error.strerror}; check THALEX_KEY_FILE") from error
    finally:
        os.close(fd)


class TokenDates:
    """The word that all logins of one user share: the date of the newest token, in microseconds of Unix time.

    Parameters
    ----------
    path : str or Path
        Its file; made, 0600, when it does not exist. Its directory must exist.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock

    def take(self) -> float:
        """Return a date for one token, later than every one that was taken before by anybody.

        Raises
        ------
        ResourceError
            The file cannot be used, or is kept locked by somebody else.
        VenueError
            The newest token is dated so far ahead of the clock that the exchange would refuse a later one: the clock
            was set back, or the file is damaged.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ResourceError(
                f"cannot open {self._path}, where the dates of logins are kept: {error.strerror}"
            ) from error
        try:
            self._lock(fd)
            last_us = self._read(os.pread(fd, WORD_BYTES + 1, 0))
            now_us = round(self._clock() * 1e6)
            next_us = max(now_us, last_us + 1)
            if next_us - now_us > MOST_AHEAD_S * 1e6:
                raise VenueError(
                    f"the last login was dated {(next_us - now_us) / 1e6:.0f} s later than this computer's clock says "
                    f"now, and the exchange takes only later ones; set the clock, or if it was wrong before, "
                    f"remove {self._path}"
                )
            # one write of fixed length: no reader ever finds half of it, and a shorter number leaves no old digits
            os.pwrite(fd, b"%-*d\n" % (WORD_BYTES - 1, next_us), 0)
            # before the token is used: after a power cut it must not be taken again
            os.fsync(fd)
        except OSError as error:
            raise ResourceError(
                f"cannot use {self._path}, where the dates of logins are kept: {error.strerror}"
            ) from error
        finally:
            os.close(fd)
        return next_us / 1e6

    def _lock(self, fd: int) -> None:
        """Lock until the descriptor is closed, also by our death. Everybody holds it for a moment only."""
        end_s = time.monotonic() + LOCK_S
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise ResourceError(
                        f"another process has kept {self._path} locked for {LOCK_S:g} s, so the login cannot be dated; "
                        "is one of yours stopped (Ctrl-Z)? Continue or end it"
                    ) from None
                time.sleep(LOCK_RETRY_S)

    def _read(self, word: bytes) -> int:
        if not word:
            return 0
        text = word.strip()
        if len(word) != WORD_BYTES or not text.isdigit():
            raise ResourceError(f"{self._path}, where the dates of logins are kept, is damaged; remove it")
        return int(text)


def login_token(key: LoginKey, dates: TokenDates) -> str:
    """Return a token for one ``public/login``; every login needs a new one.

    When two connections log in at the same moment, the later token may arrive first, and the exchange then refuses
    the other (`error_codes.AUTHENTICATION_FAILED`): try once more with a new token before believing it.

    Raises
    ------
    ResourceError, VenueError
        See `TokenDates.take`.
    """
    return key.sign(dates.take())

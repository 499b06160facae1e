"""Login tokens: whose key file is taken, what a token says, and that dates rise whoever takes them."""

import base64
import fcntl
import json
import os
import pickle
import stat
import subprocess
import sys
import threading

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mftpy.errors import ConfigError, ResourceError, VenueError
from mftpy.venue.token import MOST_AHEAD_S, LoginKey, TokenDates, login_token

NOW_S = 1_776_715_497.25
KEY = rsa.generate_private_key(65537, 2048)


def pem(key=KEY, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(pem())
    path.chmod(0o600)
    return path


@pytest.fixture
def word(tmp_path):
    return tmp_path / "login-date"


def dates(word, now_s=NOW_S):
    return TokenDates(word, clock=lambda: now_s)


def part(token, number):
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


# the token


def test_a_token_names_the_key_says_when_and_nothing_else_and_verifies(key_file, word):
    token = login_token(LoginKey.from_file("K123456789", key_file), dates(word))
    assert part(token, 0) == {"alg": "RS512", "kid": "K123456789", "typ": "JWT"}
    assert part(token, 1) == {"iat": NOW_S}
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    options = {"verify_iat": False}  # signed at a moment that the test chose
    assert jwt.decode(token, public, algorithms=["RS512"], options=options) == {"iat": NOW_S}


# the key


def test_a_key_of_the_older_pem_form_is_read():
    old = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert LoginKey.from_pem("K1", old).sign(NOW_S).count(".") == 2


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620, 0o644, 0o660, 0o601])
def test_a_key_file_that_others_may_touch_is_refused(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match=r"can be read by others; run: chmod 600"):
        LoginKey.from_file("K1", key_file)


def test_a_missing_key_file_a_directory_and_a_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("missing", ".", "pipe", "missing/deeper", "null\0character"):
        with pytest.raises(ConfigError, match="THALEX_KEY_FILE"):
            LoginKey.from_file("K1", tmp_path / name)


def test_a_key_file_of_any_size_but_a_key_is_refused(key_file):
    key_file.write_bytes(b"\0" * 100_000)
    with pytest.raises(ConfigError, match="too large"):
        LoginKey.from_file("K1", key_file)
    key_file.write_bytes(b"")
    with pytest.raises(ConfigError, match="not a private key"):
        LoginKey.from_file("K1", key_file)


def test_a_missing_id_is_a_sentence_about_the_id():
    with pytest.raises(ConfigError, match="THALEX_KEY_ID"):
        LoginKey.from_pem("", pem())


WRONG_KEYS = {
    "text": (b"SECRET of mine", "not a private key"),
    "damaged": (pem().replace(b"\nMII", b"\nSECRET"), "not a private key"),
    "public": (
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "not a private key",
    ),
    "encrypted": (pem(encryption=BestAvailableEncryption(b"SECRET")), "password"),
    "of another kind": (pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
    "short": (pem(rsa.generate_private_key(65537, 1024)), "2048 bits"),
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_a_wrong_key_is_refused_and_nothing_of_it_is_shown(name, key_file):
    content, said = WRONG_KEYS[name]
    key_file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        LoginKey.from_file("K1", key_file)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for line in content.split(b"\n"):
        assert len(line) < 8 or line.decode() not in str(caught.value)


def test_a_key_shows_its_id_only_and_does_not_travel():
    key = LoginKey.from_pem("K1", pem())
    assert repr(key) == "LoginKey('K1')"
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(key)


# the dates


def test_dates_rise_strictly_on_a_clock_that_stands_or_goes_back(word):
    taken = [dates(word, now_s).take() for now_s in (NOW_S, NOW_S, NOW_S - 5, NOW_S, NOW_S + 1)]
    assert taken == sorted(set(taken))
    assert taken[0] == NOW_S
    assert taken[-1] == NOW_S + 1


def test_the_file_is_ours_alone(word):
    dates(word).take()
    assert stat.S_IMODE(word.stat().st_mode) == 0o600


def test_a_clock_that_was_set_back_far_is_a_sentence_and_changes_nothing(word):
    dates(word).take()
    before = word.read_bytes()
    with pytest.raises(VenueError, match="set the clock"):
        dates(word, NOW_S - MOST_AHEAD_S - 1).take()
    assert word.read_bytes() == before


@pytest.mark.parametrize("content", [b"x", b"-5".ljust(32), b"1" * 31, b"1" * 33, b" " * 32, b"1.5".ljust(32)])
def test_a_damaged_word_is_refused_and_not_taken_for_the_beginning(word, content):
    word.write_bytes(content)
    with pytest.raises(ResourceError, match="damaged"):
        dates(word).take()


def test_a_word_that_cannot_be_kept_is_a_sentence(tmp_path, word):
    with pytest.raises(ResourceError, match="No such file"):
        dates(tmp_path / "missing" / "word").take()
    word.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="dates of logins"):
        dates(word).take()
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_somebody_keeps_is_a_sentence_and_not_a_hang(word, monkeypatch):
    monkeypatch.setattr("mftpy.venue.token.LOCK_S", 0.02)
    first = dates(word).take()
    with word.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match=r"kept .* locked"):
            dates(word).take()
    assert dates(word).take() > first


def test_threads_never_take_the_same_date(word):
    start, taken = threading.Barrier(4), []

    def take():
        start.wait()
        taken.extend(dates(word).take() for _ in range(25))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == 100
    assert max(taken) == pytest.approx(NOW_S + 99e-6, abs=5e-7)  # every one stepped over the one before


def test_processes_never_take_the_same_date(word):
    code = (
        "import sys; from mftpy.venue.token import TokenDates\n"
        "d = TokenDates(sys.argv[1], clock=lambda: 1776715497.25)\n"
        "sys.stdin.readline(); print(*[repr(d.take()) for _ in range(30)])"
    )
    command = [sys.executable, "-c", code, str(word)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    children = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    outputs = []
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        outputs.append([float(text) for text in child.communicate()[0].split()])
    taken = [date for output in outputs for date in output]
    assert len(taken) == len(set(taken)) == 60
    assert all(output == sorted(output) for output in outputs)

"""The command line: bad input gives one sentence and the documented exit code, and leaves nothing behind."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def mftpy(*arguments, **environment):
    """Run the command line as a user would, with a state directory of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "mftpy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in result.stderr
    return result


def refused(result, code, *words):
    """Check exit code, and that the complaint is one line with these words."""
    assert result.returncode == code, result.stderr
    complaint = result.stderr.strip()
    assert "\n" not in complaint
    for word in words:
        assert word in complaint
    return complaint


@pytest.fixture
def state(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--bogus"], "--bogus"),
        (["frobnicate"], "frobnicate"),
        (["--duration", "-1"], "--duration"),
        (["--duration", "0"], "'0'"),
        (["--duration", "nan"], "'nan'"),
        (["--duration", "inf"], "'inf'"),
        (["--duration", "1_000"], "'1_000'"),
        (["--duration", "٣"], "٣"),
        (["--duration"], "--duration"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "1.5"], "'1.5'"),
        (["--dur", "3"], "--dur"),
        (["--network", "moon"], "moon"),
        (["exchange", "--port", "70000"], "70000"),
        (["config"], "ACTION"),
        (["--speed", "0"], "--speed"),
        (["--network", "prod"], "--live"),
        (["--instance", "../x"], "instance"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (["exchange"], "--keys"),
        (["--flow", "recording"], "recording"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(arguments, word, state):
    refused(mftpy(*arguments, **state), 2, word)


@pytest.mark.parametrize("module", ["numpy", "msgspec"])  # the first is imported by mftcore, the second by a command
def test_a_module_that_is_not_installed_is_named_with_what_to_do(module, state, tmp_path):
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('none', name={module!r})")
    refused(mftpy("--duration", "1", PYTHONPATH=str(tmp_path), **state), 5, f"no module {module};", "pip install")


def test_help_and_version_work_and_name_the_exit_codes():
    assert "exit codes" in mftpy("--help").stdout
    assert mftpy("--version").stdout.startswith("mftpy ")


def test_a_configuration_that_init_wrote_checks_and_is_not_overwritten(tmp_path):
    path = tmp_path / "mine.toml"
    assert mftpy("config", "init", str(path)).returncode == 0
    assert mftpy("config", "check", str(path)).returncode == 0
    refused(mftpy("config", "init", str(path)), 2, str(path))


def test_show_explains_every_setting():
    shown = mftpy("config", "show").stdout
    assert "gamma_per_usd = 0.04 1/USD" in shown
    assert "[limits]" in shown


class TestAnExchangeElsewhere:
    URL = "ws://127.0.0.1:9/ws/api/v2"

    def test_without_a_key(self, state):
        refused(mftpy("--url", self.URL, **state, THALEX_KEY_ID="", THALEX_KEY_FILE=""), 2, "THALEX_KEY_ID")

    def test_with_a_key_file_that_is_not_there(self, state):
        result = mftpy("--url", self.URL, **state, THALEX_KEY_ID="K1", THALEX_KEY_FILE="/nonexistent")
        refused(result, 2, "/nonexistent", "THALEX_KEY_FILE")

    def test_with_a_key_file_that_others_can_read(self, state, tmp_path):
        key = tmp_path / "key.pem"
        key.write_text("secret", encoding="ascii")
        key.chmod(0o644)
        complaint = refused(
            mftpy("--url", self.URL, **state, THALEX_KEY_ID="K1", THALEX_KEY_FILE=str(key)), 2, "chmod 600"
        )
        assert "secret" not in complaint

    def test_where_nobody_listens(self, state, tmp_path):
        key = tmp_path / "key.pem"
        key.write_text("secret", encoding="ascii")
        key.chmod(0o600)
        result = mftpy("--url", self.URL, "--out", str(tmp_path), **state, THALEX_KEY_ID="K1", THALEX_KEY_FILE=str(key))
        refused(result, 4, self.URL)


def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_traceback(monkeypatch, capsys):
    class Interrupted:
        @staticmethod
        def find_spec(name, *_):
            if name == "mftpy.cli":
                raise KeyboardInterrupt

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, name = scripts["mftpy"].partition(":")
    command = getattr(importlib.import_module(module), name)
    monkeypatch.delitem(sys.modules, "mftpy.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted, *sys.meta_path])
    assert command() == 130
    assert capsys.readouterr().err == ""

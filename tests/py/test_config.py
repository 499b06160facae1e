"""Settings: defaults, files, flags, and every way in which a file can be wrong."""

import ast
import dataclasses
import inspect
import os
import pickle
import re
import tomllib
import typing
from pathlib import Path

import pytest

from mftpy import config as config_module
from mftpy import decisions, settings_quoting
from mftpy import settings as settings_module
from mftpy.config import SETTINGS, Config, Key, check, load, show, to_toml
from mftpy.errors import ConfigError

ALL = [setting for section in SETTINGS.values() for setting in section.values()]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a configuration file and gives its path."""

    def write_file(text):
        path = tmp_path / "mm.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_file


def refusal(path=None, overrides=None, *, live=False):
    """Return the sentence with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load(path, overrides, live=live)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    return text


# defaults and documentation


def test_nothing_given_means_the_defaults():
    assert load() == load(None, {}) == Config()


def test_the_defaults_are_those_of_the_issue():
    config = load()
    assert (config.venue.network, config.venue.instrument, config.venue.instance) == ("sim", "BTC-PERPETUAL", "default")
    assert (config.model.gamma_per_usd, config.model.sigma_usd_sqrt_s, config.model.horizon) == (0.04, 8, "stationary")
    assert (config.model.A_per_s, config.model.k_per_usd) == (0.55, 0.25)
    assert (config.quoting.clip_coins, config.quoting.max_position_clips) == (0.01, 10)
    assert (config.fees.maker_bps, config.fees.taker_bps) == (1, 5)
    assert config.websocket_url is None


def test_the_model_believes_what_the_embedded_exchange_does_by_default():
    config = load()
    assert config.model.A_per_s == config.exchange.A_per_s
    assert config.model.k_per_usd == config.exchange.k_per_usd
    assert config.model.sigma_usd_sqrt_s == config.exchange.sigma_usd_sqrt_s


def test_the_defaults_pass_their_own_checks():
    assert load(None, {setting.path: setting.default for setting in ALL}) == Config()


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.path)
def test_every_setting_has_a_sentence_of_documentation_at_run_time(setting):
    assert isinstance(setting.key, Key)
    assert re.fullmatch(r"[A-Z\"].*[.]", setting.key.doc, re.DOTALL)


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.path)
def test_a_unit_in_a_name_is_the_documented_one(setting):
    for ending, unit in [
        ("_usd_per_s", "USD/s"), ("_per_usd", "1/USD"), ("_per_s", "1/s"), ("_sqrt_s", "USD/sqrt(s)"),
        ("_after_s", "s"), ("_timeout_s", "s"), ("_feed_s", "s"), ("_coins", "coins"), ("_clips", "clips"),
        ("_ticks", "ticks"),
    ]:  # fmt: skip
        if setting.name.endswith(ending):
            assert setting.key.unit == unit
            break
    if setting.name.endswith("_bps"):
        assert setting.key.unit.startswith("basis points")


def test_a_configuration_cannot_be_changed_and_can_be_sent_to_a_process():
    config = load(None, {"system.cores": [1, 2]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.gamma_per_usd = 1.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(pickle.loads(pickle.dumps(config)))


def test_show_prints_every_setting_with_value_default_unit_and_documentation():
    text = show(load(None, {"model.gamma_per_usd": 0.08}))
    for setting in ALL:
        assert re.search(rf"^  {setting.name} = ", text, re.MULTILINE)
        assert setting.key.doc.split()[0] in text
    assert "gamma_per_usd = 0.08 1/USD  (default 0.04)" in text
    assert 'network = "sim"  (the default)' in text
    assert 'horizon = "stationary"  (the default)' in text


def test_the_written_file_changes_nothing_until_something_is_uncommented(write):
    text = to_toml(as_comments=True)
    assert load(write(text)) == Config()
    values = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert set(values) == set(SETTINGS)
    assert all(set(values[section]) == set(SETTINGS[section]) for section in SETTINGS)
    assert load(write(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))) == Config()


def test_a_configuration_written_and_read_is_the_same(write):
    config = load(
        None,
        {
            "venue.network": "testnet",
            "venue.instance": "second",
            "model.horizon": 12.5,
            "model.gamma_per_usd": 1e-05,
            "limits.max_position_coins": 3,
            "system.cores": [3, 1],
            "output.dir": 'ä "quoted" \\ directory',
            "output.json": True,
        },
    )
    assert load(write(to_toml(config))) == config


def test_no_setting_could_hold_a_secret():
    words = ("password", "secret", "token", "key_id", "key_file", "private", "pem")
    assert not [setting.path for setting in ALL if any(word in setting.name for word in words)]


def test_the_modules_import_nothing_of_ours_but_the_error_and_print_nothing():
    ours = set()
    for module in (config_module, settings_module):
        tree = ast.parse(inspect.getsource(module))
        ours |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "print" not in names
    wanted = {"mftpy.errors", "mftpy.settings", "mftpy.settings_quoting"}
    assert {name for name in ours if name.startswith("mftpy")} == wanted


# merging


def test_flags_outrank_the_file_and_the_file_the_defaults(write):
    path = write("[model]\ngamma_per_usd = 0.5\nk_per_usd = 0.2\n")
    config = load(path, {"model.gamma_per_usd": 0.7})
    assert (config.model.gamma_per_usd, config.model.k_per_usd, config.model.A_per_s) == (0.7, 0.2, 0.55)


def test_a_flag_that_was_not_given_leaves_the_files_value(write):
    assert load(write('[venue]\ninstance = "a"\n'), {"venue.instance": None}).venue.instance == "a"


def test_a_flag_does_not_save_a_wrong_value_in_the_file(write):
    assert "gamma_per_usd" in refusal(write("[model]\ngamma_per_usd = -1\n"), {"model.gamma_per_usd": 1.0})


def test_a_whole_number_will_do_where_a_fraction_may_stand(write):
    config = load(write("[model]\ngamma_per_usd = 1\nhorizon = 20\n"))
    assert (config.model.gamma_per_usd, config.model.horizon) == (1.0, 20.0)
    assert type(config.model.gamma_per_usd) is float
    assert type(config.model.horizon) is float


def test_an_empty_file_and_dotted_keys_are_fine(write):
    assert load(write("")) == Config()
    assert load(write("model.k_per_usd = 0.3\n")).model.k_per_usd == 0.3


# wrong values


WRONG = [
    ("model.gamma_per_usd", "true"),
    ("model.gamma_per_usd", '"0.04"'),
    ("model.gamma_per_usd", "nan"),
    ("model.gamma_per_usd", "-nan"),
    ("model.gamma_per_usd", "inf"),
    ("model.gamma_per_usd", "-inf"),
    ("model.gamma_per_usd", "0"),
    ("model.gamma_per_usd", "-0.0"),
    ("model.gamma_per_usd", "-0.04"),
    ("model.gamma_per_usd", "1e300"),
    ("model.gamma_per_usd", "1" + "0" * 400),
    ("model.gamma_per_usd", "[0.04]"),
    ("model.gamma_per_usd", "{ value = 0.04 }"),
    ("model.gamma_per_usd", "2024-08-08"),
    ("model.A_per_s", "0.0"),
    ("model.k_per_usd", "0.0"),
    ("model.sigma_usd_sqrt_s", "0.0"),
    ("model.horizon", '"rolling"'),
    ("model.horizon", "0"),
    ("model.horizon", "true"),
    ("model.name", '"no model"'),
    ("quoting.clip_coins", "0"),
    ("quoting.max_position_clips", "10.0"),
    ("quoting.max_position_clips", "true"),
    ("quoting.max_position_clips", '"10"'),
    ("quoting.max_position_clips", "0"),
    ("quoting.max_position_clips", "99999999999999999999999"),
    ("quoting.requote_threshold_ticks", "0"),
    ("quoting.min_distance_ticks", "-1"),
    ("quoting.thin_spread_bps", "5001"),
    ("fees.maker_bps", "-101"),
    ("fees.taker_bps", '"5"'),
    ("limits.max_order_coins", "nan"),
    ("limits.max_position_coins", '"none"'),
    ("limits.price_band_bps", "0"),
    ("limits.message_rate_per_s", "0"),
    ("limits.stale_feed_s", "0.1"),
    ("exchange.flow", '"realist"'),
    ("exchange.seed", "-1"),
    ("exchange.seed", "9223372036854775808"),
    ("exchange.initial_price", "0"),
    ("exchange.tick_size", '"0.1"'),
    ("exchange.speed", "0"),
    ("exchange.port", "65536"),
    ("exchange.port", "-1"),
    ("exchange.recording", '"two\\nlines"'),
    ("exchange.recording", '["x.gz", "x.gz"]'),
    ("exchange.recording", '["x.gz", 1]'),
    ("system.wait_mode", '"Spin"'),
    ("system.cores", "1"),
    ("system.cores", "[-1]"),
    ("system.cores", "[1, 1]"),
    ("system.cores", "[0, true]"),
    ("system.cores", '["0"]'),
    ("system.kill_after_s", "0"),
    ("output.json", "1"),
    ("output.json", '"true"'),
    ("output.dir", "false"),
    ("output.dir", '"a\\u0000b"'),
    ("venue.network", '"mainnet"'),
    ("venue.network", '"PROD"'),
    ("venue.instrument", '""'),
    ("venue.instrument", '"BTC PERPETUAL"'),
    ("venue.instance", '""'),
    ("venue.instance", '"a/b"'),
    ("venue.instance", '"../x"'),
    ("venue.instance", '"a b"'),
    ("venue.instance", '"name\\n"'),
    ("venue.instance", '"ä"'),
    ("venue.instance", f'"{"a" * 33}"'),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_wrong_value_is_refused_with_file_and_key(write, key, value):
    section, name = key.split(".")
    path = write(f"[{section}]\n{name} = {value}\n")
    text = refusal(path)
    assert text.startswith(f"{path}: {key} must be ")
    assert ", not " in text


@pytest.mark.parametrize("value", [True, "10", float("nan"), 10.0, -1, object(), [], {}])
def test_a_wrong_value_from_a_flag_is_refused_too(value):
    text = refusal(None, {"quoting.max_position_clips": value})
    assert text.startswith("command line: quoting.max_position_clips must be a whole number from 1 ")


@pytest.mark.parametrize(
    "name", ["a", "A-b_9", "-", "x" * 32], ids=["one letter", "all kinds", "a dash", "the longest"]
)
def test_instance_names_of_the_stated_form_are_taken(name):
    assert load(None, {"venue.instance": name}).venue.instance == name


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.path)
def test_no_number_takes_a_bool_a_word_or_what_is_no_number(setting):
    if float not in (setting.type, *typing.get_args(setting.type)) and setting.type is not int:
        return
    for value in (True, False, "1", "", float("nan"), float("inf"), -float("inf"), 1e308, -1e308, None.__class__):
        assert setting.path in refusal(None, {setting.path: value})


# unknown keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\ngama_per_usd = 1\n", "unknown key model.gama_per_usd; did you mean gamma_per_usd?"),
        ("[model]\ngamma = 1\n", "unknown key model.gamma; did you mean gamma_per_usd?"),
        ("[model]\nGAMMA_PER_USD = 1\n", "unknown key model.GAMMA_PER_USD; "),
        ("[quoting]\ngamma_per_usd = 1\n", "unknown key quoting.gamma_per_usd; it belongs in [model]"),
        ("[quotes]\nclip_coins = 1\n", "unknown section [quotes]; did you mean quoting?"),
        ("[zzz]\n", "unknown section [zzz]; known are venue, model"),
        ("[fees]\nzzz = 1\n", "unknown key fees.zzz; known are maker_bps, taker_bps"),
        ("clip_coins = 0.01\n", "unknown section [clip_coins]"),
        ('[venue]\n"two\\nlines" = 1\n', "unknown key venue.'two\\nlines'"),
        ("[venue.network]\nname = 1\n", "venue.network must be"),
        ("model = 3\n", "model must be a section, [model], not 3"),
        ("[[model]]\ngamma_per_usd = 1\n", "model must be a section, [model], not "),
        ("[venue]\nTHALEX_KEY_ID = 'K'\n", "unknown key venue.THALEX_KEY_ID"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(write, text, said):
    path = write(text)
    sentence = refusal(path)
    assert sentence.startswith(f"{path}: ")
    assert said in sentence


@pytest.mark.parametrize("key", ["", "model", "model.", ".gamma_per_usd", "model.gamma_per_usd.x", "nothing.here"])
def test_an_unknown_flag_name_is_refused(key):
    assert refusal(None, {key: 1}).startswith("command line: ")


# wrong files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[model]\ngamma_per_usd = 1\ngamma_per_usd = 2\n", "line 3: gamma_per_usd has a value already"),
        (b"[model]\n[model]\n", "line 2"),
        (b"\xef\xbb\xbf[model]\n", "byte order mark"),
        ("[venue]\n# Prüfung\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("[venue]\n".encode("utf-16"), "line 1 is not UTF-8"),
        (b"[model\n", "not valid TOML"),
        (b"gamma_per_usd: 0.04\n", "not valid TOML"),
        (b"[model]\ngamma_per_usd =\n", "not valid TOML"),
        (b"[model]\r gamma_per_usd = 1\n", "not valid TOML"),
        (b"\x00", "not valid TOML"),
        (b"a = " + b"[" * 20_000, "nested too deeply"),
        (b"[model]\ngamma_per_usd = " + b"1" * 5000 + b"\n", "not valid TOML"),
        (b"#" * (1 << 20) + b"#", "is it the right file"),
    ],
    ids=[
        "key twice", "section twice", "BOM", "latin-1", "UTF-16", "open bracket", "YAML", "no value", "lone CR", "NUL",
        "nested", "digits", "large",
    ],
)  # fmt: skip
def test_a_file_that_is_no_configuration_is_refused_with_its_name(write, content, said):
    path = write(content)
    text = refusal(path)
    assert text.startswith(f"{path}: ")
    assert said in text


def test_a_directory_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: is a directory; name the TOML file itself"


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "none.toml"
    assert refusal(path) == f"{path}: there is no such file; `mftpy config init` writes one"
    assert "there is no such file" in refusal(str(path))


def test_a_path_through_a_file_is_refused(write):
    path = write("") / "below"
    assert refusal(path).startswith(f"{path}: cannot be read")


def test_an_unreadable_file_is_refused(write):
    path = write("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read any file")
    assert refusal(path) == f"{path}: cannot be read: Permission denied"


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(name):
    refusal(name)


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert refusal(fifo) == f"{fifo}: is not a regular file"
    assert "not a regular file" in refusal("/dev/zero")


def test_the_file_s_name_is_quoted_when_it_is_not_printable(tmp_path):
    assert "\\n" in refusal(tmp_path / "two\nlines")


# settings that are at odds


def test_prod_needs_to_be_asked_for_twice():
    assert "--live" in refusal(None, {"venue.network": "prod"})
    assert load(None, {"venue.network": "prod"}, live=True).websocket_url == "wss://thalex.com/ws/api/v2"


def test_live_alone_changes_nothing():
    assert load(None, live=True) == Config()


def test_testnet_has_its_address():
    assert load(None, {"venue.network": "testnet"}).websocket_url == "wss://testnet.thalex.com/ws/api/v2"


@pytest.mark.parametrize(
    ("network", "url"),
    [
        ("sim", "ws://127.0.0.1:8000"),
        ("sim", "ws://exchange:8000/ws"),
        ("testnet", "ws://localhost:9/ws"),
        ("testnet", "ws://[::1]:9/ws"),
        ("testnet", "wss://testnet.thalex.com/ws/api/v2"),
        ("testnet", "wss://proxy.example/ws"),
    ],
)
def test_an_address_of_one_s_own_is_taken(network, url):
    assert load(None, {"venue.network": network, "venue.url": url}).websocket_url == url


@pytest.mark.parametrize(
    ("network", "url", "said"),
    [
        ("sim", "http://127.0.0.1:8000", "must look like"),
        ("sim", "127.0.0.1:8000", "must look like"),
        ("sim", "ws://", "must look like"),
        ("sim", "ws://a b/", "must look like"),
        ("sim", "wss:thalex.com", "must look like"),
        ("sim", "ws://host:99999/", "not an address"),
        ("sim", "ws://host:port/", "not an address"),
        ("sim", "ws://[::1/", "not an address"),
        ("sim", "ws://user:secret@127.0.0.1/", "user or password"),
        ("sim", "ws://secret@127.0.0.1/", "user or password"),
        ("sim", "wss://thalex.com/ws/api/v2", "address of prod"),
        ("sim", "wss://THALEX.com./ws/api/v2", "address of prod"),
        ("sim", "wss://eu.thalex.com/ws/api/v2", "address of prod"),
        ("testnet", "wss://thalex.com/ws/api/v2", "address of prod"),
        ("sim", "wss://testnet.thalex.com/ws/api/v2", "address of testnet"),
        ("prod", "wss://testnet.thalex.com/ws/api/v2", "address of testnet"),
        ("testnet", "ws://example.com/ws", "unencrypted"),
        ("testnet", "ws://127.0.0.1.example.com/ws", "unencrypted"),
        ("prod", "ws://10.0.0.1/ws", "unencrypted"),
    ],
)
def test_a_wrong_dangerous_or_leaky_address_is_refused(network, url, said):
    text = refusal(None, {"venue.network": network, "venue.url": url}, live=True)
    assert said in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"quoting.clip_coins": 2.0}, "limits.max_order_coins (1)"),
        ({"limits.max_position_coins": 0.05}, "limits.max_position_coins (0.05)"),
        ({"quoting.min_distance_ticks": 5, "quoting.max_distance_ticks": 4}, "quoting.max_distance_ticks (4)"),
        ({"quoting.levels": 8, "quoting.max_position_clips": 7}, "quoting.max_position_clips (7)"),
        ({"model.name": "glft", "model.horizon": 60.0}, "model.horizon is 60"),
        ({"quoting.max_lifetime_s": 0.5, "quoting.min_interval_ms": 501.0}, "quoting.min_interval_ms (501)"),
        ({"model.parameters": (1.0,) * 9}, "9 numbers; there is room for 8"),
        ({"model.parameters": (1.0,)}, "avellaneda_stoikov takes none"),
        ({"estimation.sigma_least_bp": 2.0}, "estimation.sigma_least_bp (2) must be less than sigma_prior_bp (1.3)"),
        ({"estimation.A_most_per_s": 0.5}, "estimation.A_prior_per_s (0.55) must be less than A_most_per_s (0.5)"),
        ({"estimation.range_to_bp": 4.0}, "k_most_per_bp (50) times range_to_bp (4)"),
        ({"system.pull_quotes_after_s": 10.0}, "system.kill_after_s (5)"),
        ({"exchange.flow": "recording"}, "--recording"),
        ({"exchange.flow": "model", "exchange.recording": "x.gz"}, 'must be "recording", not "model"'),
        ({"exchange.recording": "x.gz", "venue.network": "testnet"}, "wss://testnet.thalex.com"),
        ({"exchange.recording": "x.gz", "venue.url": "ws://127.0.0.1:1"}, "ws://127.0.0.1:1"),
    ],
)
def test_settings_that_are_at_odds_are_refused(overrides, said):
    assert said in refusal(None, overrides)


def test_settings_that_meet_at_their_bounds_are_allowed():
    config = load(
        None,
        {
            "quoting.min_distance_ticks": 4,
            "quoting.max_distance_ticks": 4,
            "quoting.levels": 8,
            "quoting.max_position_clips": 8,
            "quoting.max_lifetime_s": 0.5,
            "quoting.min_interval_ms": 500.0,
            "model.name": "mine:quote",
            "model.parameters": (1.0,) * 8,
        },
    )
    assert config.quoting.levels == config.quoting.max_position_clips


def test_there_is_room_for_as_many_numbers_of_the_user_s_as_the_setting_takes():
    assert settings_quoting.PARAMETERS_MOST == decisions.PARAMETERS_OF_USER


def test_a_contradiction_between_file_and_flag_names_both(write):
    path = write("[quoting]\nclip_coins = 0.5\n")
    assert refusal(path, {"limits.max_order_coins": 0.1}).startswith(f"{path} with the flags given: ")


def test_naming_a_recording_selects_its_flow(write):
    assert load(None, {"exchange.recording": "x.gz"}).exchange.flow == "recording"
    assert load(write('[exchange]\nrecording = "x.gz"\n')).exchange.flow == "recording"
    assert load(write('[exchange]\nrecording = ["x.gz", "y.gz"]\n')).exchange.recording == ("x.gz", "y.gz")
    assert load(write('[exchange]\nrecording = ""\n')).exchange.flow == "realistic"


def test_the_position_limit_is_the_quoters_unless_it_is_set():
    assert load(None, {"quoting.max_position_clips": 20}).max_position_coins == pytest.approx(0.2)
    assert load(None, {"limits.max_position_coins": 0.5}).max_position_coins == 0.5


# what the others take from it


def test_the_exchange_s_arguments_are_in_its_units():
    arguments = load(None, {"exchange.seed": 7}).exchange_arguments()
    assert arguments["seed"] == 7
    assert arguments["maker_fee_rate"] == pytest.approx(1e-4)
    assert arguments["taker_fee_rate"] == pytest.approx(5e-4)
    assert arguments["recording"] is None
    assert "tick_size" not in arguments
    recorded = load(None, {"exchange.recording": "x.gz", "exchange.tick_size": 0.5}).exchange_arguments()
    assert (recorded["recording"], recorded["tick_size"]) == (("x.gz",), 0.5)
    assert "lot_size" not in recorded


def test_check_says_what_a_file_changes(write):
    path = write('[venue]\nnetwork = "prod"\n[model]\ngamma_per_usd = 0.1\n')
    assert check(path) == (f"{path}: valid for prod, BTC-PERPETUAL; it changes venue.network, model.gamma_per_usd")
    assert check(write("")).endswith("it changes nothing")
    with pytest.raises(ConfigError):
        check(Path("/nowhere/at/all"))

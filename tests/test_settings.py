"""Where each setting is from, and what it may be."""

from __future__ import annotations

import dataclasses
import logging
import math
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtime import folders, settings
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("# mine\ncontext = 1024\nkeep_alive = '1h'\n")
    return path


def from_env(folder: Path, **variables: str) -> settings.Settings:
    return settings.load(env={f"LLAMALET_{name}": value for name, value in variables.items()}, folder=folder)


def from_arguments(folder: Path, **arguments: object) -> settings.Settings:
    return settings.load(arguments, env={}, folder=folder)


def test_without_anything_given_each_setting_has_its_default(tmp_path: Path) -> None:
    assert settings.load(env={}, folder=tmp_path) == settings.Settings()


def test_the_defaults_are_these() -> None:
    assert {name: setting.default for name, setting in settings.SETTINGS.items()} == {
        "models": None,
        "context": None,
        "slots": 4,
        "threads": 0,
        "prompt_threads": 0,
        "queue": 64,
        "keep_alive": 300.0,
        "timeout": 600.0,
        "date": None,
        "kv_type": "f16",
        "memory": None,
        "gpu_layers": 0,
        "log": "warning",
        "quant": None,
        "download": True,
        "offline": False,
        "parity": False,
        "isolation": None,
        "watchdog": 30.0,
        "host": "localhost",
        "port": 8788,
        "wait": 120.0,
        "token_file": None,
        "token": None,
        "hosts": (),
        "origins": (),
        "unix": None,
        "log_format": "text",
        "log_prompts": False,
    }


@pytest.mark.parametrize("setting", settings.SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_default_is_one_that_its_kind_accepts(setting: settings.Setting) -> None:
    assert setting.default is None or setting.kind.read(setting.default) == setting.default


@pytest.mark.parametrize("setting", settings.SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_on_one_line(setting: settings.Setting) -> None:
    assert setting.help
    assert "\n" not in setting.help


SERVERS = ("host", "port", "wait", "token_file", "token", "hosts", "origins", "unix", "log_format", "log_prompts")


def test_the_keywords_are_the_settings_without_the_servers() -> None:
    assert list(settings.Options.__annotations__) == [name for name in settings.SETTINGS if name not in SERVERS]


def test_the_settings_of_the_server_say_so() -> None:
    assert [name for name, one in settings.SETTINGS.items() if one.help.startswith("server: ")] == list(SERVERS)


def test_the_variable_is_named_after_the_setting() -> None:
    assert settings.SETTINGS["keep_alive"].env == "LLAMALET_KEEP_ALIVE"


def test_the_file_wins_over_the_default(file: Path) -> None:
    found = settings.load(env={}, file=file)
    assert (found.context, found.origin("context")) == (1024, f"{file} line 2")


def test_the_environment_wins_over_the_file(file: Path) -> None:
    found = settings.load(env={"LLAMALET_CONTEXT": "2048"}, file=file)
    assert (found.context, found.origin("context")) == (2048, "LLAMALET_CONTEXT")


def test_the_argument_wins_over_the_environment(file: Path) -> None:
    found = settings.load({"context": 512}, env={"LLAMALET_CONTEXT": "2048"}, file=file)
    assert (found.context, found.origin("context")) == (512, "argument")


def test_what_is_not_given_is_from_the_default(file: Path) -> None:
    assert settings.load(env={}, file=file).origin("slots") == "default"


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_argument_is_not_given(tmp_path: Path, empty: str | None) -> None:
    assert from_arguments(tmp_path, context=empty).origin("context") == "default"


def test_an_empty_variable_is_not_given(tmp_path: Path) -> None:
    assert from_env(tmp_path, CONTEXT="").origin("context") == "default"


def test_a_file_at_the_default_place_is_read(file: Path) -> None:
    assert settings.load(env={}, folder=file.parent).context == 1024


def test_a_file_that_the_environment_names_is_read(file: Path, tmp_path: Path) -> None:
    found = settings.load(env={"LLAMALET_CONFIG": str(file)}, folder=tmp_path / "other")
    assert found.context == 1024


def test_a_file_named_as_argument_wins_over_the_environments(file: Path) -> None:
    assert settings.load(env={"LLAMALET_CONFIG": "/nowhere.toml"}, file=file).context == 1024


def test_a_file_that_the_environment_names_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LLAMALET_CONFIG: there is no file .*none\.toml"):
        settings.load(env={"LLAMALET_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_named_as_argument_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"argument file: there is no file .*none\.toml"):
        settings.load(env={}, file=tmp_path / "none.toml")


def test_the_default_folder_is_llamalets_own() -> None:
    assert folders.own("config").name == "llamalet"


def test_a_models_file_beside_the_config_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "models.toml").touch()
    assert settings.load(env={}, folder=tmp_path).models == tmp_path / "models.toml"


def test_a_models_file_given_wins_over_the_one_beside_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "models.toml").touch()
    assert from_env(tmp_path, MODELS="other.toml").models == Path("other.toml")


def test_a_models_path_in_the_file_is_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("models = 'sub/m.toml'")
    assert settings.load(env={}, folder=tmp_path).models == tmp_path / "sub" / "m.toml"


def test_a_token_files_path_in_the_file_is_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('token_file = "token"', "utf-8")
    assert settings.load(env={}, file=file).token_file == tmp_path / "token"


def test_a_socket_files_path_in_the_file_is_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('unix = "socket"', "utf-8")
    assert settings.load(env={}, file=file).unix == tmp_path / "socket"


def test_a_models_path_may_begin_with_the_home_folder(tmp_path: Path) -> None:
    assert from_arguments(tmp_path, models=Path("~/m.toml")).models == Path.home() / "m.toml"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("300", 300.0), ("5m", 300.0), ("1h", 3600.0), ("1h30m", 5400.0), ("1.5m", 90.0), ("500ms", 0.5), ("0", 0.0),
     ("-1", -1.0), ("-5m", -1.0), ("-0.5", -1.0), (300, 300.0), (2.5, 2.5), (-7, -1.0)],
)  # fmt: skip
def test_keep_alive_takes_seconds_and_durations(tmp_path: Path, written: object, seconds: float) -> None:
    assert from_arguments(tmp_path, keep_alive=written).keep_alive == seconds


@pytest.mark.parametrize(
    "wrong", ["5 m", "m", "5x", "five", "1h30", "--1", True, math.nan, math.inf, 1e9, 10**400, "9" * 400, [5]]
)
def test_keep_alive_refuses_anything_else(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"^argument keep_alive: .* is not accepted; it takes seconds or a duration"):
        from_arguments(tmp_path, keep_alive=wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("context", 255), ("context", 131073), ("context", "4k"), ("context", 4096.0), ("context", True), ("slots", 0),
     ("slots", 65), ("threads", -1), ("queue", 10001), ("timeout", 0), ("timeout", "-1"), ("date", "a\nb"),
     ("date", "x" * 65), ("gpu_layers", -2), ("log", "loud"), ("quant", "Q4 K"), ("models", "a\0b"), ("models", 5),
     ("parity", "maybe"), ("parity", 1), ("host", "a host"), ("host", "h/ost"), ("port", -1), ("port", 65536),
     ("token_file", 5), ("hosts", "a host"), ("hosts", "box:80"), ("hosts", [5]), ("hosts", 5), ("origins", "box.lan"),
     ("origins", "*"), ("origins", "null"), ("origins", "https://a.example/"), ("origins", "https://a.example/path")],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^argument {name}: .* is not accepted; it takes "):
        from_arguments(tmp_path, **{name: value})


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("parity", "on", True),
        ("parity", "0", False),
        ("port", "0", 0),
        ("host", "::1", "::1"),
        ("host", "fe80::1%eth0", "fe80::1%eth0"),
        ("token_file", "/etc/token", Path("/etc/token")),
        ("hosts", "Box.lan, box", ("box.lan", "box")),
        ("origins", "HTTPS://App.example,http://localhost:3000", ("https://app.example", "http://localhost:3000")),
        ("origins", "chrome-extension://abc, http://[::1]:80", ("chrome-extension://abc", "http://[::1]:80")),
    ],
)
def test_a_servers_setting_is_read_from_its_variable(tmp_path: Path, name: str, written: str, value: object) -> None:
    assert getattr(from_env(tmp_path, **{name.upper(): written}), name) == value


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("parity = true", "parity", True),
        ("hosts = ['Box.lan', 'box']", "hosts", ("box.lan", "box")),
        ("origins = []", "origins", ()),
        ("token = 'abc'", "token", "abc"),
        ("token = 1234567890123456", "token", "1234567890123456"),
    ],
)
def test_a_servers_setting_is_read_from_the_file(tmp_path: Path, content: str, name: str, value: object) -> None:
    (tmp_path / "config.toml").write_text(content)
    assert getattr(settings.load(env={}, folder=tmp_path), name) == value


@pytest.mark.parametrize("content", ["parity = 'true'", "parity = 1", "hosts = 'box.lan'", "origins = [1]"])
def test_in_the_file_each_has_its_own_type(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.toml line 1: \w+: .* is not accepted; it takes "):
        settings.load(env={}, folder=tmp_path)


def test_a_token_is_not_in_the_repr(tmp_path: Path) -> None:
    assert "s3cret" not in repr(from_env(tmp_path, TOKEN="s3cret"))


@pytest.mark.parametrize("token", ["short", "two words", "s3cret\0\n"])
def test_a_token_is_not_looked_at_where_a_complaint_would_show_it(tmp_path: Path, token: str) -> None:
    assert from_arguments(tmp_path, token=token).token == token


def test_a_bad_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        from_env(tmp_path, CONTEXT="12x")
    expected = "LLAMALET_CONTEXT: '12x' is not accepted; it takes a whole number from 256 to 131072 (tokens)."
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("\ncontext = 1", "line 2: context: 1 is not accepted; it takes a whole number from 256 to 131072 (tokens)."),
        ("context = '4096'", "line 1: context: '4096' is not accepted"),
        ("slots = 2\ncontxt = 4096", "line 2: contxt: is not a key known here. Did you mean context?"),
        ("[server]\nport = 1", "line 1: server: is not a key known here."),
        ("context = ", "line 1: no valid TOML"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_key(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "config.toml").write_text(content)
    with pytest.raises(ConfigError) as raised:
        settings.load(env={}, folder=tmp_path)
    assert f"{tmp_path / 'config.toml'} {complaint}" in str(raised.value)


def test_an_unknown_argument_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"argument contxt: is no setting\. Did you mean context\?"):
        from_arguments(tmp_path, contxt=1)


def warnings(caplog: pytest.LogCaptureFixture, env: Mapping[str, str], folder: Path) -> list[str]:
    with caplog.at_level(logging.WARNING, logger="llamalet"):
        settings.load(env=env, folder=folder)
    return [record.getMessage() for record in caplog.records]


def test_an_unknown_variable_is_warned_of(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (message,) = warnings(caplog, {"LLAMALET_CONTXT": "1"}, tmp_path)
    assert message == "LLAMALET_CONTXT is no setting and is ignored. Did you mean context?"


def test_variables_of_others_are_not_warned_of(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    assert warnings(caplog, {"LLAMALET_WHEEL_INDEX": "x", "LLAMALET_CONFIG": "", "LLAMA": "x"}, tmp_path) == []


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.Settings().context = 1  # type: ignore[misc]


def test_settings_survive_a_pipe_with_their_origins(file: Path) -> None:
    found = settings.load(env={}, file=file)
    assert pickle.loads(pickle.dumps(found)).origin("context") == found.origin("context")


def test_the_environment_is_the_processs_own_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMALET_SLOTS", "7")
    assert settings.load(folder=tmp_path).slots == 7

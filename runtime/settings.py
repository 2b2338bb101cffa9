"""The settings: one table, which is the class `Settings` itself.

What a setting is comes from, in this order: an argument (a command line flag or a keyword), the environment variable
`LLAMALET_<NAME>`, the configuration file, the default. None and the empty text count as not given.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, TypeVar

from runtime import folders, tomlfile
from runtime.errors import ConfigError
from runtime.tomlfile import Kind, choice, file_path, several, suggestion, switch, text, whole
from runtime.units import KEEP_ALIVE, MEMORY, PATIENCE, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger("llamalet")

T = TypeVar("T")
PREFIX = "LLAMALET_"
FILE_VARIABLE = "LLAMALET_CONFIG"  # names the configuration file
NOT_OURS = ("LLAMALET_WHEEL_INDEX", "LLAMALET_TEST_FAULT")  # read by the installer, and by an engine under test
PATH = file_path("the path of a TOML file")
TOKENS = {"token", "token_file"}
TOKEN: Kind[str] = Kind("a token", lambda value: True, str)  # checked where it is used: a complaint here would show it


def _setting(kind: Kind[T], default: T, help: str, *, secret: bool = False) -> T:  # noqa: A002 - its usual name
    return field(default=default, repr=not secret, metadata={"kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """Each setting with its kind, its default, and its unit and the default's reason in the help."""

    models: Path | None = _setting(  # noqa: RUF009 - a field, and no value that instances share
        PATH, None, "TOML file with models and LoRA adapters of your own; default: models.toml beside the config file"
    )
    context: int | None = _setting(
        whole(256, 131072, "(tokens)"),
        None,
        "tokens of all requests together that the KV cache holds; default: 8192, or the model's window, or what leaves "
        "half of the memory free",
    )
    slots: int = _setting(
        whole(1, 64),
        4,
        "requests decoded at once; 8 on two cores write twice the tokens of one, each at a quarter of its speed",
    )
    threads: int = _setting(
        whole(0, 512), 0, "threads to compute with; 0 takes the fast physical cores that affinity and CPU quota leave"
    )
    prompt_threads: int = _setting(
        whole(0, 512), 0, "threads to read prompts with, and to write several answers at once; 0 takes as many"
    )
    queue: int = _setting(
        whole(0, 10000), 64, "requests that may wait; 64, since on a CPU those behind would wait for minutes"
    )
    keep_alive: float = _setting(
        KEEP_ALIVE,
        300.0,
        "how long an idle model stays loaded where no request says it: seconds, or 5m, which is Ollama's default; 0: "
        "not at all; negative: for ever",
    )
    timeout: float = _setting(
        TIMEOUT, 600.0, "seconds a request may take in all, waiting included; 600 is when OpenAI's client gives up"
    )
    date: str | None = _setting(
        text("one line of at most 64 characters", r"[^\x00-\x1f\x7f]{1,64}"),
        None,
        "what the prompt gives as today's date, such as \"26 Jul 2024\"; default: today, as in Llama 3.2's template",
    )
    kv_type: str = _setting(
        choice("f16", "q8_0"),
        "f16",
        "numbers in the KV cache; q8_0 takes 17/32 of the memory, and is less exact (docs/fit.md)",
    )
    memory: int | None = _setting(
        MEMORY,
        None,
        "what all models together may take, such as 4GiB; default: the memory available, limits of containers included",
    )
    gpu_layers: int = _setting(
        whole(-1, 1000), 0, "layers of the model to put on a GPU, -1 for all; 0, for machines that have none"
    )
    log: str = _setting(
        choice("debug", "info", "warning", "error"),
        "warning",
        "level of the library's loggers; warning is Python's own",
    )
    quant: str | None = _setting(
        text("a quant's name such as Q4_K_M", r"\w{1,32}"),
        None,
        "quant to prefer where a request names none; default: the model's own, Q4_K_M for the built-in ones",
    )
    download: bool = _setting(
        switch(),
        True,
        "fetch a model's file where it is used first and is not here; a request over HTTP never waits for that",
    )
    offline: bool = _setting(
        switch(), False, "open no connection, whatever is asked for; HF_HUB_OFFLINE=1 means the same"
    )
    parity: bool = _setting(
        switch(), False, "answer as the service itself: nothing forgiven, and nothing added, that it does not have"
    )
    isolation: str | None = _setting(
        choice("none", "process"),
        None,
        "where llama.cpp runs: in a process of its own, or in this one; default: process for the server, else none",
    )
    watchdog: float = _setting(PATIENCE, 30.0, "seconds after which a process that does nothing for them is ended")
    host: str = _setting(
        text("a host name or an IP address", r"[\w.:%-]{1,255}"),
        "localhost",
        "server: where to listen; localhost is reached from this machine only, any other address takes a token",
    )
    port: int = _setting(whole(0, 65535), 8788, "server: port to listen on, 0 for any; 8787 is taken by `wrangler dev`")
    wait: float = _setting(TIMEOUT, 120.0, "server: seconds a request may wait for a place, its model's load aside")
    token_file: Path | None = _setting(  # noqa: RUF009 - as above
        file_path("the path of a file with tokens"),
        None,
        "server: file with the token that clients must send, or several, a line each, with a name before it or not",
    )
    token: str | None = _setting(
        TOKEN, None, "server: the token itself; a file is better, since others may see a variable", secret=True
    )
    hosts: tuple[str, ...] = _setting(
        several(text("a host name", r"[a-z0-9._-]{1,255}", str.lower)),
        (),
        "server: names, besides localhost and its addresses, under which clients may reach it",
    )
    origins: tuple[str, ...] = _setting(
        several(text("an origin such as https://app.example", r"[a-z][a-z0-9+.-]*://[a-z0-9.:_\[\]-]*", str.lower)),
        (),
        "server: web pages, as their origins, that may call it; none, so that no page a user visits can",
    )
    unix: Path | None = _setting(  # noqa: RUF009 - as above
        file_path("the path of a socket file"), None, "server: socket file to listen at, in place of host and port"
    )
    log_format: str = _setting(choice("text", "json"), "text", "server: of the lines of its log")
    log_prompts: bool = _setting(switch(), False, "server: have the log tell what users ask, which it never does else")
    _origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def origin(self, name: str) -> str:
        """Where the value is from: "argument", "LLAMALET_CONTEXT", "/path/config.toml line 3" or "default"."""
        return self._origins.get(name, "default")


class Options(TypedDict, total=False):
    """The settings of a `Runtime` as keywords: what may be given for each. None is not given."""

    models: str | os.PathLike[str] | None
    context: int | None
    slots: int | None
    threads: int | None
    prompt_threads: int | None
    queue: int | None
    keep_alive: float | str | None
    timeout: float | str | None
    date: str | None
    kv_type: str | None
    memory: int | str | None
    gpu_layers: int | None
    log: str | None
    quant: str | None
    download: bool | None
    offline: bool | None
    parity: bool | None
    isolation: Literal["none", "process"] | None
    watchdog: float | str | None


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table, for whatever lists the settings."""

    name: str
    kind: Kind[object]
    default: object
    help: str

    @property
    def env(self) -> str:
        return PREFIX + self.name.upper()


SETTINGS: Mapping[str, Setting] = {
    row.name: Setting(row.name, row.metadata["kind"], row.default, row.metadata["help"])
    for row in fields(Settings)
    if row.metadata
}


class _Given(NamedTuple):
    value: object
    origin: str


def load(
    overrides: Mapping[str, object] | Options | None = None,
    *,
    env: Mapping[str, str] | None = None,
    file: Path | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings as they hold. Raises ConfigError naming origin, value, and what is accepted.

    overrides: the arguments, by name. env: by default this process's environment.
    file: the configuration file; by default the one that LLAMALET_CONFIG names, which must exist as well, else
        config.toml in `folder` (default: this user's own), which may be missing.
    """
    env = os.environ if env is None else env
    _warn_of_unknown(env)
    path = _config_file(env, file, folder)
    # Each replaces what was given before it.
    given = _from_file(path) if os.path.exists(path) else {}
    for higher in (_from_env(env), _from_arguments(overrides or {})):
        if higher.keys() & TOKENS:  # two names of one thing: who says one unsays the other
            given = {name: each for name, each in given.items() if name not in TOKENS}
        given |= higher
    if "models" not in given and os.path.exists(beside := path.with_name("models.toml")):
        given["models"] = _Given(beside, "default")
    values: dict[str, Any] = {name: each.value for name, each in given.items()}
    return Settings(**values, _origins={name: each.origin for name, each in given.items()})


def models_file() -> Path:
    """Where the user's own models are looked for when nothing else is said, whether it is there or not."""
    return _config_file(os.environ).with_name("models.toml")


def _config_file(env: Mapping[str, str], file: Path | None = None, folder: Path | None = None) -> Path:
    return _named_file(file, env) or (folder or folders.own("config")) / "config.toml"


def _named_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    """The configuration file that somebody asked for. Raises ConfigError if it is not there."""
    named, origin = (file, "argument file") if file else (env.get(FILE_VARIABLE), FILE_VARIABLE)
    if not named:
        return None
    path = Path(os.path.expanduser(named))
    if not path.is_file():
        raise ConfigError(f"{origin}: there is no file {path}.")
    return path


def _from_file(path: Path) -> dict[str, _Given]:
    root = tomlfile.read(path)
    values = root.read({name: tomlfile.Key(setting.kind) for name, setting in SETTINGS.items()})
    for name in values.keys() & {"models", "token_file", "unix"}:
        values[name] = path.parent / values[name]
    return {name: _Given(value, f"{path} line {root.line(name)}") for name, value in values.items()}


def _from_env(env: Mapping[str, str]) -> dict[str, _Given]:
    return {
        name: _Given(_read(setting, env[setting.env], setting.env), setting.env)
        for name, setting in SETTINGS.items()
        if env.get(setting.env)
    }


def _from_arguments(overrides: Mapping[str, object] | Options) -> dict[str, _Given]:
    for name in overrides:
        if name not in SETTINGS:
            raise ConfigError(f"argument {name}: is no setting.", suggestion(name, SETTINGS))
    return {
        name: _Given(_read(SETTINGS[name], value, f"argument {name}"), "argument")
        for name, value in overrides.items()
        if value is not None and value != ""
    }


def _read(setting: Setting, value: object, origin: str) -> object:
    try:
        return setting.kind.read_text(value) if isinstance(value, str) else setting.kind.read(value)
    except ValueError as wrong:
        raise ConfigError(f"{origin}: {wrong}") from None


def _warn_of_unknown(names: Iterable[str]) -> None:
    """A variable misspelt would otherwise be dropped in silence."""
    known = [*(setting.env for setting in SETTINGS.values()), FILE_VARIABLE, *NOT_OURS]
    for name in names:
        if name.startswith(PREFIX) and name not in known:
            log.warning("%s is no setting and is ignored. %s", name, suggestion(name.removeprefix(PREFIX), SETTINGS))

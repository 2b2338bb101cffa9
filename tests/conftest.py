"""No test reads the configuration, or the models, of whoever runs it."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

# Before anything imports them: the hub reads the first once, llama.cpp the others.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else idle threads burn the cores that tests share

from huggingface_hub import constants

from runtime import Runtime
from runtime.grammar import compile_schema
from runtime.store import records
from tests import invariants
from tests.canary import family
from tests.commands import Shell
from tests.grammars import Check, Judge
from tests.models import canary_model
from tests.rawgguf import model_bytes
from tests.stores import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.canary import Family
    from tests.hub import LoopbackHub


def _move_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `home` the home of this process and those it starts. The hub's cache is in it, `hub`."""
    for name in [name for name in os.environ if name.startswith(("LLAMALET_", "HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "HF_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))  # read from the environment at the import


@pytest.fixture(scope="session", autouse=True)
def _home_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what several tests share."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _move_in(tmp_path_factory.mktemp("home"), monkeypatch)
        state = tmp_path_factory.mktemp("state")  # one for all: files that several tests share are known to each
        monkeypatch.setattr(records, "folder", lambda: state)
        yield


@pytest.fixture(autouse=True)
def home(_home_of_all: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for each test."""
    home = tmp_path_factory.mktemp("home")
    _move_in(home, monkeypatch)
    return home


@pytest.fixture(scope="session")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model whose greedy answers are known. See `tests.models`."""
    path = tmp_path_factory.mktemp("models") / "canary.gguf"
    canary_model(path)
    return path


@pytest.fixture(scope="session")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The canary, its siblings and its adapters. See `tests.canary`."""
    return family(tmp_path_factory.mktemp("canaries"))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The path of a file that passes every check before llama.cpp, and has no weights: for scripted engines."""
    path = tmp_path / "one.gguf"
    path.write_bytes(model_bytes())
    return str(path)


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """llama.cpp's grammar engine."""
    judge = Judge(tmp_path_factory.mktemp("judge") / "vocabulary.gguf")
    yield judge
    judge.close()


@pytest.fixture(scope="session")
def check(judge: Judge) -> Check:
    """`check(schema, value, accept)`: does the engine take the value under the schema's grammar?"""

    def check(schema: Any, value: Any, accept: bool, *, closed: bool = False) -> None:
        text = json.dumps(value, ensure_ascii=False)
        assert judge.accepts(compile_schema(schema, closed=closed), text) is accept, f"{text} under {schema}"

    return check


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No thread, open file, socket or process is there after the test that was not before."""
    with invariants.nothing_left():
        yield


@pytest.fixture
def shell() -> Shell:
    return Shell()


@pytest.fixture
def runtimes() -> Iterator[Callable[..., Runtime]]:
    """Makes runtimes with this engine in the place of llama.cpp's, and closes them."""
    made: list[Runtime] = []

    def make(engines: Any, **options: Any) -> Runtime:
        made.append(Runtime(make_engine=engines, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """The level is a setting, and stays in the process."""
    logger = logging.getLogger("llamalet")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub on loopback, which this process takes for the real one."""
    with loopback(monkeypatch) as hub:
        yield hub

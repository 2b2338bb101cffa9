"""What README.md and docs/ show is true: each snippet runs as it stands, each command and link is one that exists."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click
import pytest

from runtime import catalog, settings
from runtime.cli import main
from runtime.server.listen import DRAIN
from runtime.server.tokens import Tokens
from tests.callers import WORDS
from tests.models import canary_adapter, key_token, random_model
from tests.programs import HERE as CLIENTS
from tests.programs import PACKAGES
from tests.snippets import ADDRESS, PAGES, ROOT, SOCKET, place, snippets, the
from tests.weather import TEXT, weather_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Running
    from tests.snippets import Place, Snippet

# By page and beginning. Everything else is run.
NOT_RUN = {
    ("README.md", "./scripts/quickstart"): "makes an environment in the checkout; CI runs it",
    ("README.md", "./scripts/test"): "is the suite itself",
    ("docs/demo-model.md", "python -m scripts.train_demo"): "takes PyTorch and hours",
    ("docs/install.md", "LLAMALET_WHEEL_INDEX="): "takes an index of wheels, which is on the network",
    ("docs/install.md", "pip install . "): "the same",
    ("docs/install.md", "pip install --force"): "compiles llama.cpp",
    ("docs/install.md", "CMAKE_ARGS="): "compiles llama.cpp",
    ("docs/server.md", "scrape_configs:"): "is for Prometheus, which is not here",
    ("docs/service.md", "sudo python3 -m venv"): "changes the system; test_service.py checks the unit",
    ("docs/service.md", "sudo systemctl edit"): "changes the system",
    ("docs/service.md", "$serve ="): "is for Windows",
    ("docs/service.md", "docker build"): "takes Docker; scripts/dockerfile_steps.py carries out the same steps",
}


def reason(snippet: Snippet) -> str | None:
    """Why it is not run."""
    reasons = (why for (page, text), why in NOT_RUN.items() if snippet.page == page and snippet.text.startswith(text))
    return next(reasons, None)


SNIPPETS = [one for one in snippets() if reason(one) is None]
CODE_SPANS = re.compile(r"`(llamalet [^`]+)`|^    (?:\$ )?(llamalet [^\n]+?)(?:  .*)?$", re.MULTILINE)


def marked(snippet: Snippet) -> Any:
    """As a parameter, which is skipped where its program is missing."""
    language, _, way = snippet.words.partition(" ")
    if way in PACKAGES:
        return pytest.param(snippet, marks=[pytest.mark.clients, PACKAGES[way].mark], id=str(snippet))
    if language == "js":
        return pytest.param(snippet, marks=[pytest.mark.clients, PACKAGES["cloudflare.js"].mark], id=str(snippet))
    no_curl = "curl " in snippet.text and shutil.which("curl") is None
    return pytest.param(snippet, marks=pytest.mark.skipif(no_curl, reason="needs curl"), id=str(snippet))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def server(here: Place) -> Iterator[str]:
    with here.serving(the("README.md", "sh serves").first) as address:
        yield address


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Its date is a key, so that prompts without one are answered in a way that is known."""
    with weather_service(tmp_path_factory.mktemp("weather"), token=None, date=key_token(WORDS)) as running:
        yield running


@pytest.mark.parametrize("snippet", [marked(one) for one in SNIPPETS])
def test_a_snippet_runs(snippet: Snippet, request: pytest.FixtureRequest) -> None:
    way = snippet.words.partition(" ")[2]
    run = _client if way in PACKAGES else RUNNERS.get(snippet.words)
    assert run, f"{snippet}: tests/test_docs.py does not know how to run this; or say in NOT_RUN why it cannot be"
    run(snippet, request.getfixturevalue)


def _python(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    done = fixture("here").run([sys.executable, "-c", snippet.text])
    assert (done.returncode, done.stderr) == (0, "")
    if promised := re.findall(r"print\(error\.code, error\.message\)  # (.*)", snippet.text):
        assert done.stdout.splitlines() == promised


def _python_server(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    done = fixture("here").run([sys.executable, "-c", snippet.text.replace(ADDRESS, fixture("server"))])
    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", True)


def _js_server(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    command = ["node", "--input-type=module", "-e", snippet.text.replace(ADDRESS, fixture("server"))]
    done = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", True)


def _client(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    """With the package that it is about, of a server whose answer is known."""
    program, url = PACKAGES[snippet.words.split()[1]].command[0], fixture("weather").url
    code = snippet.text.replace(ADDRESS, url).replace("localAI()", f'localAI("{url}")')
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [program, *(["--input-type=module", "-e"] if program == "node" else ["-c"]), code],
        cwd=CLIENTS,
        env=kept | {"HOME": str(fixture("home")), "USERPROFILE": str(fixture("home"))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, TEXT), done.stderr


def _sh(snippet: Snippet, fixture: Callable[[str], Any], *changed: tuple[str, str]) -> None:
    """Each line is a command that succeeds and says something; one that asks a model gets an answer."""
    for command in snippet.lines:
        for written, meant in changed:
            command = command.replace(written, meant)
        done = fixture("here").run(["bash", "-c", command])
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert done.stdout
        assert '"errors":[{' not in done.stdout
        assert '"response":' in done.stdout or "/ai/run/" not in command


def _sh_server(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    _sh(snippet, fixture, (ADDRESS, fixture("server")))


def _sh_serves(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    """A command that serves, until it is ended."""
    if "--unix" in snippet.text and not hasattr(socket, "AF_UNIX"):
        pytest.skip("this system has no Unix sockets")
    with tempfile.TemporaryDirectory(prefix="llamalet") as folder:
        command = snippet.text.replace(SOCKET, f"{folder}/socket")
        with fixture("here").serving(command) as address:
            assert address.startswith("unix:" if "--unix" in command else "http:")


def _sh_socket(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("this system has no Unix sockets")
    with tempfile.TemporaryDirectory(prefix="llamalet") as folder:
        serves = the(snippet.page, "sh serves").text.replace(SOCKET, f"{folder}/socket")
        with fixture("here").serving(serves):
            _sh(snippet, fixture, (SOCKET, f"{folder}/socket"))


def _models_file(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    folder: Path = fixture("tmp_path")
    (folder / "models.toml").write_text(snippet.text, "utf-8")
    (folder / "models").mkdir()
    (folder / "adapters").mkdir()
    random_model(folder / "models" / "my-llama-Q8_0.gguf")
    canary_adapter(folder / "adapters" / "pirate.gguf")
    spec = catalog.load(folder / "models.toml").find("mine").spec
    assert (spec.default_quant, [adapter.name for adapter in spec.adapters]) == ("Q8_0", ["pirate"])


def _settings_file(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    folder: Path = fixture("tmp_path")
    (folder / "config.toml").write_text(snippet.text, "utf-8")
    found = settings.load({}, env={}, folder=folder)
    named = re.findall(r"^(\w+) =", snippet.text, re.MULTILINE)
    assert named
    assert all(found.origin(name).startswith(str(folder)) for name in named)


def _json(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    """Each line is a value. (`test_docs_server.py` compares the line of the log with one that the server wrote.)"""
    assert [json.loads(line) for line in snippet.lines]


def _jsonc(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    """It stands in the file that the test of wrangler uses."""
    assert snippet.text.strip() in (CLIENTS / "worker" / "wrangler.jsonc").read_text("utf-8")


def _tokens_file(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    folder: Path = fixture("tmp_path")
    (folder / "tokens").write_text(snippet.text)
    found = Tokens.of(settings.load({"token_file": folder / "tokens"}, env={}, folder=folder))
    assert found
    assert [one.name for one in found.known] == ["ann", "ci", "ci"]


def _launchd(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    found = plistlib.loads(snippet.text.encode())
    assert found["ProgramArguments"][1:] == ["serve"]
    assert found["ExitTimeOut"] > DRAIN


def _unit(snippet: Snippet, fixture: Callable[[str], Any]) -> None:
    """systemd takes it beside our unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    folder: Path = fixture("tmp_path")
    beside = folder / "llamalet.service.d"
    beside.mkdir()
    for file, text in (
        (folder / "llamalet.service", (ROOT / "scripts" / "llamalet.service").read_text("utf-8")),
        (beside / "override.conf", snippet.text),
    ):
        file.write_text(text.replace("/opt/llamalet/bin/llamalet", sys.executable))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(folder / "llamalet.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


RUNNERS: dict[str, Callable[[Snippet, Callable[[str], Any]], None]] = {
    "python": _python,
    "python server": _python_server,
    "js server": _js_server,
    "sh": _sh,
    "sh server": _sh_server,
    "sh serves": _sh_serves,
    "sh socket": _sh_socket,
    "toml": _models_file,
    "toml settings": _settings_file,
    "json": _json,
    "jsonc": _jsonc,
    "text": _tokens_file,
    "xml": _launchd,
    "ini": _unit,
}


def test_what_is_not_run_is_there() -> None:
    assert len([one for one in snippets() if reason(one)]) == len(NOT_RUN)


def test_each_package_has_its_snippet() -> None:
    shown = [one.words.split()[1] for one in snippets() if one.page == "docs/clients.md"]
    assert sorted(shown) == sorted(PACKAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_fence_that_is_opened_is_closed(page: Path) -> None:
    fences = re.findall(r"^```.*$", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len([one for one in snippets() if ROOT / one.page == page])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for link, section in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        if section:
            titles = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            assert section in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, section


def commands_named() -> list[Any]:
    """Each command of ours that a page names in passing."""
    found = [(page, "".join(one)) for page in PAGES for one in CODE_SPANS.findall(page.read_text("utf-8"))]
    return [pytest.param(text, id=f"{page.name}: {text}") for page, text in dict.fromkeys(found)]


@pytest.mark.parametrize("text", commands_named())
def test_a_command_that_is_named_exists_with_its_options(text: str) -> None:
    words = [word for word in shlex.split(text.replace("\n", " "))[1:] if word != "-"]
    verb = next(word for word in words if not word.startswith("-"))
    assert verb in main.commands
    known = {name for one in main.commands[verb].params if isinstance(one, click.Option) for name in one.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}


def test_the_lock_file_names_no_addresses() -> None:
    """Those would be of the registry that some machine uses."""
    assert '"resolved"' not in (CLIENTS / "package-lock.json").read_text("utf-8")

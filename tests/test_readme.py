"""What the README shows is true: its snippets run as they stand, on a model that bears the name of a real one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime import catalog
from runtime.settings import SETTINGS
from tests.models import canary_adapter, random_model
from tests.programs import HERE as CLIENTS
from tests.programs import PACKAGES
from tests.servers import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "http://localhost:8788"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [(ROOT / "docs" / name).read_text("utf-8") for name in ("models.md", "json-documents.md", "fit.md")]


def snippets(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model in the hub's cache under the name, and with the size, of Llama 3.2 1B."""
    folder = tmp_path_factory.mktemp("place")
    random_model(folder / "tiny.gguf", context=4096)
    hub = Hub(folder / "hub", {"1b": folder / "tiny.gguf"})
    for file, sha256 in hub.hashes.items():  # for the processes to come, as the hub has done for this one
        code = "import sys, pathlib; from runtime.store import records; "
        code += f"records.remember(pathlib.Path({str(file)!r}), {sha256!r})"
        run(folder, [sys.executable, "-c", code])
    return folder


def environment(place: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LLAMALET_", "HF_"))}
    ours |= {"HF_HUB_CACHE": str(place / "hub"), "HOME": str(place), "XDG_CONFIG_HOME": str(place)}
    return ours | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "LLAMALET_THREADS": "1"}


def run(place: Path, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    pipes: dict[str, Any] = {"input": text, "capture_output": True, "text": True}
    return subprocess.run(command, cwd=place, env=environment(place), check=False, timeout=300, **pipes)


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[str]:
    """The address of `llamalet serve`, which the README has on its own port."""
    pipes: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(["llamalet", "serve", "--port", "0"], cwd=place, env=environment(place), **pipes) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://[\w.:]+", process.stderr.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


@pytest.mark.parametrize(
    "code", snippets("python", "\n".join([README, *PAGES])), ids=lambda code: code.strip().splitlines()[-1][:40]
)
def test_a_python_snippet_runs(place: Path, code: str) -> None:
    done = run(place, [sys.executable, "-c", code])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_error_shown_is_the_error_raised(place: Path) -> None:
    (code,) = (code for code in snippets("python") if "except LlamaletError" in code)
    (promised,) = re.findall(r"print\(error\.code, error\.message\)  # (.*)", code)
    assert run(place, [sys.executable, "-c", code]).stdout.strip() == promised


@pytest.mark.parametrize("command", [line for block in snippets("sh server") for line in block.splitlines()])
def test_a_command_gets_its_answer_from_the_server(place: Path, server: str, command: str) -> None:
    done = run(place, ["bash", "-c", command.replace(ADDRESS, server)])
    assert done.returncode == 0
    assert '"response":' in done.stdout
    assert '"errors":[{' not in done.stdout


@pytest.mark.parametrize("code", snippets("python server"), ids=lambda code: code.splitlines()[0])
def test_a_python_client_gets_its_answer_from_the_server(place: Path, server: str, code: str) -> None:
    done = run(place, [sys.executable, "-c", code.replace(ADDRESS, server)])
    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", True)


@PACKAGES["cloudflare.js"].mark
def test_the_javascript_client_gets_its_answer_from_the_server(server: str) -> None:
    (code,) = snippets("js server")
    command = ["node", "--input-type=module", "-e", code.replace(ADDRESS, server)]
    done = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr, bool(done.stdout)) == (0, "", True)


@pytest.mark.parametrize("command", [line for block in snippets("sh") for line in block.splitlines()])
def test_a_command_runs(place: Path, command: str) -> None:
    done = run(place, ["bash", "-c", command])
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_models_file_is_accepted(tmp_path: Path) -> None:
    (text,) = snippets("toml")
    (tmp_path / "models.toml").write_text(text, "utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "adapters").mkdir()
    random_model(tmp_path / "models" / "my-llama-Q8_0.gguf")
    canary_adapter(tmp_path / "adapters" / "pirate.gguf")
    spec = catalog.load(tmp_path / "models.toml").find("mine").spec
    assert (spec.default_quant, [adapter.name for adapter in spec.adapters]) == ("Q8_0", ["pirate"])


def _shown(default: object) -> object:
    return "" if default is None or default == () else str(default).lower() if isinstance(default, bool) else default


def settings_table() -> str:
    rows = ["| setting | default | |", "|---|---|---|"]
    rows += [f"| `{one.name}` | {_shown(one.default)} | {one.help} |" for one in SETTINGS.values()]
    return "\n".join(rows)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    block = README.split("<!-- settings -->\n")[1].split("\n<!-- end of settings -->")[0]
    assert block == settings_table()


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()

"""What docs/clients.md shows is true: each snippet runs as it stands, with the package that it is about."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers import WORDS
from tests.models import key_token
from tests.programs import HERE, PACKAGES
from tests.weather import TEXT, weather_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Running

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
ADOPTION = (ROOT / "clients" / "wrangler" / "README.md").read_text("utf-8")
ADDRESS = "http://localhost:8788"
SNIPPETS = dict(re.findall(r"^```(?:python|js) (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Its date is a key, so that prompts without one are answered in a way that is known."""
    with weather_service(tmp_path_factory.mktemp("weather"), token=None, date=key_token(WORDS)) as running:
        yield running


def test_each_package_has_its_snippet() -> None:
    assert set(SNIPPETS) == set(PACKAGES)


@pytest.mark.parametrize("name", [pytest.param(name, marks=PACKAGES[name].mark) for name in PACKAGES])
def test_a_snippet_gets_its_answer(server: Running, home: Path, name: str) -> None:
    program = PACKAGES[name].command[0]
    code = SNIPPETS[name].replace(ADDRESS, server.url).replace("localAI()", f'localAI("{server.url}")')
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [program, *(["--input-type=module", "-e"] if program == "node" else ["-c"]), code],
        cwd=HERE,
        env=kept | {"HOME": str(home), "USERPROFILE": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, TEXT), done.stderr


def test_the_environment_shown_for_wrangler_is_the_one_tested() -> None:
    (shown,) = re.findall(r"```jsonc\n(.*?)\n```", ADOPTION, re.DOTALL)
    assert shown in (HERE / "worker" / "wrangler.jsonc").read_text("utf-8")


@pytest.mark.parametrize("page", [PAGE, ADOPTION], ids=["clients.md", "wrangler"])
def test_a_link_leads_somewhere(page: str) -> None:
    folder = ROOT / "docs" if page is PAGE else ROOT / "clients" / "wrangler"
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page):
        assert (folder / link).exists(), link


def test_the_lock_file_names_no_addresses() -> None:
    """Those would be of the registry that some machine uses."""
    assert '"resolved"' not in (HERE / "package-lock.json").read_text("utf-8")

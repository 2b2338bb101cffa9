"""The playground's files as the server sends them, and who may have them. `test_playground_page` opens them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from runtime.server import playground
from tests.servers import code_of, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

TOKEN = "a-token-of-the-suite"
NAMES = sorted(playground.files())
SOURCES = [name for name in NAMES if name.endswith(".js")]
PATHS = ["/", *(f"/playground/{name}" for name in NAMES if name != "index.html")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """It has a token, so the page must come without."""
    with scripted(tmp_path_factory.mktemp("models"), token=TOKEN) as one:
        yield one


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models"), parity=True) as one:
        yield one


def text(name: str) -> str:
    return playground.files()[name].content.decode()


# -- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_the_page_and_its_files_come_without_a_token(server: Scripted, path: str) -> None:
    reply = server.http.get(path)
    file = playground.files()[path.rpartition("/")[2] or "index.html"]
    assert (reply.status_code, reply.content) == (200, file.content)
    assert reply.headers["content-type"].partition(";")[0] == file.kind


def test_nothing_may_run_on_the_page_but_its_own_scripts(server: Scripted) -> None:
    rules = server.http.get("/").headers["content-security-policy"].split("; ")
    assert set(rules) == {
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    }


@pytest.mark.parametrize("path", PATHS)
def test_its_files_are_taken_for_nothing_else(server: Scripted, path: str) -> None:
    headers = server.http.get(path).headers
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_a_browser_that_has_a_file_gets_no_second_copy(server: Scripted) -> None:
    first = server.http.get("/playground/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = server.http.get("/playground/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = server.http.get("/playground/style.css", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_head_gives_the_head_alone(server: Scripted) -> None:
    reply = server.http.head("/")
    assert (reply.status_code, reply.content) == (200, b"")


def test_the_page_takes_no_post(server: Scripted) -> None:
    assert code_of(server.http.post("/")) == (405, 7001)


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2f..%2fsettings.py", "%2e%2e/app.js", "app.py"])
def test_no_other_file_is_given(server: Scripted, name: str) -> None:
    reply = server.http.get(f"/playground/{name}", headers={"authorization": f"Bearer {TOKEN}"})
    assert code_of(reply) == (400, 7000)


def test_which_models_are_here_is_told_only_with_the_token(server: Scripted) -> None:
    assert code_of(server.http.get("/playground/files")) == (400, 9106)
    reply = server.http.get("/playground/files", headers={"authorization": f"Bearer {TOKEN}"})
    assert reply.json()["files"]["@cf/meta/tiny"] == {"names": ["t"], "quants": ["GGUF"]}
    assert reply.json()["files"]["@cf/meta/llama-3.2-1b-instruct"] == {"names": ["1b"], "quants": []}


@pytest.mark.parametrize("path", PATHS)
def test_the_service_has_no_such_page_so_in_parity_there_is_none(strict: Scripted, path: str) -> None:
    assert code_of(strict.http.get(path)) == (400, 7000)


@pytest.mark.parametrize("origins", [(), ("https://app.example",)])
def test_the_page_may_ask_its_own_server_whatever_other_pages_may(tmp_path: Path, origins: tuple[str, ...]) -> None:
    with scripted(tmp_path, origins=origins) as one:
        asked = one.ask(headers={"origin": one.running.url})
        assert (asked.status_code, "access-control-allow-origin" in asked.headers) == (200, False)
        assert code_of(one.ask(headers={"origin": "http://127.0.0.1:1"}))[0] == 403


# -- what is in them -------------------------------------------------------------------------------------------------


def test_all_of_it_is_small() -> None:
    assert sum(len(file.content) for file in playground.files().values()) < 60_000


def test_the_page_names_only_files_that_are_there() -> None:
    named = re.findall(r'(?:href|src)="playground/([^"]+)"', text("index.html"))
    named += [name for source in SOURCES for name in re.findall(r'from "\./([^"]+)"', text(source))]
    assert set(named) | {"index.html"} == set(NAMES)


def test_no_part_of_it_is_elsewhere() -> None:
    addresses = [found for name in NAMES for found in re.findall(r"https?://[^\s\"'`<)]+", text(name))]
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for


def test_the_page_holds_no_script_and_no_style() -> None:
    page = text("index.html")
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page) == []


@pytest.mark.parametrize("name", SOURCES)
def test_no_script_makes_html_or_code_of_text(name: str) -> None:
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|Function\(|srcdoc|setHTML"
    assert re.findall(makers, text(name)) == []


@pytest.mark.parametrize("name", SOURCES)
def test_scripts_are_short_and_say_what_they_are(name: str) -> None:
    lines = text(name).splitlines()
    assert (len(lines) <= 200, [line for line in lines if len(line) > 120]) == (True, [])
    assert text(name).startswith("// ")

"""First use: what fetches a model's file, what does not, and what ends that."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime import AsyncRuntime, Runtime, store
from runtime.errors import EngineClosed, ModelMissing
from tests.fake_engine import FakeEngines
from tests.hub import COMMIT, REPO, Fault, LoopbackHub
from tests.servers import code_of, said_by, serving
from tests.stores import FILE

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.store import Progress

PATIENCE = 30  # seconds until a test that waits gives up


@pytest.fixture
def options(hub: LoopbackHub, tmp_path: Path) -> dict[str, Any]:
    """Of a runtime whose catalogue has the hub's file as "tiny"."""
    file = tmp_path / "models.toml"
    entry = f"repo = '{REPO}'\nrevision = '{COMMIT}'\nfile = '{FILE}'\nsha256 = '{hub.sha256(FILE)}'\n"
    file.write_text(f"[[model]]\nid = 'tiny'\n{entry}")
    return {"models": file, "make_engine": FakeEngines()}


def test_the_first_run_fetches_and_the_second_does_not(hub: LoopbackHub, options: dict[str, Any]) -> None:
    seen: list[Progress] = []
    with Runtime(on_download=seen.append, **options) as ai:
        assert ai.run("tiny", prompt="Hi")["response"] == "ok"
        asked = len(hub.requests)
        assert ai.run("tiny", prompt="Hi")["response"] == "ok"
    assert (seen[-1].done, len(hub.requests)) == (len(hub.files[FILE]), asked)


def test_a_run_is_the_files_last_use(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with Runtime(**options) as ai:
        spec = ai.catalog.find("tiny").spec
        ai.pull("tiny")
        assert [one.used for one in store.held(spec)] == [None]
        ai.run("tiny", prompt="Hi")
        assert store.held(spec)[0].used == pytest.approx(time.time(), abs=60)


def test_a_request_that_is_wrong_fetches_nothing(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with Runtime(**options) as ai, pytest.raises(Exception, match="temperature"):
        ai.run("tiny", prompt="Hi", temperature=9)
    assert hub.requests == []


def test_the_time_of_the_download_is_not_that_of_the_request(hub: LoopbackHub, options: dict[str, Any]) -> None:
    hub.always = Fault(rate=2e6)  # for a second and a half
    with Runtime(timeout=1, **options) as ai:
        assert ai.run("tiny", prompt="Hi")["response"] == "ok"


@pytest.mark.parametrize("setting", [{"download": False}, {"offline": True}])
def test_where_settings_forbid_it_nothing_is_fetched(
    hub: LoopbackHub, options: dict[str, Any], setting: dict[str, Any]
) -> None:
    with Runtime(**options, **setting) as ai:
        for use in (lambda: ai.run("tiny", prompt="Hi"), lambda: ai.load("tiny")):
            with pytest.raises(ModelMissing) as raised:
                use()
            assert raised.value.hint == "Run: llamalet pull tiny:Q8_0"
    assert hub.requests == []


def test_a_file_may_be_pulled_before_its_first_use(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with Runtime(download=False, **options) as ai:
        path = ai.pull("tiny")
        assert path.read_bytes() == hub.files[FILE]
        assert ai.run("tiny", prompt="Hi")["response"] == "ok"


def test_loading_fetches(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with Runtime(**options) as ai:
        ai.load("tiny")
        assert store.available(ai.catalog.find("tiny").spec)


def test_a_runtime_that_is_closed_fetches_no_further(hub: LoopbackHub, options: dict[str, Any]) -> None:
    hub.always = Fault(rate=3e6)
    with Runtime(on_download=lambda progress: ai.close() if progress.done else None, **options) as ai:
        with pytest.raises(EngineClosed):
            ai.run("tiny", prompt="Hi")
        assert store.available(ai.catalog.find("tiny").spec) == ()


def test_those_whose_model_is_loaded_go_on_while_another_is_fetched(
    hub: LoopbackHub, options: dict[str, Any], model: str
) -> None:
    going, done = threading.Event(), threading.Event()

    def wait(progress: Progress) -> None:
        if progress.done:
            going.set()
            assert done.wait(PATIENCE)

    with Runtime(on_download=wait, files=[model], **options) as ai:
        ai.load(model)
        first = threading.Thread(target=ai.run, args=("tiny", {"prompt": "Hi"}))
        first.start()
        assert going.wait(PATIENCE)
        assert ai.run(model, prompt="Hi")["response"] == "ok"
        done.set()
        first.join(PATIENCE)


def test_a_task_that_is_cancelled_ends_its_download(hub: LoopbackHub, options: dict[str, Any]) -> None:
    async def use() -> None:
        going = asyncio.Event()
        loop = asyncio.get_running_loop()
        on_download = lambda _: loop.call_soon_threadsafe(going.set)  # noqa: E731
        async with AsyncRuntime(on_download=on_download, **options) as ai:
            hub.always = Fault(rate=1e6)
            task = asyncio.create_task(ai.run("tiny", prompt="Hi"))
            await asyncio.wait_for(going.wait(), PATIENCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            hub.always = None
            path = await ai.pull("tiny")  # waits until the other has let go
            assert path.read_bytes() == hub.files[FILE]

    asyncio.run(use())
    assert len(hub.bodies) == 2


def test_a_request_over_http_fetches_nothing_and_is_told_the_command(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with serving(**options) as running:
        reply = httpx.post(running.run("tiny"), json={"prompt": "Hi"}, trust_env=False)
        assert code_of(reply) == (503, 5000)
        assert "Run: llamalet pull tiny:Q8_0" in said_by(reply)
    assert hub.requests == []


def test_a_server_fetches_the_model_that_it_is_to_load(hub: LoopbackHub, options: dict[str, Any]) -> None:
    with serving(model="tiny", **options) as running:
        for _ in range(PATIENCE * 100):
            if httpx.get(f"{running.url}/readyz", trust_env=False).status_code == 200:
                break
            threading.Event().wait(0.01)
        reply = httpx.post(running.run("tiny"), json={"prompt": "Hi"}, trust_env=False)
    assert reply.json()["result"]["response"] == "ok"

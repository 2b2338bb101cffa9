"""Engines that died: when the next starts, what is not tried again, and who hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime, loading
from runtime.crashes import REFUSED, WINDOW, Crashes
from runtime.errors import EngineClosed, EngineDied, EngineRestarting, InvalidRequest, ModelBroken
from runtime.values import Failed, Sampling, Tool
from tests.engines import ask
from tests.fake_engine import FakeEngine, answer
from tests.models import expected, key_token
from tests.servers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.engine import Emit, EngineConfig
    from runtime.values import Request


def died(by: str = "SIGSEGV") -> EngineDied:
    return EngineDied(f"The engine's process was ended by {by}.", "The next request starts a new one.", by=by)


@dataclass
class Scene:
    """What is known of one model, and a clock that stands until it is moved."""

    model: Path
    now: float = 1000.0
    known: Crashes = field(init=False)

    def __post_init__(self) -> None:
        self.known = Crashes(lambda: self.now)

    def dies(self, by: str = "SIGSEGV", request: Request | None = None, *, answered: bool = False) -> None:
        self.known.died(self.model, FakeEngine(), died(by), request, answered=answered)

    def wait(self) -> float:
        """Seconds until the next engine may start."""
        try:
            self.known.check(self.model)
        except EngineRestarting as error:
            seconds: float = error.facts["seconds"]
            return seconds
        return 0.0


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "one.gguf").write_bytes(b"weights")
    return Scene(tmp_path / "one.gguf")


# -- when the next may start -----------------------------------------------------------------------------------------


def test_the_next_starts_at_once_then_later_and_later_and_after_five_not_until_one_is_forgotten(scene: Scene) -> None:
    waits = []
    for _ in range(5):
        scene.dies()
        waits.append(scene.wait())
        scene.now += waits[-1]
    assert waits == [0, 0.5, 1, 2, WINDOW - 3.5]
    assert scene.wait() == 0


def test_it_says_how_often_why_and_for_how_long(scene: Scene) -> None:
    scene.dies()
    scene.dies("SIGABRT")
    with pytest.raises(EngineRestarting) as refused:
        scene.known.check(scene.model)
    assert str(refused.value) == (
        "The engine of one.gguf died 2 times in 5 minutes. The engine's process was ended by SIGABRT. "
        "It may start again in 0.5 s."
    )


def test_what_was_long_ago_counts_no_more(scene: Scene) -> None:
    for _ in range(20):
        scene.dies()
        scene.now += WINDOW / 2
        assert scene.wait() == 0


def test_a_death_that_many_hear_of_is_one(scene: Scene) -> None:
    engine = FakeEngine()
    for key in range(10):
        scene.known.died(scene.model, engine, died(), ask(key))
    assert scene.wait() == 0


@pytest.mark.parametrize(("by", "waits"), [("SIGKILL", 0), ("SIGTERM", 0), ("SIGSEGV", 300), ("watchdog", 300)])
def test_one_that_answered_and_was_ended_from_outside_is_not_counted(scene: Scene, by: str, waits: float) -> None:
    for _ in range(5):
        scene.dies(by, answered=True)
    assert scene.wait() == waits


def test_one_that_was_ended_from_outside_before_it_answered_is(scene: Scene) -> None:
    for _ in range(2):
        scene.dies("SIGKILL")
    assert scene.wait() == 0.5


def test_models_are_told_apart(scene: Scene, tmp_path: Path) -> None:
    scene.dies()
    scene.dies()
    scene.known.check(tmp_path / "other.gguf")


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["SIGSEGV", "SIGABRT", "watchdog"])
def test_a_file_that_crashes_its_engine_is_not_tried_again_until_it_changes(scene: Scene, by: str) -> None:
    error = scene.known.died_loading(scene.model, died(by))
    for _ in range(2):
        with pytest.raises(ModelBroken, match=r"one\.gguf: an engine died of it\. .*until it changes, or is loaded"):
            scene.known.check(scene.model)
        scene.now += 10 * WINDOW
    assert isinstance(error, ModelBroken)
    scene.model.write_bytes(b"other weights")
    scene.known.check(scene.model)


@pytest.mark.parametrize("by", ["SIGKILL", "exit 1"])
def test_what_is_not_the_files_fault_is_tried_again_in_time(scene: Scene, by: str) -> None:
    waits = []
    for _ in range(5):
        assert isinstance(scene.known.died_loading(scene.model, died(by)), EngineDied)
        waits.append(scene.wait())
    assert waits == [0, 0.5, 1, 2, WINDOW]


def test_whoever_looks_after_it_starts_anew(scene: Scene) -> None:
    scene.known.died_loading(scene.model, died())
    for _ in range(5):
        scene.dies()
    scene.known.forget()
    assert scene.wait() == 0


# -- requests --------------------------------------------------------------------------------------------------------


def test_a_request_that_was_there_twice_is_refused_for_ten_minutes_by_whatever_name_and_seed(scene: Scene) -> None:
    scene.dies(request=ask(7, name="first"))
    scene.known.check_request(ask(7))
    scene.now += 1
    scene.dies(request=ask(7, name="second", sampling=Sampling(temperature=0.0, seed=3)))
    with pytest.raises(InvalidRequest, match=r"died 2 times with this request in it, so it is refused for 599 s more"):
        scene.known.check_request(ask(7, name="third"))
    scene.now += REFUSED - 1
    scene.known.check_request(ask(7))


@pytest.mark.parametrize(
    "other",
    [
        ask(8),
        ask(7, 9),
        replace(ask(7), grammar='root ::= "a"'),
        replace(ask(7), tools=(Tool("f"),)),
        ask(7, sampling=Sampling(temperature=1.0)),
    ],
    ids=["prompt", "max_tokens", "grammar", "tools", "sampling"],
)
def test_another_request_is_another(scene: Scene, other: Request) -> None:
    scene.dies(request=ask(7))
    scene.dies(request=ask(7))
    scene.known.check_request(other)


def test_twice_in_one_engine_is_once(scene: Scene) -> None:
    engine = FakeEngine()
    for name in ("one", "two", "three"):
        scene.known.died(scene.model, engine, died(), ask(7, name=name))
    scene.known.check_request(ask(7))


def test_no_request_is_to_blame_for_what_came_from_outside(scene: Scene) -> None:
    for _ in range(3):
        scene.dies("SIGKILL", ask(7), answered=True)
    scene.known.check_request(ask(7))


# -- the runtime around it -------------------------------------------------------------------------------------------


class Mortal(FakeEngine):
    """Dies of every prompt that has "die" in it."""

    def submit(self, request: Request, emit: Emit) -> None:
        if self.death:
            raise EngineClosed("It is dead.")
        if "die" in "".join(segment.text for segment in request.prompt):
            self.death = died()
            emit(Failed(died()))
        else:
            super().submit(request, emit)


@dataclass
class Mortals:
    made: list[Mortal] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    def __call__(self, config: EngineConfig, progress: Callable[[float], None]) -> Mortal:
        if self.fails:
            raise self.fails.pop()
        self.made.append(Mortal([answer("ok")] * 100))
        return self.made[-1]


def run(ai: Runtime, model: str, prompt: str) -> str:
    text: str = ai.run(model, {"prompt": prompt})["response"]
    return text


def test_engines_are_made_again_and_again_until_it_is_too_often(runtimes: Any, model: str) -> None:
    engines = Mortals()
    ai = runtimes(engines, files=[model])
    for number in range(2):
        with pytest.raises(EngineDied):
            run(ai, model, f"die {number}")
    with pytest.raises(EngineRestarting) as refused:
        run(ai, model, "live")
    assert (len(engines.made), refused.value.facts["seconds"] <= 0.5) == (2, True)
    ai.load(model)
    assert run(ai, model, "live") == "ok"


def test_a_request_that_ends_engines_is_refused_and_others_are_not(runtimes: Any, model: str) -> None:
    engines = Mortals()
    ai = runtimes(engines, files=[model])
    for _ in range(2):
        with pytest.raises(EngineDied):
            run(ai, model, "die")
        ai.load(model)
    with pytest.raises(InvalidRequest, match="died 2 times with this request"):
        run(ai, model, "die")
    assert run(ai, model, "live") == "ok"
    assert [one.running for one in ai.loaded()] == [0]


def test_a_file_that_ends_its_engine_is_tried_once_until_somebody_loads_it(runtimes: Any, model: str) -> None:
    engines = Mortals(fails=[died()])
    ai = runtimes(engines, files=[model])
    for _ in range(3):
        with pytest.raises(ModelBroken, match="an engine died of it"):
            run(ai, model, "live")
    assert engines.made == []
    ai.load(model)
    assert run(ai, model, "live") == "ok"


def test_a_crash_of_llama_cpp_is_followed_through(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    body: dict[str, Any] = {"prompt": key_token(7), "temperature": 0, "max_tokens": 5}
    with Runtime(files=[canary], isolation="process", threads=1) as ai:
        with monkeypatch.context() as patch:
            patch.setenv("LLAMALET_TEST_FAULT", "abort@load")
            for _ in range(2):
                with pytest.raises(ModelBroken, match="GGML_ASSERT"):
                    ai.run(str(canary), body)
            patch.setenv("LLAMALET_TEST_FAULT", "abort@token")
            ai.load(str(canary))
            with pytest.raises(EngineDied, match="GGML_ASSERT"):
                ai.run(str(canary), body)
        assert ai.run(str(canary), body)["response"] == expected(7, 5)


def test_the_home_is_what_the_settings_say(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    from runtime.engine.local import LocalEngine
    from runtime.engine.remote import RemoteEngine

    monkeypatch.setenv("LLAMALET_ISOLATION", "process")
    made = []
    for isolation in (None, "none"):
        with Runtime(files=[canary], isolation=isolation, keep_alive=-1) as ai:
            choice = ai.catalog.find(str(canary))
            config = loading.configure(choice, ai.settings, loading.room(ai.settings))
            engine = loading.engines(ai.settings)(config, lambda done: None)
            made.append(type(engine))
            engine.close()
    assert made == [RemoteEngine, LocalEngine]


def test_over_http_it_is_503_with_when_to_come_again(tmp_path: Path) -> None:
    refused = EngineRestarting("The engine died.", "It may start again in 1.2 s.", seconds=1.2)
    with scripted(tmp_path) as server:
        server.will(refused, [Failed(died())])
        restarting, dead = server.ask(), server.ask()
    assert (restarting.status_code, restarting.headers["retry-after"]) == (503, "2")
    assert dead.status_code == 500

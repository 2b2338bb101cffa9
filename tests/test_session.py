"""What a run of `Runtime` takes and gives, and how it ends, above a scripted engine."""

from __future__ import annotations

import datetime
import gc
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime
from runtime.errors import (
    ConfigError,
    EngineError,
    InvalidRequest,
    LlamaletError,
    QueueFull,
    UnknownAdapter,
    UnknownModel,
)
from runtime.values import Failed, Text
from tests.fake_engine import FakeEngine, FakeEngines, answer
from tests.rawgguf import model_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runtime.engine import Emit
    from runtime.values import Event, Request

PATIENCE = 30  # seconds until a test that waits gives up

MODELS = """
[[model]]
id = "tiny"
aliases = ["t"]
family = "llama3.1"
path = "tiny.gguf"

[[adapter]]
name = "tales"
path = "tales.gguf"
"""


Sessions = Callable[..., "Session"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "tiny.gguf").write_bytes(model_bytes())
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return path


class Session:
    """A `Runtime` whose one engine follows these scripts."""

    def __init__(self, models: Path, *scripts: list[Event] | Exception, **options: Any) -> None:
        self.engines = FakeEngines(list(scripts))
        self.ai = Runtime(models=models, make_engine=self.engines, **options)

    def asked(self) -> Any:
        return self.engines.made[0].requests[-1]

    @property
    def running(self) -> int:
        return len(self.engines.made[0].running)


@pytest.fixture
def session(models: Path) -> Iterator[Sessions]:
    """Makes sessions, and closes them."""
    made: list[Session] = []

    def make(*scripts: list[Event] | Exception, **options: Any) -> Session:
        made.append(Session(models, *scripts, **options))
        return made[-1]

    yield make
    for one in made:
        one.ai.close()


def test_a_run_gives_the_whole_answer(session: Sessions) -> None:
    result = session(answer("Hi", " there")).ai.run("tiny", {"prompt": "Hello"})
    assert (result["response"], result["finish_reason"], result["usage"]["completion_tokens"]) == (
        "Hi there",
        "stop",
        2,
    )


def test_a_stream_gives_the_parts_and_at_the_end_the_usage(session: Sessions) -> None:
    parts = list(session(answer("Hi", " there")).ai.run("tiny", {"prompt": "Hello", "stream": True}))
    assert [part["response"] for part in parts] == ["Hi", " there", ""]
    assert parts[-1]["usage"]["total_tokens"] == 7


def test_keywords_are_inputs(session: Sessions) -> None:
    one = session()
    one.ai.run("tiny", prompt="Hello", max_tokens=7)
    assert one.asked().max_tokens == 7
    assert "\n\nHello" in [segment.text for segment in one.asked().prompt]


def test_keywords_win_over_the_inputs(session: Sessions) -> None:
    one = session()
    one.ai.run("tiny", {"prompt": "Hello", "max_tokens": 3}, max_tokens=7)
    assert one.asked().max_tokens == 7


def test_the_inputs_are_left_as_they_were(session: Sessions) -> None:
    inputs = {"prompt": "Hello", "stop": ["a"], "stream": None}
    list(session().ai.run("tiny", inputs, stream=True))
    assert inputs == {"prompt": "Hello", "stop": ["a"], "stream": None}


@pytest.mark.parametrize("name", ["tiny", "@cf/meta/tiny", "T", "tiny:gguf"])
def test_a_model_is_found_by_each_of_its_names(session: Sessions, name: str) -> None:
    assert session().ai.run(name, prompt="Hello")["response"] == "ok"


def test_a_file_is_run_by_its_path(models: Path) -> None:
    path = models.with_name("tiny.gguf")
    with Runtime(files=[path], make_engine=FakeEngines()) as ai:
        assert [ai.run(name, prompt="Hi")["response"] for name in (path, str(path))] == ["ok", "ok"]


def test_a_path_that_was_not_given_before_is_no_model(models: Path, session: Sessions) -> None:
    with pytest.raises(UnknownModel):
        session().ai.run(str(models.with_name("tiny.gguf")), prompt="Hi")


def test_an_unknown_model_is_answered_with_the_nearest_names(session: Sessions) -> None:
    with pytest.raises(UnknownModel, match=r"There is no model .tinny.\. .*tiny"):
        session().ai.run("tinny", prompt="Hi")


@pytest.mark.parametrize("inputs", ["Hello", ["Hello"], 5])
def test_inputs_that_are_no_object_are_refused(session: Sessions, inputs: Any) -> None:
    with pytest.raises(InvalidRequest, match="The inputs must be an object with prompt or messages, not a"):
        session().ai.run("tiny", inputs)


def test_a_wrong_request_loads_nothing(session: Sessions) -> None:
    one = session()
    with pytest.raises(InvalidRequest):
        one.ai.run("tiny", prompt="Hi", temperature=9)
    assert one.engines.made == []


def test_an_adapter_is_found_by_its_name_in_any_case(session: Sessions) -> None:
    one = session()
    one.ai.run("tiny", prompt="Hi", lora="TALES")
    assert one.asked().lora == "tales"


@pytest.mark.parametrize("stream", [True, False])
def test_an_unknown_adapter_is_refused(session: Sessions, stream: bool) -> None:
    with pytest.raises(UnknownAdapter, match=r"tiny has no LoRA adapter .tails."):
        session().ai.run("tiny", prompt="Hi", lora="tails", stream=stream)


@pytest.mark.parametrize(
    ("options", "inputs", "date"),
    [
        ({}, {}, "05 Jul 2024"),
        ({"date": "1 May 2020"}, {}, "1 May 2020"),
        ({"date": "1 May 2020"}, {"date": "today"}, "today"),
    ],
)
def test_the_date_is_of_the_inputs_or_the_settings_or_today(
    session: Sessions, options: Mapping[str, Any], inputs: Mapping[str, Any], date: str
) -> None:
    one = session(today=lambda: datetime.date(2024, 7, 5), **options)
    one.ai.run("tiny", {"prompt": "Hi", **inputs})
    assert f"Today Date: {date}\n" in "".join(segment.text for segment in one.asked().prompt)


def test_the_engine_gets_what_is_left_of_the_time(session: Sessions) -> None:
    one = session(timeout=50)
    one.ai.run("tiny", prompt="Hi")
    assert one.asked().timeout == 50
    assert 0 < one.asked().waited < 5


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", [QueueFull("full"), InvalidRequest("wrong")])
def test_what_the_engine_refuses_is_raised_at_once(session: Sessions, error: LlamaletError, stream: bool) -> None:
    one = session(error)
    with pytest.raises(type(error)) as raised:
        one.ai.run("tiny", prompt="Hi", stream=stream)
    assert raised.value is error


def test_a_failure_is_raised(session: Sessions) -> None:
    with pytest.raises(EngineError, match="broken"):
        session([Text("Hi"), Failed(EngineError("broken"))]).ai.run("tiny", prompt="Hi")


def test_a_failure_in_a_stream_is_raised_after_what_was_written(session: Sessions) -> None:
    stream = session([Text("Hi"), Failed(EngineError("broken"))]).ai.run("tiny", prompt="Hi", stream=True)
    assert next(stream) == {"response": "Hi"}
    with pytest.raises(EngineError, match="broken"):
        next(stream)


def test_a_cancelled_stream_gives_what_was_written_and_the_end(session: Sessions) -> None:
    stream = session([Text("a"), Text("b")]).ai.run("tiny", prompt="Hi", stream=True)
    assert next(stream)["response"] == "a"
    stream.cancel()
    assert [(part["response"], part.get("finish_reason")) for part in stream] == [("b", None), ("", "cancelled")]


def test_cancelling_an_answer_that_has_ended_changes_nothing(session: Sessions) -> None:
    stream = session(answer("a")).ai.run("tiny", prompt="Hi", stream=True)
    parts = list(stream)
    stream.cancel()
    assert (parts[-1]["finish_reason"], list(stream)) == ("stop", [])


def test_leaving_the_block_of_a_stream_cancels_it(session: Sessions) -> None:
    one = session([Text("a")])
    with one.ai.run("tiny", prompt="Hi", stream=True) as stream:
        next(stream)
        assert one.running == 1
    assert one.running == 0


def test_dropping_a_stream_cancels_it(session: Sessions) -> None:
    one = session([Text("a")])
    stream = one.ai.run("tiny", prompt="Hi", stream=True)
    assert one.running == 1
    del stream
    gc.collect()
    assert one.running == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there a thread that waits is not interrupted")
def test_ctrl_c_in_a_run_cancels_it(models: Path) -> None:
    submitted, cancelled = threading.Event(), threading.Event()

    class Telling(FakeEngine):
        def submit(self, request: Request, emit: Emit) -> None:
            super().submit(request, emit)
            submitted.set()

        def cancel(self, request_id: str) -> None:
            super().cancel(request_id)
            cancelled.set()

    engine = Telling([[Text("a")]])

    def press() -> None:
        assert submitted.wait(PATIENCE)
        while engine.running:  # a signal just before the thread begins to wait does not wake it
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            cancelled.wait(0.05)

    threading.Thread(target=press).start()
    with Runtime(models=models, make_engine=lambda *_: engine) as ai, pytest.raises(KeyboardInterrupt):
        ai.run("tiny", prompt="Hi")
    assert cancelled.is_set()


def test_a_run_is_prepared_without_a_model(session: Sessions) -> None:
    one = session()
    job = one.ai.prepare("T", {"prompt": "Hi", "max_tokens": 7})
    assert (job.choice.spec.id, job.inputs.max_tokens, job.request.max_tokens) == ("tiny", 7, 7)
    assert one.engines.made == []


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("nothing", {"prompt": "Hi"}, UnknownModel),
        ("tiny", {"prompt": ""}, InvalidRequest),
        ("tiny", {"prompt": "Hi", "lora": "tails"}, UnknownAdapter),
        ("tiny", ["Hi"], InvalidRequest),
    ],
)
def test_what_can_be_wrong_is_found_in_preparing(
    session: Sessions, name: str, body: Any, error: type[LlamaletError]
) -> None:
    with pytest.raises(error):
        session().ai.prepare(name, body)


def test_each_job_has_an_id_of_its_own(session: Sessions) -> None:
    ai = session().ai
    assert len({ai.prepare("tiny", {"prompt": "Hi"}).request.id for _ in range(3)}) == 3


def test_a_job_says_what_was_ignored(session: Sessions) -> None:
    assert session().ai.prepare("tiny", {"prompt": "Hi", "foo": 1}).inputs.ignored == ("foo",)


def test_a_job_is_answered_whole(session: Sessions) -> None:
    ai = session(answer("Hi", " there")).ai
    assert ai.answer(ai.prepare("tiny", {"prompt": "Hello"}))["response"] == "Hi there"


def test_a_job_that_fails_raises(session: Sessions) -> None:
    ai = session([Text("Hi"), Failed(EngineError("broken"))]).ai
    with pytest.raises(EngineError, match="broken"):
        ai.answer(ai.prepare("tiny", {"prompt": "Hello"}))


def test_the_events_of_a_job_go_where_they_are_wanted(session: Sessions) -> None:
    ai, found = session(answer("Hi")).ai, list[Any]()
    ai.start(ai.prepare("tiny", {"prompt": "Hello"}), found.append)
    assert found == answer("Hi")


def test_a_job_that_was_started_can_be_taken_back(session: Sessions) -> None:
    one, found = session([Text("a")]), list[Any]()
    one.ai.start(one.ai.prepare("tiny", {"prompt": "Hello"}), found.append).cancel()
    assert (one.running, found[-1].finish_reason) == (0, "cancelled")


def test_a_request_that_would_not_wait_tells_the_engine(session: Sessions) -> None:
    one = session()
    one.ai.run("tiny", prompt="Hi", options={"rejectIfBusy": True})
    assert one.asked().reject_if_busy is True


PUBLISHED = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}


def test_in_parity_an_answer_has_only_what_is_published(session: Sessions) -> None:
    result = session(answer("Hi"), parity=True).ai.run("tiny", prompt="Hello")
    assert result == {"response": "Hi", "tool_calls": [], "usage": PUBLISHED}


def test_in_parity_a_stream_has_only_what_is_published(session: Sessions) -> None:
    parts = list(session(answer("Hi"), parity=True).ai.run("tiny", prompt="Hello", stream=True))
    assert parts == [{"response": "Hi"}, {"response": "", "usage": PUBLISHED}]


def test_in_parity_nothing_is_forgiven(session: Sessions) -> None:
    with pytest.raises(InvalidRequest, match=r"^oneOf at '/' not met, 0 matches: Type mismatch of '/temperature'"):
        session(parity=True).ai.run("tiny", prompt="Hello", temperature=None)


def test_in_parity_our_own_options_are_not_known(session: Sessions) -> None:
    one = session(parity=True)
    one.ai.run("tiny", prompt="Hello", stop=["x"], min_p=0.5)
    assert (one.asked().stop, one.asked().sampling.min_p) == ((), 0.0)


def test_requests_of_many_threads_get_their_own_answers(session: Sessions) -> None:
    one = session(*(answer(str(n)) for n in range(100)))
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda _: one.ai.run("tiny", prompt="Hi")["response"], range(100))
    assert sorted(results, key=int) == [str(n) for n in range(100)]


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="contxt"):
        Runtime(contxt=5)  # type: ignore[call-arg]

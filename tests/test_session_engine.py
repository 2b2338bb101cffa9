"""`Runtime` with the real engine, on a model whose answers are known."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime
from runtime.errors import ContextTooLong, InvalidRequest, QueueFull, TimedOut
from tests.models import canary_adapter, expected, key_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = f"Say {key_token(7)}."
FOREVER = 120_000  # tokens, in a context that holds them: what never ends by itself while a test looks


@pytest.fixture(scope="module", params=["none", "process"])
def ai(canary: Path, request: pytest.FixtureRequest) -> Iterator[Runtime]:
    options: dict[str, Any] = {"context": 4096, "threads": 1, "slots": 2, "keep_alive": -1}
    with Runtime(files=[canary], isolation=request.param, **options) as runtime:
        yield runtime


def ask(ai: Runtime, **options: Any) -> Any:
    return ai.run(ai.catalog.models[-1].id, {"prompt": PROMPT, "temperature": 0, "max_tokens": 5, **options})


def test_a_prompt_is_answered(ai: Runtime) -> None:
    result = ask(ai)
    assert (result["response"], result["finish_reason"]) == (expected(7, 5), "length")
    assert result["usage"]["completion_tokens"] == 5


def test_a_stream_joined_is_the_whole_answer(ai: Runtime) -> None:
    parts = list(ask(ai, stream=True))
    assert "".join(part["response"] for part in parts) == expected(7, 5)
    assert (len(parts), parts[-1]["usage"]["completion_tokens"]) == (6, 5)


def test_messages_are_answered(ai: Runtime) -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]
    assert ask(ai, prompt=None, messages=messages)["response"] == expected(7, 5)


def test_a_stop_text_ends_the_answer_before_it(ai: Runtime) -> None:
    result = ask(ai, stop=["i02"])
    assert (result["response"], result["finish_reason"]) == (expected(7, 2) + " k07", "stop")


def test_logprobs_are_given_for_each_token(ai: Runtime) -> None:
    tokens = ask(ai, logprobs=True, top_logprobs=2)["logprobs"]
    assert "".join(token["token"] for token in tokens) == expected(7, 5)
    assert [len(token["top_logprobs"]) for token in tokens] == [2] * 5


def test_progress_of_loading_goes_from_0_to_1(canary: Path) -> None:
    told: list[float] = []
    with Runtime(files=[canary], threads=1, on_load=told.append) as ai:
        ask(ai)
    assert (told[0] < 0.5, told[-1], told) == (True, 1.0, sorted(told))


def test_an_exception_while_loading_is_raised_and_the_next_run_loads_again(canary: Path) -> None:
    errors = [ZeroDivisionError("mine")]

    def on_load(_: float) -> None:
        if errors:
            raise errors.pop()

    with Runtime(files=[canary], threads=1, on_load=on_load) as ai:
        with pytest.raises(ZeroDivisionError, match="mine"):
            ask(ai)
        assert ask(ai)["response"] == expected(7, 5)


def test_a_cancelled_stream_ends_soon(canary: Path) -> None:
    with Runtime(files=[canary], threads=1, context=131072) as ai, ask(ai, stream=True, max_tokens=FOREVER) as stream:
        next(stream)
        stream.cancel()
        *parts, end = stream
    assert end["finish_reason"] == "cancelled"
    assert expected(7, end["usage"]["completion_tokens"]).endswith("".join(part["response"] for part in parts))


def test_a_full_queue_is_told_with_its_numbers(canary: Path) -> None:
    options: dict[str, Any] = {"threads": 1, "context": 131072, "slots": 1, "queue": 0}
    with Runtime(files=[canary], **options) as ai, ask(ai, stream=True, max_tokens=FOREVER) as stream:
        next(stream)
        with pytest.raises(QueueFull, match="1 requests are running or waiting, and there is room for 1"):
            ask(ai)


def test_what_is_longer_than_the_context_is_told_with_all_three_numbers(ai: Runtime) -> None:
    prompt_tokens = ask(ai)["usage"]["prompt_tokens"]
    with pytest.raises(ContextTooLong) as refused:
        ask(ai, max_tokens=4096)
    assert all(f"{number}" in refused.value.message for number in (f"{prompt_tokens} tokens", "is 4096", "of 4096 tok"))


def test_a_request_that_takes_too_long_is_ended(canary: Path) -> None:
    with Runtime(files=[canary], threads=1, context=131072) as ai:
        ask(ai)
        with pytest.raises(TimedOut):
            ask(ai, max_tokens=FOREVER, timeout=0.3)


def test_a_token_that_the_model_does_not_have_is_refused(ai: Runtime) -> None:
    with pytest.raises(InvalidRequest, match="logit_bias names token 999999999"):
        ask(ai, logit_bias={"999999999": 1})


def test_an_adapter_is_used_by_its_name(canary: Path, tmp_path: Path) -> None:
    canary_adapter(tmp_path / "next.gguf")
    models = tmp_path / "models.toml"
    models.write_text(f"""
        [[model]]
        id = "canary"
        path = '{canary}'
        [[adapter]]
        name = "next"
        path = "next.gguf"
        """)
    with Runtime(models=models, threads=1) as ai:
        answers = [ask(ai, lora=name)["response"] for name in ("next", None, "NEXT")]
    assert answers == [expected(8, 5), expected(7, 5), expected(8, 5)]


def test_closing_ends_what_runs(canary: Path) -> None:
    ai = Runtime(files=[canary], threads=1, context=131072)
    stream = ask(ai, stream=True, max_tokens=FOREVER)
    next(stream)
    ai.close()
    with pytest.raises(Exception, match="closed while the request was in it"):
        list(stream)


def test_closing_leaves_no_thread_behind(canary: Path) -> None:
    before = set(threading.enumerate())
    with Runtime(files=[canary], threads=1, keep_alive=-1) as ai:
        ask(ai)
    assert set(threading.enumerate()) <= before

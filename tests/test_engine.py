"""The engine on the real llama.cpp, with models whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.catalog import Adapter
from runtime.errors import (
    ContextTooLong,
    InvalidRequest,
    ModelBroken,
    QueueFull,
    TimedOut,
    UnknownAdapter,
)
from runtime.values import Progress, Request, Sampling, Segment, Text
from tests.engines import HOMES, ask, cells_in_use, engine, plain, submit
from tests.models import canary_adapter, canary_model, expected, key_token, random_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.engine import Engine
    from runtime.engine.local import LocalEngine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    canary_model(path / "canary.gguf")
    canary_model(path / "ends.gguf", eos_after=5)
    canary_adapter(path / "shift1.gguf", shift=1)
    canary_adapter(path / "shift2.gguf", shift=2)
    (path / "broken.gguf").write_bytes(b"GGUF nothing")
    return path


@pytest.fixture(scope="module", params=HOMES)
def canary(folder: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    adapters = tuple(Adapter(name, folder / f"{name}.gguf") for name in ("shift1", "shift2", "broken"))
    running = HOMES[request.param](folder / "canary.gguf", context=4096, slots=4, adapters=adapters)
    yield running
    running.close()


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[LocalEngine]:
    """Where what is inside counts."""
    running = engine(folder / "canary.gguf", context=4096, slots=4)
    yield running
    running.close()


def test_the_answer_is_what_the_weights_say(canary: Engine) -> None:
    caller = submit(canary, ask(7, 40))
    assert (caller.done().finish_reason, caller.text) == ("length", expected(7, 40))


def test_usage_counts_the_tokens_read_and_written(canary: Engine) -> None:
    usage = submit(canary, ask(max_tokens=9, before="abc")).done().usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 9, 14)


def test_every_end_of_generation_token_stops_the_answer(folder: Path) -> None:
    running = engine(folder / "ends.gguf")
    caller = submit(running, ask(7, 40))
    assert (caller.done().finish_reason, caller.text) == ("stop", expected(7, 5))
    running.close()


def test_a_long_prompt_is_read_in_chunks_that_are_told(canary: Engine) -> None:
    caller = submit(canary, ask(3, 4, before="~" * 1500))
    assert caller.whole() == expected(3, 4)
    done = [event.done for event in caller.progress]
    assert len(done) > 1
    assert done == sorted(done)
    assert caller.progress[-1] == Progress(1502, 1502)


def test_requests_run_side_by_side_without_mixing(canary: Engine) -> None:
    callers = {key: submit(canary, ask(key, 30, before="~" * key * 5, name=f"r{key}")) for key in range(20)}
    assert all(caller.whole() == expected(key, 30) for key, caller in callers.items())


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (("k07i02",), " k07i00 k07i01 "),
        ((" k07i01 k07i02",), " k07i00"),
        (("i01 k", "i02"), " k07i00 k07"),
        (("nothing",), expected(7, 8)),
    ],
)
def test_a_stop_string_may_span_tokens(canary: Engine, stop: tuple[str, ...], text: str) -> None:
    caller = submit(canary, ask(7, 8, stop=stop))
    assert (caller.done().finish_reason, caller.text) == ("length" if stop == ("nothing",) else "stop", text)


def test_text_is_emitted_token_by_token(canary: Engine) -> None:
    caller = submit(canary, ask(7, 3))
    caller.end()
    assert [event.text for event in caller.events if isinstance(event, Text)] == [" k07i00", " k07i01", " k07i02"]


def test_a_running_request_can_be_cancelled(canary: Engine) -> None:
    caller = submit(canary, ask(7, 2000))
    caller.until(Text)
    canary.cancel("one")
    assert caller.done().finish_reason == "cancelled"
    assert caller.text == expected(7, caller.done().usage.completion_tokens)


def test_a_waiting_request_can_be_cancelled(folder: Path) -> None:
    running = engine(folder / "canary.gguf", slots=1)
    first = submit(running, ask(7, 3000, name="first"))
    first.until(Text)
    waiting = submit(running, ask(8, 10, name="waiting"))
    running.cancel("waiting")
    assert (waiting.done().finish_reason, waiting.done().usage.completion_tokens) == ("cancelled", 0)
    running.cancel("first")
    first.done()
    running.close()


def test_cancelling_one_leaves_the_others_exact(canary: Engine) -> None:
    callers = [submit(canary, ask(key, 300, name=f"r{key}")) for key in range(3)]
    callers[1].until(Text)
    canary.cancel("r1")
    assert callers[1].done().finish_reason == "cancelled"
    for key in (0, 2):
        assert callers[key].whole() == expected(key, 300)


def test_cancelling_what_has_ended_or_never_was_does_nothing(canary: Engine) -> None:
    submit(canary, ask(name="ended")).done()
    canary.cancel("ended")
    canary.cancel("never")
    caller = submit(canary, ask(7, 4))
    assert caller.whole() == expected(7, 4)


def test_an_aborted_batch_is_decoded_again_without_a_trace(local: LocalEngine) -> None:
    callers = [submit(local, ask(key, 200, name=f"r{key}", before="~" * 300)) for key in range(3)]
    for _ in range(50):
        local._context.abort(True)
        callers[0].until(Text)
    for key, caller in enumerate(callers):
        assert caller.whole() == expected(key, 200)


def test_a_request_that_takes_too_long_is_ended(local: LocalEngine) -> None:
    caller = submit(local, ask(7, 3000, timeout=0.05))
    assert isinstance(caller.failure(), TimedOut)
    assert cells_in_use(local) == 0


def test_no_cell_is_left_when_all_requests_have_ended(local: LocalEngine) -> None:
    callers = [submit(local, ask(key, 20, name=f"r{key}")) for key in range(10)]
    for caller in callers:
        caller.done()
    assert cells_in_use(local) == 0


def test_a_prompt_and_answer_longer_than_the_context_are_refused_with_the_three_numbers(canary: Engine) -> None:
    with pytest.raises(ContextTooLong, match=r"4002 tokens and max_tokens is 95.* context of 4096 tokens"):
        submit(canary, ask(7, 95, before="~" * 4000))


def test_a_prompt_and_answer_that_just_fit_the_context_are_answered(canary: Engine) -> None:
    caller = submit(canary, ask(7, 94, before="~" * 4000))
    assert caller.whole() == expected(7, 94)


def test_requests_that_fit_only_one_after_the_other_are_all_answered(canary: Engine) -> None:
    callers = {key: submit(canary, ask(key, 100, before="~" * 2000, name=f"r{key}")) for key in range(6)}
    assert all(caller.whole() == expected(key, 100) for key, caller in callers.items())


def test_one_more_request_than_there_is_room_for_is_refused(folder: Path) -> None:
    running = engine(folder / "canary.gguf", slots=2, queue=3)
    callers = [submit(running, ask(key, 700, name=f"r{key}")) for key in range(5)]
    with pytest.raises(QueueFull, match=r"5 requests .* room for 5"):
        submit(running, ask(name="six"))
    assert all(caller.whole() == expected(key, 700) for key, caller in enumerate(callers))
    running.close()


def test_who_would_not_wait_is_refused_when_all_slots_are_taken_though_others_may_wait(folder: Path) -> None:
    running = engine(folder / "canary.gguf", slots=2, queue=3)
    callers = [submit(running, ask(key, 700, name=f"r{key}")) for key in range(2)]
    with pytest.raises(QueueFull, match=r"2 requests .* room for 2"):
        submit(running, ask(name="busy", reject_if_busy=True))
    callers.append(submit(running, ask(2, 5, name="waits")))
    assert [caller.whole() for caller in callers] == [expected(0, 700), expected(1, 700), expected(2, 5)]
    running.close()


def test_who_would_not_wait_is_answered_when_there_is_a_slot(canary: Engine) -> None:
    assert submit(canary, ask(7, 5, reject_if_busy=True)).whole() == expected(7, 5)


def test_an_adapter_changes_the_answer_of_its_request_only(canary: Engine) -> None:
    kinds = (None, "shift1", "shift2")
    callers = [
        (key, shift, submit(canary, ask(key, 60, name=f"r{key}{shift}", lora=kinds[shift])))
        for key in range(6)
        for shift in range(3)
    ]
    for key, shift, caller in callers:
        assert caller.whole() == expected(key + shift, 60)


def test_an_unknown_adapter_is_refused_with_those_there_are(canary: Engine) -> None:
    with pytest.raises(UnknownAdapter, match=r"'other'.*broken, shift1, shift2"):
        submit(canary, ask(lora="other"))


def test_a_broken_adapter_is_refused_to_those_who_ask_for_it_only(canary: Engine) -> None:
    with pytest.raises(ModelBroken, match=r"broken\.gguf"):
        submit(canary, ask(lora="broken"))
    assert submit(canary, ask()).done()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("x", ()), "empty"),
        (Request("x", plain("a"), max_tokens=0), "max_tokens is 0"),
        (Request("x", plain("\ud800")), "lone surrogate at position 0"),
        (Request("x", plain("a"), sampling=Sampling(logit_bias=((10**8, 1.0),))), "token 100000000"),
    ],
)
def test_a_request_that_llama_cpp_would_choke_on_is_refused(canary: Engine, request_: Request, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        submit(canary, request_)


def test_two_requests_of_one_name_are_refused(canary: Engine) -> None:
    caller = submit(canary, ask(7, 500, name="twin"))
    with pytest.raises(InvalidRequest, match="'twin'"):
        submit(canary, ask(name="twin"))
    canary.cancel("twin")
    caller.done()


def test_control_tokens_in_plain_text_do_not_end_the_prompt_early(canary: Engine) -> None:
    caller = submit(canary, Request("one", plain(f"<|eot_id|>{key_token(9)}<|eot_id|>"), max_tokens=3))
    assert caller.done().usage.prompt_tokens > 10
    assert caller.text == expected(9, 3)


def test_special_segments_are_one_token_each(canary: Engine) -> None:
    prompt = (Segment("<|begin_of_text|>", special=True), Segment(key_token(1)), Segment("<|eot_id|>", special=True))
    assert submit(canary, Request("one", prompt, max_tokens=1)).done().usage.prompt_tokens == 3


def test_a_request_gets_no_more_context_than_the_model_was_trained_on(tmp_path: Path) -> None:
    random_model(tmp_path / "short.gguf", context=512)
    running = engine(tmp_path / "short.gguf", context=4096)
    with pytest.raises(ContextTooLong, match="context of 512 tokens"):
        submit(running, ask(max_tokens=600))
    running.close()

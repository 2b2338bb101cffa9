"""Answers held to a grammar, on random weights, which want to write nonsense."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from runtime.errors import InvalidRequest
from runtime.grammar import compile_schema, matcher_of
from runtime.values import Request, Sampling, Text
from scripts import full_size_model
from tests.engines import GREEDY, cells_in_use, engine, plain, submit
from tests.models import random_model
from tests.schemas import SCHEMAS
from tests.shared import needs_shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.engine.local import LocalEngine
    from runtime.values import Done

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "age": {"type": "integer"},
        "ok": {"type": "boolean"},
        "colour": {"enum": ["red", "redder", "green"]},
        "since": {"type": "string", "format": "date"},
    },
    "required": ["name", "age", "ok", "colour"],
}
GRAMMAR = compile_schema(PERSON, closed=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path, context=8192)
    return path


@pytest.fixture(scope="module")
def running(model: Path) -> Iterator[LocalEngine]:
    made = engine(model, slots=12, context=32768)
    yield made
    made.close()


def ask(name: str, grammar: str | None = GRAMMAR, max_tokens: int = 200, **options: Any) -> Request:
    options = {"sampling": Sampling(seed=7), **options}
    return Request(name, plain("Write."), max_tokens=max_tokens, grammar=grammar, **options)


def smallest(running: LocalEngine, grammar: str) -> int:
    """The tokens of the smallest document, as the refusal of fewer names them."""
    end = matcher_of(grammar).shortest_end()
    assert end is not None
    count = len(running._model.tokenize(end, special=False))
    if count > 1:
        with pytest.raises(InvalidRequest, match=f"the smallest document has {count} tokens. Give at least {count}"):
            running.submit(ask("small", grammar, count - 1), lambda event: None)
    return count


@pytest.mark.parametrize("number", range(len(SCHEMAS)))
def test_a_document_is_whole_and_valid_whatever_the_weights_say(running: LocalEngine, number: int) -> None:
    schema = SCHEMAS[number]
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    grammar = compile_schema(schema, closed=True)
    least = smallest(running, grammar)
    dice = random.Random(number)
    rooms = [least, least + 1, least + 2, *(least + dice.randrange(120) for _ in range(7))]
    callers = [
        submit(running, ask(f"{number}-{n}", grammar, room, sampling=Sampling(seed=n + 1, temperature=n % 3)))
        for n, room in enumerate(rooms)
    ]
    for room, caller in zip(rooms, callers, strict=True):
        document, done = caller.whole(), caller.done()
        assert list(validator.iter_errors(json.loads(document))) == []
        assert done.usage.completion_tokens <= room
        assert done.finish_reason in ("stop", "length")


def test_a_document_that_was_closed_early_says_so(running: LocalEngine) -> None:
    room = smallest(running, GRAMMAR)
    whole, closed = (submit(running, ask(name, max_tokens=n)) for name, n in (("a", 400), ("b", room + 5)))
    assert (whole.done().finish_reason, closed.done().finish_reason) == ("stop", "length")
    assert json.loads(whole.whole())["name"].startswith(json.loads(closed.whole())["name"])


def test_forced_text_is_written_before_the_prompt_is_read_and_counts_as_written(running: LocalEngine) -> None:
    caller = submit(running, ask("only", compile_schema({"const": {"answer": [True, None]}}, closed=True)))
    first = caller.next()
    assert isinstance(first, Text)
    assert first.text == "{"
    assert caller.whole() == '{"answer": [true, null]}'
    assert caller.done().usage.completion_tokens == len(running._model.tokenize(caller.text, special=False))
    assert caller.done().finish_reason == "stop"


def written(running: LocalEngine, name: str, **options: Any) -> tuple[str, Done]:
    caller = submit(running, ask(name, **options))
    return caller.whole(), caller.done()


@pytest.mark.parametrize("seed", range(1, 6))
def test_looking_ahead_leads_to_the_same_kind_of_document(running: LocalEngine, seed: int) -> None:
    """Sampled tokens, and so the text, may differ: where only `"name"` may come, the model may spell it otherwise."""
    text, _ = written(running, f"ahead{seed}", sampling=Sampling(seed=seed))
    assert list(Draft202012Validator(PERSON).iter_errors(json.loads(text))) == []
    assert text == written(running, f"again{seed}", sampling=Sampling(seed=seed))[0]


def test_with_log_probabilities_every_token_is_sampled_and_has_its_own(running: LocalEngine) -> None:
    caller = submit(running, ask("log", max_tokens=400, sampling=Sampling(seed=3, logprobs=0)))
    json.loads(caller.whole())
    told = [one.text for event in caller.events if isinstance(event, Text) for one in event.logprobs]
    assert b"".join(told).decode() == caller.text
    assert len(told) == caller.done().usage.completion_tokens


def test_a_guess_that_is_right_changes_nothing(model: Path) -> None:
    """Greedy, on a model that agrees with itself: with guesses and without the text is the same."""
    grammar = 'root ::= "ab: " [a-z "]{1,40}'
    texts = []
    for guesses in (True, False):
        made = engine(model, slots=2)
        if not guesses:
            made._start = without_guesses(made._start)  # type: ignore[method-assign]
        texts.append(written(made, "one", grammar=grammar, sampling=GREEDY)[0])
        made.close()
    assert texts[0] == texts[1]


def without_guesses(start: Any) -> Any:
    def started(sequence: Any, now: float) -> None:
        start(sequence, now)
        ahead = sequence.constraint.ahead
        sequence.constraint.ahead = lambda left: ahead(left)._replace(guess=[])

    return started


@needs_shared("data/llama3-vocab.gguf")
def test_with_llamas_vocabulary_documents_are_right_and_guesses_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    full_size_model.build(path, "tiny")
    with_guesses, without = (whole_documents(path, guesses=guesses) for guesses in (True, False))
    assert with_guesses == without
    for schema, text in zip(SCHEMAS[::5] * 2, with_guesses, strict=True):
        assert list(Draft202012Validator(schema).iter_errors(json.loads(text))) == []


def whole_documents(path: Path, *, guesses: bool) -> list[str]:
    """One after the other, so that only guesses change the shape of a batch."""
    made = engine(path, slots=4, context=8192)
    if not guesses:
        made._start = without_guesses(made._start)  # type: ignore[method-assign]
    texts = [
        written(made, "one", grammar=compile_schema(schema, closed=True), sampling=sampling)[0]
        for sampling in (GREEDY, Sampling(seed=3))
        for schema in SCHEMAS[::5]
    ]
    made.close()
    return texts


def test_twelve_at_once_are_all_right(running: LocalEngine) -> None:
    free = [submit(running, ask(f"f{n}", None, 60, sampling=Sampling(seed=n + 1))) for n in range(6)]
    held = [submit(running, ask(f"h{n}", sampling=Sampling(seed=n + 1))) for n in range(6)]
    for caller in held:
        assert list(Draft202012Validator(PERSON).iter_errors(json.loads(caller.whole()))) == []
    for caller in free:
        assert caller.done().usage.completion_tokens > 0


def test_an_answer_that_is_cancelled_leaves_nothing_behind(running: LocalEngine) -> None:
    caller = submit(running, ask("gone", compile_schema({"type": "array"}), 4000))
    caller.until(Text)
    running.cancel("gone")
    assert caller.done().finish_reason == "cancelled"
    whole = submit(running, ask("next"))
    whole.done()
    assert cells_in_use(running) == 0


def test_a_stop_string_ends_forced_text_too(running: LocalEngine) -> None:
    caller = submit(running, ask("stop", 'root ::= "abc END def"', stop=("END",)))
    assert (caller.whole(), caller.done().finish_reason) == ("abc ", "stop")


def test_a_grammar_without_an_end_is_refused(running: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match="comes to an end"):
        running.submit(ask("endless", 'root ::= "a" root'), lambda event: None)


def test_what_is_no_grammar_is_refused(running: LocalEngine) -> None:
    with pytest.raises(InvalidRequest):
        running.submit(ask("none", "root ::= ("), lambda event: None)

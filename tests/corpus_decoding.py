"""Text, tokens, batches, threads, signals and sampling that kill or mislead llama.cpp, at our doors; and the doors that
there are not."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import runtime
from runtime import Runtime
from runtime.engine.llama import Candidates, Chain, Context, Model
from runtime.engine.sampling import Sampler
from runtime.errors import EngineClosed, EngineError, InvalidRequest
from runtime.values import Sampling
from tests.corpus import KEY, LENGTH, QUESTION, Case, World, answered, canary_answers, raises, refused
from tests.models import expected, key_token

if TYPE_CHECKING:
    from collections.abc import Callable

# -- text ------------------------------------------------------------------------------------------------------------


def prompt(text: bytes) -> bytes:
    """A request as bytes."""
    return b'{"max_tokens": 4, "prompt": "' + text + b'"}'


def round_trip(world: World) -> None:
    dice = random.Random(1)
    for _ in range(300):
        text = "".join(chr(_code(dice)) for _ in range(dice.randint(1, 60)))
        tokens = world.model.tokenize(text, special=False)
        assert b"".join(map(world.model.piece, tokens)).decode() == text


def _code(dice: random.Random) -> int:
    code = dice.choice([dice.randrange(0x80), dice.randrange(0x3000), dice.randrange(0x110000)])
    return code if not 0xD800 <= code < 0xE000 else 0


def long(text: str) -> bytes:
    """About 1 MB of it, behind a letter, since blanks around a prompt are taken off."""
    shown = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    return prompt(b"a" + shown * (1_000_000 // len(shown)) + b"a")


TEXTS: dict[str, Case] = {
    **{
        f"bytes {bad.hex()}": refused(400, prompt(bad))
        for bad in (
            b"\xf4\x90\x80\x80",
            b"\xf7\xbf\xbf\xbf",
            b"\xc0\xaf",
            b"\xed\xa0\x80",
            b"\xff",
            b"\x80",
            b"\xf0\x9f",
        )
    },
    "a lone surrogate": refused(400, prompt(b"\\ud800")),
    "a surrogate the wrong way round": refused(400, prompt(b"\\udc00\\ud800")),
    "a surrogate from Python": raises(InvalidRequest, lambda world: world.ai.run("canary", {"prompt": "\ud800"})),
    "a surrogate in a stop": refused(400, {"stop": ["\ud800"]}),
    "NULs": answered({"prompt": f"\0a\0{key_token(KEY)}\0"}, canary_answers),
    "300 random strings there and back": round_trip,
    "no text": refused(400, {"prompt": ""}),
    "no tokens": raises(InvalidRequest, lambda world: world.ai.run("canary", {"messages": []})),
    "control tokens typed": answered(
        {"prompt": f"<|eot_id|><|end_of_text|>{key_token(KEY)}<|python_tag|>"}, canary_answers
    ),
    **{
        f"1 MB of {name}": refused(413, long(text))
        for name, text in {
            "a": "a",
            "blanks": " ",
            "line ends": "\n",
            "emoji": "🦙",
            "digits": "7",
            "marks": "!",
            "a letter and its accent": "e\u0301",
            "control tokens": "<|eot_id|>",
        }.items()
    },
    "more than 1 MB": refused(413, prompt(b"a" * (1 << 20))),
}

# -- tokens and batches ----------------------------------------------------------------------------------------------


def batch(*tokens: int, sequence: int = 0, position: int = 0, outputs: int = 1) -> Callable[[World], object]:
    """A batch is filled like that, and decoded."""

    def call(world: World) -> object:
        context = world.context
        context.batch.clear()
        context.batch.add(sequence, list(tokens), position, outputs=outputs)
        return context.decode()

    return fresh(call)


def fresh(use: Callable[[World], object]) -> Callable[[World], object]:
    """In a context where nothing is yet, and which answers afterwards."""

    def call(world: World) -> object:
        world.context.forget(0)
        try:
            return use(world)
        finally:
            world.context.forget(0)
            decoded(world.context, [1, 2, 3])
            world.context.forget(0)

    return call


def decoded(context: Context, tokens: list[int], position: int = 0) -> int:
    context.batch.clear()
    (row,) = context.batch.add(0, tokens, position, outputs=1)
    assert context.decode()
    return row


def filled(world: World) -> object:
    """More tokens than there are cells."""
    for start in range(0, 320, 64):
        decoded(world.context, [1] * 64, start)
    return world.context.length(0)


def elsewhere(world: World) -> object:
    """The context of one thread, from another."""
    decoded(world.context, [1])
    caught: list[BaseException] = []

    def use() -> None:
        try:
            decoded(world.context, [2], 1)
        except EngineError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    raise caught[0]


def two_contexts(world: World) -> None:
    """Of one model in two threads, with the same logits."""
    sums: list[list[float]] = [[], []]

    def use(found: list[float]) -> None:
        context = Context(world.model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
        found += [float(context.logits(decoded(context, [at], at)).sum()) for at in range(100)]
        context.free()

    threads = [threading.Thread(target=use, args=(found,)) for found in sums]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums[0] == sums[1]
    assert len(sums[0]) == 100


def freed_context(world: World) -> Context:
    context = Context(world.model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
    decoded(context, [1])
    context.free()
    context.free()
    return context


def freed_model(world: World) -> Model:
    model = Model(world.file("canary"))
    model.free()
    model.free()
    return model


def closed_under(world: World) -> object:
    """`close` while an answer is written."""
    ai = Runtime(models=world.catalogue, threads=1, context=2048)
    stream = ai.run("canary", {**QUESTION, "max_tokens": 1900}, stream=True)
    next(stream)
    ai.close()
    return list(stream)


def interrupted(world: World) -> object:
    """Ctrl-C while answers are awaited."""
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    while True:
        world.ai.run("canary", {**QUESTION, "max_tokens": 1000})


def adapters_in_turn(world: World) -> None:
    """Answers with an adapter and without, at once."""
    found: list[tuple[str, str]] = []

    def ask(lora: str | None) -> None:
        key = KEY if lora is None else KEY + 1
        found.append((world.ai.run("canary", QUESTION, lora=lora)["response"], expected(key, LENGTH)))

    threads = [threading.Thread(target=ask, args=(lora,)) for lora in ("next", None) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(given == right for given, right in found)


BATCHES: dict[str, Case] = {
    "no tokens": raises(EngineError, batch()),
    "token -1": raises(EngineError, batch(1, -1)),
    "a token beyond the vocabulary": raises(EngineError, lambda world: batch(world.model.n_vocab)(world)),
    "sequence -1": raises(EngineError, batch(1, sequence=-1)),
    "sequence 2 of 2": raises(EngineError, batch(1, sequence=2)),
    "more tokens than it holds": raises(EngineError, batch(*[1] * 65)),
    "more outputs than are reserved": raises(EngineError, batch(*[1] * 10, outputs=10)),
    "outputs below none": raises(EngineError, batch(1, outputs=-1)),
    "a position below 0": raises(EngineError, batch(1, position=-1)),
    "a position of 2^31 - 1": raises(EngineError, batch(1, position=2**31 - 1)),
    "a position far away": raises(EngineError, batch(1, position=300)),
    "a gap between positions": raises(
        EngineError, fresh(lambda world: [decoded(world.context, [1], at) for at in (0, 5)])
    ),
    "a position twice": raises(EngineError, fresh(lambda world: [decoded(world.context, [1], at) for at in (0, 0)])),
    "more tokens than cells": raises(EngineError, fresh(filled)),
    "logits of a row that has none": raises(
        EngineError, fresh(lambda world: world.context.logits(decoded(world.context, [1, 2, 3]) - 1))
    ),
    "logits of row -1": raises(
        EngineError, fresh(lambda world: (decoded(world.context, [1]), world.context.logits(-1)))
    ),
    "another thread": raises(EngineError, lambda world: elsewhere(_with_new_context(world))),
    "two contexts of a model": two_contexts,
    "a freed context decodes": raises(EngineError, lambda world: decoded(freed_context(world), [1])),
    "a freed context has logits": raises(EngineError, lambda world: freed_context(world).logits(0)),
    "a freed context has a length": raises(EngineError, lambda world: freed_context(world).length(0)),
    "a freed context forgets": raises(EngineError, lambda world: freed_context(world).forget(0)),
    "a freed model makes a context": raises(
        EngineError, lambda world: Context(freed_model(world), n_ctx=64, n_batch=64, n_seq_max=1, threads=1)
    ),
    "a freed model tokenizes": raises(EngineClosed, lambda world: freed_model(world).tokenize("a", special=False)),
    "a freed model has pieces": raises(EngineError, lambda world: freed_model(world).piece(1)),
    "a freed model has ends": raises(EngineError, lambda world: freed_model(world).is_end(1)),
    **{
        f"the piece of token {token}": raises(EngineError, lambda world, token=token: world.model.piece(token))  # type: ignore[misc]
        for token in (-1, 10**6, 2**31, -(2**31))
    },
    "whether token -1 is an end": raises(EngineError, lambda world: world.model.is_end(-1)),
    "closed while an answer is written": raises(EngineClosed, closed_under),
    "adapters in turn": adapters_in_turn,
}
if sys.platform != "win32":
    BATCHES["interrupted"] = raises(KeyboardInterrupt, interrupted)  # type: ignore[arg-type]


def _with_new_context(world: World) -> World:
    """Which belongs to the thread that uses it first."""
    world.__dict__.pop("context", None)
    return world


# -- sampling --------------------------------------------------------------------------------------------------------


def sent(name: str, literal: str) -> bytes:
    """A request with this text as a value, which may be no JSON."""
    body = json.dumps({key: value for key, value in QUESTION.items() if key != name})
    return f'{body[:-1]}, "{name}": {literal}}}'.encode()


BAD_NUMBERS = {
    "temperature": ("NaN", "Infinity", "-Infinity", "1e999", "-1", "5.01", "true", '"hot"', "[]", "1e309"),
    "top_p": ("NaN", "Infinity", "-0.1", "2.1", "1e999", "false"),
    "min_p": ("NaN", "Infinity", "-0.1", "1.1", "true"),
    "top_k": ("NaN", "0", "-1", "51", "1.5", "9223372036854775808", "1e999", "true"),
    "seed": ("NaN", "0", "-1", "1.5", "18446744073709551621", "10000000000", "true"),
    "repetition_penalty": ("NaN", "-1", "2.1", "Infinity", "true"),
    "frequency_penalty": ("NaN", "-0.5", "2.1", "Infinity", "true"),
    "presence_penalty": ("NaN", "-0.5", "2.1", "Infinity", "true"),
    "logit_bias": ('{"5": NaN}', '{"5": Infinity}', '{"5": 101}', '{"-1": 1}', '{"999999": 1}', '{"x": 1}', "[1]"),
    "max_tokens": ("0", "-1", "1.5", "NaN", "2147483648", "1e999", "true"),
}
GOOD_NUMBERS = {
    "temperature": ("0", "-0.0", "1e-40", "1e-320", "5", "0.000001"),
    "top_p": ("0", "0.0", "1e-40", "1", "2"),
    "min_p": ("0", "1", "1e-320"),
    "top_k": ("1", "50"),
    "seed": ("1", "4294967295", "4294967296", "9999999999"),
    "repetition_penalty": ("0", "2", "1e-40", "1e-320"),
    "frequency_penalty": ("0", "2", "1e-320"),
    "presence_penalty": ("0", "2", "1e-320"),
    "logit_bias": ('{"5": -100}', '{"5": 100, "6": 1e-320}', "{}"),
}


def drawn(literal: bytes) -> Case:
    """Answered at temperature 1 too, whatever comes."""

    def case(world: World) -> None:
        for body in (literal, literal.replace(b'"temperature": 0', b'"temperature": 1')):
            assert world.post(body).status == 200

    return case


def _at_once(name: str, literals: tuple[str, ...], make: Callable[[bytes], Case]) -> Case:
    """All values of an option, one after the other: what is wrong is shown with its value."""

    def case(world: World) -> None:
        for literal in literals:
            try:
                make(sent(name, literal))(world)
            except AssertionError as wrong:
                raise AssertionError(f"{name} {literal}: {wrong}") from None

    return case


def chain(*stages: tuple[Any, ...]) -> Callable[[World], object]:
    def call(world: World) -> object:
        made = Chain(5, stages)
        try:
            candidates = Candidates(5)
            candidates.fill(None, np.arange(5, dtype=np.float32))
            made.shape(candidates)
            return made.select(candidates)
        finally:
            made.free()

    return call


def sampled(*logits: float) -> Callable[[World], object]:
    def call(world: World) -> object:
        sampler = Sampler(Sampling(), seed=1, prompt=(), n_vocab=len(logits))
        try:
            return sampler.sample(np.array(logits, np.float32), Candidates(len(logits)))
        finally:
            sampler.free()

    return call


SAMPLING: dict[str, Case] = {
    **{
        f"{name} that is refused": _at_once(name, bad, lambda body: refused(400, body))
        for name, bad in BAD_NUMBERS.items()
    },
    **{f"{name} at its bounds": _at_once(name, good, drawn) for name, good in GOOD_NUMBERS.items()},
    "301 biases": refused(400, {"logit_bias": {str(at): 1 for at in range(301)}}),
    "no stage": raises(EngineError, chain()),
    "no stage that selects": raises(EngineError, chain(("temperature", 1.0))),
    **{
        f"stage {name} of {value}": raises(EngineError, chain((name, value), ("greedy",)))
        for name in ("temperature", "min_p")
        for value in (float("nan"), float("inf"))
    },
    "a penalty that is no number": raises(EngineError, chain(("penalties", 64, float("nan"), 0.0, 0.0), ("greedy",))),
    "a bias that is no number": raises(EngineError, chain(("logit_bias", ((1, float("nan")),)), ("greedy",))),
    "a bias without bound": raises(EngineError, chain(("logit_bias", ((1, float("inf")),)), ("greedy",))),
    "a penalty that looks back 2^31 - 1 tokens": raises(
        EngineError, chain(("penalties", 2**31 - 1, 1.1, 0.0, 0.0), ("greedy",))
    ),
    "logits that are no numbers": raises(EngineError, sampled(1.0, float("nan"), 2.0), "not finite"),
    "no finite logit": raises(EngineError, sampled(*[float("-inf")] * 4), "not finite"),
    "a logit without bound": raises(EngineError, sampled(1.0, float("inf")), "not finite"),
}

# -- what there is no door to ----------------------------------------------------------------------------------------

SOURCES = {path: path.read_text("utf-8") for path in Path(runtime.__file__).parent.rglob("*.py")}
NO_DOORS = {
    "lazy grammars and their patterns": r"grammar_lazy|trigger_pattern|trigger_word",
    "llama_sampler_sample": r"\bc\.llama_sampler_sample\b",
    "clones of samplers": r"\bc\.llama_sampler_clone\b",
    "llama-cpp-python's own converter of schemas": r"json_schema_to_gbnf|llama_grammar\b",
    "its Llama class": r"import Llama\b|llama_cpp\.Llama\b",
    "saved states": r"\bc\.llama_(?:state|memory_seq_cp|save|load_session)",
    "templates in files": r"llama_chat_apply_template|import jinja2|from jinja2",
    "fork": r"os\.fork|import multiprocessing|from multiprocessing",
    "llama.cpp but by the facade": r"import llama_cpp|from llama_cpp",
    "filters that nothing asks for": r"init_(?:typical|xtc|mirostat|dry|top_n_sigma|infill)",
    "downloads by llama.cpp, and RPC": r"llama_model_load_from_url|rpc",
}


def no_door(pattern: str) -> Case:
    def case(world: World) -> None:
        found = [path.name for path, text in SOURCES.items() if re.search(pattern, text)]
        assert found in ([], ["binding.py"] if "llama_cpp" in pattern else []), found

    return case


CASES: dict[str, Case] = {
    **{f"text: {name}": case for name, case in TEXTS.items()},
    **{f"engine: {name}": case for name, case in BATCHES.items()},
    **{f"sampling: {name}": case for name, case in SAMPLING.items()},
    **{f"no door: {name}": no_door(pattern) for name, pattern in NO_DOORS.items()},
}

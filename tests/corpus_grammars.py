"""Grammars that kill or hang llama.cpp, at the doors where ours takes any: `grammar` from Python, and the facade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.llama import GrammarSampler
from runtime.engine.widening import likeliest_allowed
from runtime.errors import EngineClosed, EngineError, InvalidRequest
from runtime.values import Sampling
from tests.corpus import QUESTION, Case, World, raises, refused
from tests.test_grammar_check import KILLERS, chain

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = {
    **KILLERS,
    "a left recursion through three rules": 'root ::= a "x" | "q"\na ::= b "y"\nb ::= root',
    "a bad escape": 'root ::= "\\q"',
    "a literal without end": 'root ::= "abc',
    "a class without end": "root ::= [a-z",
    "a group without end": 'root ::= ("a"',
    "a million in one count": 'root ::= "a"{1000000}',
    "counts in counts, four deep": 'root ::= (((("a"{0,40}){0,40}){0,40}){0,40})',
    "a count of twenty digits": 'root ::= "a"{99999999999999999999}',
    "25 doubled rules": chain(25, "{0} | {0}"),
    "a chain of 100,000 rules": chain(100_000, "{0}"),
    "100,000 parentheses": f'root ::= {"(" * 100_000}"a"{")" * 100_000}',
    "10,000 parentheses": f'root ::= {"(" * 10_000}"a"{")" * 10_000}',
    "50 KB 2,000 times": f'root ::= "{"x" * 50_000}"{{2000}}',
    "200,000 alternatives": "root ::= " + " | ".join(f'"{at}"' for at in range(200_000)),
    "a reference to a token": "root ::= [a-z] !<[7]>",
    "a reference to a token by its text": "root ::= <think> [a-z]",
    "a dead end from the beginning": 'root ::= "a" dead\ndead ::= "x" dead',
    "no grammar, but blanks": " \n",
    "no grammar, but a comment": "# nothing",
    "a character beyond Unicode": 'root ::= "\\U00110000"',
}


def asked(grammar: Any) -> Callable[[World], Any]:
    return lambda world: world.ai.run("canary", {**QUESTION, "grammar": grammar})


def answers(grammar: str, text: str) -> Case:
    def case(world: World) -> None:
        assert asked(grammar)(world)["response"] == text

    return case


def sampler(grammar: str, use: Callable[[GrammarSampler, World], object]) -> Callable[[World], object]:
    """Something done with a grammar sampler of the facade."""

    def call(world: World) -> object:
        made = GrammarSampler(world.model, grammar)
        try:
            return use(made, world)
        finally:
            made.free()

    return call


def end_of(world: World) -> int:
    (token,) = world.model.tokenize("<|eot_id|>", special=True)
    return token


def over_then(use: Callable[[GrammarSampler, World], object]) -> Callable[[World], object]:
    """Once the text "a" is written, and the grammar is at its end."""

    def call(made: GrammarSampler, world: World) -> object:
        made.accept(ord("a") - 33)  # GPT-2's order: the first byte that prints is "!", 33
        return use(made, world)

    return sampler('root ::= "a"', call)


def closes(world: World) -> object:
    """The model is closed while an answer is held to a grammar."""
    from runtime import Runtime

    with Runtime(models=world.catalogue, threads=1, context=2048) as ai:
        stream = ai.run("canary", {**QUESTION, "grammar": "root ::= .*", "max_tokens": 1500}, stream=True)
        next(stream)
        ai.close()
        return list(stream)


def none_allowed(world: World) -> object:
    tokens = np.arange(5)
    logits = np.zeros(5, np.float32)
    return likeliest_allowed(tokens, logits, lambda some: np.zeros(len(some), bool), Sampling(), greedy=False)


def freed_then_asked(made: GrammarSampler, world: World) -> object:
    made.free()
    return made.allows(1)


SAMPLERS: dict[str, Case] = {
    "text that is no grammar": raises(EngineError, sampler("root ::= (", lambda made, world: made)),
    "an empty text": raises(EngineError, sampler("", lambda made, world: made)),
    "a NUL in the text": raises(EngineError, sampler('root ::= "a\0b"', lambda made, world: made), "NUL"),
    "accepts a token that is not allowed": raises(
        EngineError, sampler('root ::= "a"', lambda made, world: made.accept(ord("b") - 33)), "does not allow"
    ),
    "accepts the end too early": raises(
        EngineError, sampler('root ::= "a"', lambda made, world: made.accept(end_of(world))), "does not allow"
    ),
    "accepts a token behind the end": raises(
        EngineError, over_then(lambda made, world: made.accept(ord("a") - 33)), "does not allow"
    ),
    "accepts token -1": raises(EngineError, sampler("root ::= .*", lambda made, world: made.accept(-1)), "Token -1"),
    "accepts a token beyond the vocabulary": raises(
        EngineError, sampler("root ::= .*", lambda made, world: made.accept(world.model.n_vocab)), "outside"
    ),
    "asks about a token beyond the vocabulary": raises(
        EngineError, sampler("root ::= .*", lambda made, world: made.allows(2**31 - 1)), "outside"
    ),
    "asks about tokens beyond the vocabulary": raises(
        EngineError, sampler("root ::= .*", lambda made, world: made.allowed(np.array([0, -1, 10**6]))), "outside"
    ),
    "is used after it was freed": raises(EngineError, sampler("root ::= .*", freed_then_asked), "freed"),
    "no token is allowed": raises(EngineError, none_allowed, "allows no token"),
    "the model goes while a grammar is followed": raises(EngineClosed, closes),
}

CASES: dict[str, Case] = {
    **{f"grammar: {name}": raises(InvalidRequest, asked(text)) for name, text in REFUSED.items()},
    "grammar: an empty text": raises(InvalidRequest, asked("")),
    "grammar: a NUL in a literal": raises(InvalidRequest, asked('root ::= "a\0b"')),
    "grammar: a NUL in a comment": raises(InvalidRequest, asked('root ::= "a" # \0\nroot ::= "b"')),
    "grammar: a lone surrogate": raises(InvalidRequest, asked('root ::= "\ud800"')),
    "grammar: 1 MB and one byte": raises(InvalidRequest, asked(f'root ::= "a" #{"x" * 1_000_000}')),
    "grammar: no text": raises(InvalidRequest, asked(["root"])),
    "grammar: over HTTP": refused(400, {"grammar": 'root ::= "a"'}),
    "grammar: over HTTP, one that kills": refused(400, {"grammar": KILLERS["doubled rules"]}),
    "grammar: a harmless one": answers('root ::= "yes"', "yes"),
    **{f"grammar sampler: {name}": case for name, case in SAMPLERS.items()},
}

"""The facade refuses what would end the process inside llama.cpp, as each of these inputs does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.engine.llama import Candidates, Chain, Context, GrammarSampler, Model, system_info
from runtime.engine.llama.binding import c
from runtime.engine.llama.model import MAX_TEXT
from runtime.errors import ContextTooLong, EngineClosed, EngineError, InvalidRequest, ModelBroken
from tests.models import canary_adapter, canary_model, random_model
from tests.shared import needs_shared, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VOCABULARY = "data/llama3-vocab.gguf"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path)
    loaded = Model(path)
    yield loaded
    loaded.free()


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    made = Context(model, n_ctx=256, n_batch=64, n_seq_max=2, threads=1)
    yield made
    made.free()


def decoded(context: Context, tokens: list[int], *, sequence: int = 0, position: int = 0) -> int:
    context.batch.clear()
    (row,) = context.batch.add(sequence, tokens, position, outputs=1)
    assert context.decode()
    return row


def test_the_cache_may_hold_q8_0(tmp_path: Path) -> None:
    random_model(tmp_path / "wide.gguf", embedding=128)  # heads of 32 numbers, a block
    model, rows = Model(tmp_path / "wide.gguf"), []
    for kv_type in ("f16", "q8_0"):
        made = Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1, kv_type=kv_type)
        row = decoded(made, [1, 2, 3])
        rows.append(made.logits(row).copy())
        made.free()
    model.free()
    difference = np.abs(rows[0] - rows[1]).max()
    assert 0 < difference < 0.5 * rows[0].std()


@pytest.mark.parametrize(("prompt_threads", "expected"), [(0, (2, 2)), (1, (2, 1)), (10**6, (2, 512))])
def test_prompts_have_threads_of_their_own(model: Model, prompt_threads: int, expected: tuple[int, int]) -> None:
    made = Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=2, prompt_threads=prompt_threads)
    assert (c.llama_n_threads(made._context), c.llama_n_threads_batch(made._context)) == expected
    made.free()


def test_llama_cpp_lists_its_features() -> None:
    assert system_info().startswith("CPU : ")


@pytest.mark.parametrize(
    ("what", "add"),
    [
        ("a negative token", lambda batch: batch.add(0, [1, -1], 0, outputs=1)),
        ("a token beyond the vocabulary", lambda batch: batch.add(0, [10**6], 0, outputs=1)),
        ("a negative sequence", lambda batch: batch.add(-1, [1], 0, outputs=1)),
        ("a sequence beyond the context's", lambda batch: batch.add(2, [1], 0, outputs=1)),
        ("more tokens than the batch holds", lambda batch: batch.add(0, [1] * 65, 0, outputs=1)),
        ("no tokens", lambda batch: batch.add(0, [], 0, outputs=1)),
        ("a negative position", lambda batch: batch.add(0, [1], -1, outputs=1)),
        ("a position beyond the context", lambda batch: batch.add(0, [1], 256, outputs=1)),
        ("tokens that leave the context", lambda batch: batch.add(0, [1, 2], 255, outputs=1)),
        ("more outputs than tokens", lambda batch: batch.add(0, [1], 0, outputs=2)),
    ],
)
def test_a_batch_refuses(context: Context, what: str, add: Callable[[object], object]) -> None:
    with pytest.raises(EngineError):
        add(context.batch)


def test_an_empty_batch_is_not_decoded(context: Context) -> None:
    context.batch.clear()
    with pytest.raises(EngineError, match="batch of 0 tokens"):
        context.decode()


def test_more_outputs_than_reserved_are_not_decoded(context: Context) -> None:
    for position in range(5):
        context.batch.add(0, [1], position, outputs=1)
    with pytest.raises(EngineError, match="5 outputs"):
        context.decode()


def test_logits_of_a_row_that_asked_for_none_are_refused(context: Context) -> None:
    decoded(context, [1, 2, 3])
    for row in (0, 3, -1, 99):
        with pytest.raises(EngineError, match=f"Row {row} "):
            context.logits(row)


def test_a_context_belongs_to_one_thread(context: Context) -> None:
    decoded(context, [1])
    errors = []

    def elsewhere() -> None:
        try:
            context.decode()
        except EngineError as error:
            errors.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert errors == ["A context was used from two threads."]


def test_an_aborted_decode_leaves_the_sequence_as_it_was(context: Context) -> None:
    decoded(context, [1, 2, 3])
    context.abort(True)
    context.batch.clear()
    context.batch.add(0, [4], 3, outputs=1)
    assert not context.decode()
    assert context.length(0) == 3
    context.abort(False)
    assert context.decode()
    assert context.length(0) == 4


def test_a_forgotten_sequence_has_no_cells(context: Context) -> None:
    decoded(context, [1, 2, 3], sequence=1)
    context.forget(1)
    assert context.length(1) == 0


@pytest.mark.parametrize("sequence", [-1, 2])
def test_a_sequence_that_the_context_has_not_is_neither_measured_nor_forgotten(context: Context, sequence: int) -> None:
    with pytest.raises(EngineError, match=f"Sequence {sequence} is not one of the 2"):
        context.length(sequence)
    with pytest.raises(EngineError, match=f"Sequence {sequence} is not one of the 2"):
        context.forget(sequence)


def test_a_sequence_is_not_forgotten_from_before_its_beginning(context: Context) -> None:
    with pytest.raises(EngineError, match="from position -1 on"):
        context.forget(0, -1)


def test_what_is_freed_is_not_used(model: Model) -> None:
    made = Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
    grammar = GrammarSampler(model, 'root ::= "a"')
    made.free()
    grammar.free()
    uses: list[Callable[[], object]] = [
        made.decode,
        lambda: made.logits(0),
        lambda: made.length(0),
        lambda: made.forget(0),
        lambda: made.set_adapter(None),
        lambda: grammar.allows(1),
        lambda: grammar.accept(1),
    ]
    for use in uses:
        with pytest.raises(EngineError, match="has been freed"):
            use()
    made.free()
    grammar.free()


def test_a_model_outlives_its_contexts_and_is_not_used_when_it_is_freed(tmp_path: Path) -> None:
    random_model(tmp_path / "random.gguf")
    model = Model(tmp_path / "random.gguf")
    made = Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
    grammar = GrammarSampler(model, 'root ::= "a"')
    known = model.piece(1)
    with pytest.raises(EngineError, match="before the 1 contexts"):
        model.free()
    assert model.piece(1) == known
    made.free()
    model.free()
    model.free()
    uses: list[Callable[[], object]] = [
        lambda: model.piece(2),
        lambda: model.is_end(1),
        lambda: model.load_adapter(tmp_path / "no.gguf"),
        lambda: grammar.allows(1),
        lambda: GrammarSampler(model, 'root ::= "a"'),
        lambda: Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1),
    ]
    for use in uses:
        with pytest.raises(EngineClosed):
            use()
    grammar.free()


@pytest.mark.parametrize("text", ["", 'root ::= "a\0"', 'root ::= "\ud800"'])
def test_a_text_that_llama_cpp_would_read_otherwise_is_no_grammar(model: Model, text: str) -> None:
    with pytest.raises(EngineError, match="A grammar"):
        GrammarSampler(model, text)


def test_what_llama_cpp_finds_no_grammar_is_refused(model: Model) -> None:
    with pytest.raises(EngineError, match="cannot use a grammar of 9 characters"):
        GrammarSampler(model, "rule ::= ")


def test_a_grammar_takes_no_token_that_it_does_not_allow(model: Model) -> None:
    grammar = GrammarSampler(model, 'root ::= "a"')
    (a,), (b,) = model.tokenize("a", special=False), model.tokenize("b", special=False)
    (end,) = model.tokenize("<|eot_id|>", special=True)
    for token in (b, end):
        with pytest.raises(EngineError, match=f"does not allow token {token}"):
            grammar.accept(token)
    for token in (-1, model.n_vocab):
        with pytest.raises(EngineError, match=f"Token {token} is outside"):
            grammar.accept(token)
        with pytest.raises(EngineError, match=f"Token {token} is outside"):
            grammar.allowed(np.array([a, token]))
    grammar.accept(a)
    with pytest.raises(EngineError, match=f"does not allow token {a}"):
        grammar.accept(a)
    assert grammar.allowed(np.array([a, b, end])).tolist() == [False, False, True]
    assert grammar.allowed(np.array([], np.int64)).tolist() == []
    grammar.free()


def test_an_adapter_of_another_model_is_not_set(tmp_path: Path) -> None:
    canary_model(tmp_path / "canary.gguf")
    canary_adapter(tmp_path / "adapter.gguf")
    model, other = (Model(tmp_path / "canary.gguf") for _ in range(2))
    adapter = model.load_adapter(tmp_path / "adapter.gguf")
    made = Context(other, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
    with pytest.raises(EngineError, match="for another model"):
        made.set_adapter(adapter)
    made.free()
    made = Context(model, n_ctx=256, n_batch=64, n_seq_max=1, threads=1)
    made.set_adapter(adapter, 1.0)
    for scale in (float("nan"), float("inf")):
        with pytest.raises(EngineError, match=f"strength of a LoRA adapter is {scale}"):
            made.set_adapter(adapter, scale)
    made.free()
    model.free()
    other.free()


@pytest.mark.parametrize(
    "sizes",
    [{"n_ctx": 0}, {"n_ctx": -1}, {"n_ctx": (1 << 30) + 1}, {"n_batch": 0}, {"n_batch": -5}, {"kv_type": "q4_0"}],
    ids=str,
)
def test_sizes_that_llama_cpp_would_read_otherwise_are_refused(model: Model, sizes: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=r"is outside of|holds no"):
        Context(model, **{"n_ctx": 256, "n_batch": 64, "n_seq_max": 1, "threads": 1, **sizes})


def test_a_text_longer_than_any_context_is_refused_before_it_is_read(model: Model) -> None:
    with pytest.raises(ContextTooLong, match="has 16777217 bytes; no context holds more than 16777216"):
        model.tokenize("a" * (MAX_TEXT + 1), special=False)


@pytest.mark.parametrize("sequences", [0, 257])
def test_a_context_of_impossible_size_is_refused(model: Model, sequences: int) -> None:
    with pytest.raises(EngineError, match=f"{sequences} sequences"):
        Context(model, n_ctx=256, n_batch=64, n_seq_max=sequences, threads=1)


@pytest.mark.parametrize("token", [-1, 10**6])
def test_tokens_outside_of_the_vocabulary_have_no_piece(model: Model, token: int) -> None:
    with pytest.raises(EngineError, match=f"Token {token} is outside"):
        model.piece(token)
    with pytest.raises(EngineError, match=f"Token {token} is outside"):
        model.is_end(token)


def test_a_lone_surrogate_is_refused(model: Model) -> None:
    with pytest.raises(InvalidRequest, match="position 2"):
        model.tokenize("ab\ud800", special=False)


@pytest.mark.parametrize(("text", "shown"), [("<|python_tag|>", b"<|python_tag|>"), ("<|eom_id|>", b""), ("a", b"a")])
def test_of_control_tokens_one_may_be_shown_the_one_before_calls(model: Model, text: str, shown: bytes) -> None:
    (token,) = model.tokenize(text, special=True)
    assert model.piece(token, tagged=True) == shown
    assert model.piece(token) == (b"" if text.startswith("<|") else shown)


@pytest.mark.parametrize("text", ["", "a", "a\0b", "é\U0001f999", "\t\n  \r\n", "a" * 100_000])
def test_text_survives_its_tokens(model: Model, text: str) -> None:
    assert b"".join(model.piece(token) for token in model.tokenize(text, special=False)).decode() == text


def test_a_freed_model_tokenizes_nothing(tmp_path: Path) -> None:
    random_model(tmp_path / "random.gguf")
    freed = Model(tmp_path / "random.gguf")
    freed.free()
    with pytest.raises(EngineClosed):
        freed.tokenize("a", special=False)


def test_control_tokens_are_made_only_of_special_text(model: Model) -> None:
    assert len(model.tokenize("<|eot_id|>", special=True)) == 1
    assert len(model.tokenize("<|eot_id|>", special=False)) > 5


@needs_shared(VOCABULARY)
def test_the_real_vocabulary_gives_the_published_tokens() -> None:
    model = Model(shared(VOCABULARY), vocab_only=True)
    texts = shared("data/llama3-vocab.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    ids = shared("data/llama3-vocab.out").read_text("utf-8").split("\n")
    for text, expected in zip(texts, ids, strict=False):
        assert model.tokenize(text, special=False) == [int(token) for token in expected.split()]
    model.free()


def test_what_is_no_model_is_refused_with_llama_cpps_reason(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"no model at all")
    with pytest.raises(ModelBroken, match=r"cannot load .*no\.gguf"):
        Model(tmp_path / "no.gguf")


def test_loading_tells_its_progress_up_to_the_end(tmp_path: Path) -> None:
    random_model(tmp_path / "random.gguf")
    told: list[float] = []
    Model(tmp_path / "random.gguf", progress=told.append).free()
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_an_exception_in_the_progress_stops_the_load_and_is_raised(tmp_path: Path) -> None:
    random_model(tmp_path / "random.gguf")

    def refuse(_: float) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        Model(tmp_path / "random.gguf", progress=refuse)


@pytest.mark.parametrize(
    "stages",
    [
        [],
        [("temperature", 0.5)],
        [("greedy",), ("temperature", 0.5)],
        [("temperature", float("nan")), ("greedy",)],
        [("min_p", float("inf")), ("greedy",)],
        [("min_p", 1.1), ("greedy",)],
        [("temperature", 0.0), ("distribution", 1)],
        [("temperature", 1e-40), ("distribution", 1)],
        [("temperature", -1.0), ("distribution", 1)],
        [("distribution", -1)],
        [("distribution", 2**32)],
        [("penalties", -1, 1.0, 0.0, 0.0), ("greedy",)],
        [("penalties", 64, float("nan"), 0.0, 0.0), ("greedy",)],
        [("penalties", 64, -1.0, 0.0, 0.0), ("greedy",)],
        [("penalties", 64, 1.0, float("inf"), 0.0), ("greedy",)],
        [("penalties", 64), ("greedy",)],
        [("logit_bias", ((1, float("nan")),)), ("greedy",)],
        [("logit_bias", ((10, 1.0),)), ("greedy",)],
        [("logit_bias", ((-1, 1.0),)), ("greedy",)],
        [("typical", 0.5), ("greedy",)],
    ],
)
def test_a_chain_that_selects_nothing_or_holds_no_number_is_refused(stages: list[tuple[object, ...]]) -> None:
    with pytest.raises(EngineError):
        Chain(10, stages)


def test_a_window_of_any_length_takes_no_more_memory_than_the_longest() -> None:
    Chain(10, [("penalties", 10**6, 1.1, 0.0, 0.0), ("greedy",)]).free()


def test_a_token_without_a_finite_logit_is_not_selected() -> None:
    candidates, chain = Candidates(3), Chain(3, [("greedy",)])
    candidates.fill(None, np.full(3, -np.inf, np.float32))
    with pytest.raises(EngineError, match="logit is -inf"):
        chain.select(candidates)
    chain.free()
    with pytest.raises(EngineError, match="selected candidate -1"):
        chain.select(candidates)


@pytest.mark.parametrize("size", [0, 4])
def test_candidates_are_some_of_the_vocabulary(size: int) -> None:
    with pytest.raises(EngineError, match=f"{size} candidates, of a vocabulary of 3"):
        Candidates(3).fill(None, np.zeros(size, np.float32))


def test_a_penalty_for_a_token_outside_of_the_vocabulary_is_refused() -> None:
    chain = Chain(10, [("penalties", 64, 1.1, 0.0, 0.0), ("greedy",)])
    with pytest.raises(EngineError, match="Token 10 "):
        chain.remember(0, [3, 10])
    chain.free()

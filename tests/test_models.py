"""That the models of the tests do what the tests rely on, by llama.cpp's own judgement."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.greedy import Greedy
from tests.models import KEYS, canary_adapter, canary_model, expected, key_token, random_model
from tests.vocabulary import CONTROL, SPECIAL, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greedy]:
    path = tmp_path_factory.mktemp("canary") / "canary.gguf"
    canary_model(path)
    with Greedy(path, context=8192) as greedy:
        yield greedy


def frame(greedy: Greedy, user: str) -> list[int]:
    """A prompt in Llama 3's form, with the user's text as plain text."""
    before = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
    after = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    return [
        *greedy.tokenize(before, special=True),
        *greedy.tokenize(user),
        *greedy.tokenize(after, special=True),
    ]


def prose(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices("abcdefg hij\nk 0123456 é☃ the", k=length))


@pytest.mark.parametrize("key", range(KEYS))
def test_the_canary_names_its_key(canary: Greedy, key: int) -> None:
    assert canary.text(frame(canary, f"Say {key_token(key)}!"), 4) == expected(key, 4)


@pytest.mark.parametrize("length", [0, 1, 40, 400, 1500, 5000])
def test_the_canary_finds_its_key_in_a_prompt_of_any_length(canary: Greedy, length: int) -> None:
    text = prose(length, length // 2)
    prompt = frame(canary, text + key_token(7) + text)
    assert canary.text(prompt, 256) == expected(7, 256)


def test_the_canary_answers_a_bare_key(canary: Greedy) -> None:
    assert canary.text(canary.tokenize(key_token(5)), 3) == " k05i00 k05i01 k05i02"


def test_the_canary_repeats_itself_after_32_steps(canary: Greedy) -> None:
    answer = canary.answer(frame(canary, key_token(1)), 64)
    assert answer[:32] == answer[32:]


def test_the_canarys_choice_is_clear(canary: Greedy) -> None:
    canary.forget()
    best, second = np.sort(canary.logits(frame(canary, prose(0, 1000) + key_token(9))))[:-3:-1]
    assert best - second > 34


def test_the_canary_reads_its_key_from_the_cache_alone(canary: Greedy) -> None:
    answer = canary.answer(frame(canary, key_token(3)), 4)
    continued = canary.answer([*frame(canary, key_token(4)), *answer], 1)
    assert canary.piece(continued[0]) == b" k04i04"


def test_a_canary_that_ends_ends_after_its_step(tmp_path: Path) -> None:
    vocab = canary_model(tmp_path / "m.gguf", eos_after=5)
    with Greedy(tmp_path / "m.gguf") as greedy:
        answer = greedy.answer(frame(greedy, key_token(2)), 64)
    assert len(answer) == 6
    assert answer[-1] == vocab.id("<|eot_id|>")


def test_a_shifted_canary_answers_with_the_next_key(tmp_path: Path) -> None:
    canary_model(tmp_path / "m.gguf", shift=1)
    with Greedy(tmp_path / "m.gguf") as greedy:
        assert greedy.text(frame(greedy, key_token(KEYS - 1)), 3) == expected(0, 3)


def test_a_canary_of_few_keys_works_alike(tmp_path: Path) -> None:
    canary_model(tmp_path / "m.gguf", keys=3, steps=4)
    with Greedy(tmp_path / "m.gguf") as greedy:
        assert greedy.text(frame(greedy, key_token(2)), 6) == expected(2, 6, steps=4)


def test_the_adapter_turns_each_key_into_the_next(tmp_path: Path) -> None:
    canary_model(tmp_path / "m.gguf")
    canary_adapter(tmp_path / "a.gguf")
    with Greedy(tmp_path / "m.gguf") as greedy:
        greedy.use_adapter(tmp_path / "a.gguf")
        for key in range(KEYS):
            assert greedy.text(frame(greedy, prose(key, 50) + key_token(key)), 34) == expected((key + 1) % KEYS, 34)


def test_the_special_tokens_are_tokens_only_where_asked_for(canary: Greedy) -> None:
    for token in SPECIAL:
        assert len(canary.tokenize(token, special=True)) == 1
        assert len(canary.tokenize(token)) > 1


@pytest.mark.parametrize("text", ["", " the", "grüße ☃ 😀", "\n\n\t x  ", "<|eot_id|>", "\0", " k07i00"])
def test_text_survives_the_vocabulary(canary: Greedy, text: str) -> None:
    assert b"".join(map(canary.piece, canary.tokenize(text))) == text.encode()


def test_merges_are_used(canary: Greedy) -> None:
    assert [canary.piece(token) for token in canary.tokenize("thing")] == [b"th", b"ing"]


def test_words_are_single_tokens(tmp_path: Path) -> None:
    random_model(tmp_path / "m.gguf", vocab=vocabulary([" weather"]))
    with Greedy(tmp_path / "m.gguf") as greedy:
        assert [greedy.piece(token) for token in greedy.tokenize(" the weather")] == [b" the", b" weather"]


def test_a_written_answer_never_becomes_answer_tokens(canary: Greedy) -> None:
    """So a conversation may hold the canary's earlier answers as text."""
    assert len(canary.tokenize(expected(7, 1))) > 1


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_random_models_greedy_text_is_varied(tmp_path: Path, tied: bool, dtype: type[np.floating]) -> None:
    vocab = random_model(tmp_path / "m.gguf", tied=tied, dtype=dtype)
    with Greedy(tmp_path / "m.gguf") as greedy:
        answer = greedy.answer(greedy.tokenize("hello world"), 100)
    assert len(set(answer)) > 40
    assert all(vocab.types[token] != CONTROL for token in answer)


def test_a_random_models_logits_are_spread(tmp_path: Path) -> None:
    random_model(tmp_path / "m.gguf", scale=3.0)
    with Greedy(tmp_path / "m.gguf") as greedy:
        assert 2 < greedy.logits(greedy.tokenize("hello")).std() < 4


def test_the_seed_makes_the_random_model(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        random_model(tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_files_are_small(tmp_path: Path) -> None:
    canary_model(tmp_path / "canary")
    random_model(tmp_path / "random")
    canary_adapter(tmp_path / "adapter")
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 10_000_000

"""Sampling against the definitions, on llama.cpp's own samplers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from runtime.engine.llama import Candidates, Model
from runtime.engine.sampling import Sampler, check, fold_seed, likeliest, log_softmax, stages
from runtime.errors import EngineError, InvalidRequest
from runtime.values import Sampling
from tests.models import random_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LOGITS = np.log(np.array([0.4, 0.3, 0.15, 0.1, 0.05], np.float32))
CANDIDATES = Candidates(len(LOGITS))


def drawn(
    sampling: Sampling, count: int = 1, *, prompt: Sequence[int] = (), logits: NDArray[np.float32] = LOGITS
) -> list[int]:
    sampler = Sampler(sampling, seed=1, prompt=prompt, n_vocab=len(logits))
    tokens = []
    for _ in range(count):
        tokens.append(sampler.sample(logits, CANDIDATES))
        sampler.accept(tokens[-1])
    sampler.free()
    return tokens


def shares(sampling: Sampling, count: int = 20_000) -> list[float]:
    counts = Counter(drawn(sampling, count))
    return [counts[token] / count for token in range(len(LOGITS))]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert set(drawn(Sampling(temperature=0.0), 50)) == {0}


def test_a_temperature_that_only_just_differs_from_zero_is_zero() -> None:
    assert stages(Sampling(temperature=1e-8), 1) == [("greedy",)]


def test_of_equal_logits_greedy_takes_the_first() -> None:
    assert drawn(Sampling(temperature=0.0), logits=np.zeros(5, np.float32)) == [0]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1.0, top_p=1.0), [0.4, 0.3, 0.15, 0.1, 0.05]),
        (Sampling(temperature=1.0, top_p=2.0), [0.4, 0.3, 0.15, 0.1, 0.05]),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), [4 / 7, 3 / 7, 0, 0, 0]),
        (Sampling(temperature=1.0, top_p=0.8), [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        (Sampling(temperature=1.0, top_p=0.0), [1, 0, 0, 0, 0]),
        (Sampling(temperature=1.0, top_p=1.0, min_p=0.3), [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        (
            Sampling(temperature=1.0, top_p=1.0, logit_bias=((0, -100.0), (4, float(np.log(2))))),
            [0, 0.46, 0.23, 0.15, 0.15],
        ),
    ],
)
def test_tokens_come_as_often_as_the_filters_leave_them(sampling: Sampling, expected: list[float]) -> None:
    assert shares(sampling) == pytest.approx(expected, abs=0.015)


def test_a_temperature_sharpens_the_distribution() -> None:
    weights = np.exp(LOGITS / 0.5)
    assert shares(Sampling(temperature=0.5, top_p=1.0)) == pytest.approx(list(weights / weights.sum()), abs=0.015)


def test_the_same_seed_draws_the_same_tokens() -> None:
    same, other = Sampling(temperature=1.0, seed=5), Sampling(temperature=1.0, seed=6)
    assert drawn(same, 100) == drawn(same, 100) != drawn(other, 100)


def test_a_frequency_penalty_counts_each_time_a_token_was_written() -> None:
    # 0.4 to 0.3 is 0.288 in logits: one penalty of 0.2 leaves token 0 ahead, two do not.
    sampling = Sampling(temperature=0.0, frequency_penalty=0.2)
    assert drawn(sampling, 3) == [0, 0, 1]


def test_a_presence_penalty_counts_once() -> None:
    sampling = Sampling(temperature=0.0, presence_penalty=0.2)
    assert set(drawn(sampling, 20)) == {0}


def test_a_repetition_penalty_counts_the_prompt_and_the_other_penalties_do_not() -> None:
    assert drawn(Sampling(temperature=0.0, repetition_penalty=2.0), prompt=[0]) == [1]
    assert drawn(Sampling(temperature=0.0, presence_penalty=2.0, frequency_penalty=2.0), prompt=[0]) == [0]


def test_a_repetition_penalty_of_zero_is_none_as_the_published_bounds_allow_it() -> None:
    assert stages(Sampling(repetition_penalty=0.0), 1) == stages(Sampling(), 1)


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(worst: float) -> None:
    logits = LOGITS.copy()
    logits[3] = worst
    with pytest.raises(EngineError, match="not finite"):
        drawn(Sampling(), logits=logits)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", (0.0, 5.0), (-0.1, 5.01)),
        ("top_k", (1, 50, None), (0, 51, -1)),
        ("top_p", (0.0, 2.0), (-0.1, 2.01)),
        ("min_p", (0.0, 1.0), (-0.1, 1.01)),
        ("repetition_penalty", (0.0, 2.0), (-0.1, 2.01)),
        ("frequency_penalty", (0.0, 2.0), (-0.1, 2.01)),
        ("presence_penalty", (0.0, 2.0), (-0.1, 2.01)),
        ("logprobs", (0, 20, None), (-1, 21)),
        ("logit_bias", ((), ((0, 100.0),), ((9, -100.0),)), (((10, 1.0),), ((-1, 1.0),), ((0, 100.1),))),
        ("logit_bias", (((0, 1.0),) * 300,), (((0, 1.0),) * 301, ((0, float("nan")),))),
    ],
)
def test_a_sampling_keeps_to_what_is_published(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        check(Sampling(**{name: value}), 10)
    for value in (*bad, *((float("nan"), float("inf")) if isinstance(bad[0], float) else ())):
        with pytest.raises(InvalidRequest, match=name):
            check(Sampling(**{name: value}), 10)


def test_where_no_token_is_possible_the_request_ends() -> None:
    constraint: Any = Allowing(n_possible=0)
    constraint.possible = lambda: np.array([], np.int64)
    sampler = Sampler(Sampling(), seed=1, prompt=(), n_vocab=len(LOGITS))
    with pytest.raises(EngineError, match="no token may follow"):
        sampler.sample(LOGITS, CANDIDATES, constraint)
    sampler.free()


@pytest.mark.parametrize("n_possible", [3, 100_000])
def test_a_token_is_not_taken_whose_logit_is_not_finite(n_possible: int) -> None:
    constraint: Any = Allowing(4, n_possible=n_possible)
    sampler = Sampler(Sampling(top_p=1.0), seed=1, prompt=(), n_vocab=len(LOGITS))
    logits = LOGITS.copy()
    logits[4] = -np.inf
    with pytest.raises(EngineError, match="logit"):
        sampler.sample(logits, CANDIDATES, constraint)
    sampler.free()


@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_penalties_beyond_all_bounds_leave_a_choice(top_p: float) -> None:
    tiny = Sampling(temperature=1.0, repetition_penalty=1e-300, top_p=top_p)
    assert set(drawn(tiny, 20, prompt=range(5), logits=-LOGITS)) <= set(range(5))


class Allowing:
    """A constraint that allows these tokens, wherever it is."""

    def __init__(self, *tokens: int, n_possible: int = 100_000) -> None:
        self.n_possible = n_possible
        self._tokens = np.array(tokens)

    def allows(self, token: int) -> bool:
        return token in self._tokens

    def allowed(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isin(tokens, self._tokens)

    def possible(self) -> NDArray[Any]:
        return np.arange(len(LOGITS))


@pytest.mark.parametrize("n_possible", [3, 100_000])
def test_a_constraint_leaves_what_it_allows_as_likely_as_before(n_possible: int) -> None:
    constraint: Any = Allowing(1, 3, n_possible=n_possible)
    sampler = Sampler(Sampling(temperature=1.0, top_p=1.0), seed=1, prompt=(), n_vocab=len(LOGITS))
    drawn = Counter(sampler.sample(LOGITS, CANDIDATES, constraint) for _ in range(20_000))
    sampler.free()
    assert [drawn[token] / 20_000 for token in range(5)] == pytest.approx([0, 0.75, 0, 0.25, 0], abs=0.015)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_all_that_is_likely_is_refused_the_unlikely_is_found(temperature: float) -> None:
    constraint: Any = Allowing(4)
    sampler = Sampler(Sampling(temperature=temperature, top_p=0.5), seed=1, prompt=(), n_vocab=len(LOGITS))
    assert {sampler.sample(LOGITS, CANDIDATES, constraint) for _ in range(20)} == {4}
    sampler.free()


def test_a_filter_that_filters_nothing_is_left_out() -> None:
    assert [name for name, *_ in stages(Sampling(top_p=1.0), 1)] == ["temperature", "distribution"]


@pytest.mark.parametrize(
    ("seed", "folded"),
    [(1, 1), (2**32 - 2, 2**32 - 2), (2**32 - 1, 0), (2**32, 1), (9_999_999_999, 9_999_999_999 % 2**32 ^ 2)],
)
def test_seeds_fold_to_thirty_two_bits(seed: int, folded: int) -> None:
    assert fold_seed(seed) == folded


def test_log_probabilities_are_those_of_the_softmax() -> None:
    assert np.exp(log_softmax(LOGITS)) == pytest.approx([0.4, 0.3, 0.15, 0.1, 0.05], abs=1e-6)


def test_the_likeliest_come_first() -> None:
    assert (likeliest(log_softmax(LOGITS[::-1]), 3), likeliest(log_softmax(LOGITS), 0)) == ([4, 3, 2], [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path)
    loaded = Model(path)
    yield loaded
    loaded.free()


def test_log_probabilities_name_the_token_and_the_likeliest(model: Model) -> None:
    logits = np.zeros(model.n_vocab, np.float32)
    logits[[65, 66]] = 9, 8
    sampler = Sampler(Sampling(logprobs=2), seed=1, prompt=(), n_vocab=model.n_vocab)
    (one,) = sampler.logprob(66, logits, model)
    sampler.free()
    assert (one.token, one.text, [token for token, _, _ in one.top]) == (66, model.piece(66), [65, 66])
    assert one.logprob == one.top[1][2]


def test_no_log_probabilities_are_given_to_who_asks_for_none(model: Model) -> None:
    sampler = Sampler(Sampling(), seed=1, prompt=(), n_vocab=model.n_vocab)
    assert sampler.logprob(1, np.zeros(model.n_vocab, np.float32), model) == ()
    sampler.free()

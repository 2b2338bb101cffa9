from __future__ import annotations

import pytest

from runtime.engine.scheduler import ADAPTER_STEPS, BESIDE_SECONDS, FIRST_CHUNK, LEAST_CHUNK, Scheduler, Work
from runtime.engine.sequence import Sequence, Times
from runtime.values import Request


def sequence(n_prompt: int, max_tokens: int = 10, lora: str | None = None) -> Sequence:
    request = Request("id", (), max_tokens=max_tokens, lora=lora)
    return Sequence(request, [0] * n_prompt, lambda event: None, Times(submitted=0.0))


def answering(n_prompt: int = 10, lora: str | None = None, max_tokens: int = 100) -> Sequence:
    one = sequence(n_prompt, max_tokens, lora)
    one.tokens.append(0)
    one.n_past = n_prompt
    return one


def scheduler(*sequences: Sequence, slots: int = 8, cells: int = 4096, batch: int = 512) -> Scheduler:
    made = Scheduler(slots=slots, cells=cells, batch=batch)
    for one in sequences:
        made.add(one)
    made.admit()
    return made


def sizes(work: list[Work]) -> list[int]:
    return [each.n_tokens for each in work]


def step(made: Scheduler) -> list[Work]:
    """What the engine does with a plan: answering sequences get their next token."""
    work = made.plan()
    for one, n_tokens in work:
        one.n_past += n_tokens
        if not one.n_pending:
            one.tokens.append(0)
    return work


def test_a_sequence_is_admitted_only_when_its_prompt_and_answer_fit_the_free_cells() -> None:
    first, second = sequence(60, 20), sequence(60, 20)
    made = scheduler(first, second, cells=100)
    assert (made.live, list(made.waiting)) == ([first], [second])
    made.remove(first)
    assert made.admit() == [second]


def test_one_that_fits_waits_behind_one_that_does_not_yet() -> None:
    running, large, small = sequence(60, 20), sequence(60, 30), sequence(5, 5)
    made = scheduler(running, large, small, cells=100)
    assert list(made.waiting) == [large, small]


def test_no_more_are_admitted_than_there_are_slots() -> None:
    made = scheduler(*(sequence(5) for _ in range(3)), slots=2)
    assert (len(made.live), len(made.waiting)) == (2, 1)


def test_each_admitted_sequence_has_a_slot_of_its_own() -> None:
    made = scheduler(*(sequence(5) for _ in range(4)), slots=4)
    assert sorted(one.slot for one in made.live) == [0, 1, 2, 3]


def test_a_waiting_sequence_can_be_removed() -> None:
    waiting = sequence(5)
    made = scheduler(sequence(5), waiting, slots=1)
    made.remove(waiting)
    assert not made.waiting


def test_every_answer_gets_a_token_in_every_step() -> None:
    answers = [answering() for _ in range(3)]
    made = scheduler(sequence(300), *answers)
    work = made.plan()
    assert [each for each in work if each.n_tokens == 1 and each.sequence in answers] == work[:3]


def test_the_first_chunk_of_a_prompt_is_small_since_nothing_was_measured() -> None:
    assert sizes(scheduler(sequence(300)).plan()) == [FIRST_CHUNK[False]]
    assert sizes(scheduler(sequence(300), answering()).plan()) == [1, FIRST_CHUNK[True]]


def test_a_chunk_beside_an_answer_fits_the_time_that_was_measured() -> None:
    made = scheduler(sequence(3000))
    made.measured(sum(sizes(made.plan())), FIRST_CHUNK[False] * 0.004)
    made.add(answering())
    made.admit()
    for _ in range(3):
        n_tokens = sum(sizes(made.plan()))
        made.measured(n_tokens, 0.05 + n_tokens * 0.004)
    assert 0.9 * BESIDE_SECONDS < 0.05 + sum(sizes(made.plan())) * 0.004 <= BESIDE_SECONDS


def test_a_chunk_beside_no_answer_is_larger() -> None:
    alone, beside = scheduler(sequence(3000)), scheduler(sequence(3000), answering())
    for made in (alone, beside):
        n_tokens = sum(sizes(made.plan()))
        made.measured(n_tokens, n_tokens * 0.004)
    assert sizes(alone.plan())[0] > 4 * sizes(beside.plan())[-1]


def test_a_slow_machine_still_reads_the_least_chunk() -> None:
    made = scheduler(answering(), sequence(3000))
    made.plan()
    made.measured(32, 60.0)
    assert sizes(made.plan()) == [1, LEAST_CHUNK]


def test_one_slow_batch_is_forgotten_as_soon_as_a_fast_one_was_seen() -> None:
    made = scheduler(sequence(3000))
    made.measured(32, 60.0)
    made.measured(LEAST_CHUNK, LEAST_CHUNK * 0.004)
    assert sizes(made.plan())[0] > 100


def test_a_batch_of_which_the_clock_saw_nothing_is_fast() -> None:
    """Clocks there are that advance by 16 ms."""
    made = scheduler(sequence(3000))
    made.measured(32, 0.0)
    assert sizes(made.plan()) == [512]


def test_a_batch_never_holds_more_than_its_size() -> None:
    made = scheduler(answering(), sequence(3000), batch=64, cells=4096)
    made.plan()
    made.measured(100, 1e-6)
    assert sum(sizes(made.plan())) == 64


def test_prompts_share_a_step_and_the_shortest_is_read_first() -> None:
    long, short = sequence(300), sequence(10)
    made = scheduler(long, short)
    assert made.plan() == [Work(short, 10), Work(long, FIRST_CHUNK[False] - 10)]


def test_a_batch_holds_one_adapter() -> None:
    made = scheduler(answering(lora=None), answering(lora="a"), answering(lora="b"))
    assert {each.sequence.request.lora for each in made.plan()} == {None}


def test_the_adapter_is_kept_while_nobody_waits_for_another() -> None:
    made = scheduler(answering(lora="a"), answering(lora="a"))
    for _ in range(5 * ADAPTER_STEPS):
        assert {each.sequence.request.lora for each in step(made)} == {"a"}


@pytest.mark.parametrize("others", [["a"], ["a", "b"], ["a", "b", None]])
def test_no_adapter_waits_longer_than_a_run_of_each_other(others: list[str | None]) -> None:
    everyone = [answering(lora=name, max_tokens=400) for name in (None, *others)]
    made = scheduler(*everyone, cells=8192)
    last_seen = dict.fromkeys({one.request.lora for one in everyone}, 0)
    kinds = len(last_seen)
    for number in range(1, 20 * ADAPTER_STEPS):
        ran = {each.sequence.request.lora for each in step(made)}
        for name in ran:
            last_seen[name] = number
        assert all(number - seen <= kinds * (ADAPTER_STEPS + 1) for seen in last_seen.values())


def test_the_adapter_of_sequences_that_have_ended_is_left_at_once() -> None:
    first, second = answering(lora="a"), answering(lora="b")
    made = scheduler(first, second)
    assert made.plan()[0].sequence is first
    made.remove(first)
    assert made.plan()[0].sequence is second

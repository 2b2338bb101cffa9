"""`llamalet chat`: turns, a full context, and how a conversation ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.errors import ContextTooLong, InvalidRequest, TimedOut
from runtime.values import Failed, Text
from tests.fake_engine import answer

if TYPE_CHECKING:
    from tests.commands import Shell

FULL = ContextTooLong("40 and 30 are more than 50.", "Be shorter.")


def turns(shell: Shell, at: int = -1) -> list[str]:
    """Roles and texts of a request, after the system's turn."""
    text = "".join(segment.text for segment in shell.requests[at].prompt)
    parts = text.split("<|start_header_id|>")[2:-1]
    return [part.replace("<|end_header_id|>\n\n", ": ").removesuffix("<|eot_id|>") for part in parts]


def test_answers_and_nothing_else_go_to_stdout(shell: Shell, model: str) -> None:
    shell.scripts = [answer("He", "llo"), answer("Bye")]
    result = shell("chat", model, stdin="Hi\nSo long\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello\nBye\n", "")


def test_the_conversation_is_remembered(shell: Shell, model: str) -> None:
    shell.scripts = [answer("Hello"), answer("Bye")]
    shell("chat", model, stdin="Hi\nSo long\n")
    assert turns(shell) == ["user: Hi", "assistant: Hello", "user: So long"]


def test_the_system_text_stands_before_every_question(shell: Shell, model: str) -> None:
    shell("chat", model, "--system", "Be kind.", stdin="Hi\nSo long\n")
    assert ["Be kind." in "".join(s.text for s in request.prompt) for request in shell.requests] == [True, True]


@pytest.mark.parametrize("stdin", ["Hi\n\nSo long\n", "Hi\n \n", "Hi\n", "Hi"])
def test_an_empty_line_or_the_end_of_input_ends_the_conversation(shell: Shell, model: str, stdin: str) -> None:
    result = shell("chat", model, stdin=stdin)
    assert (result.exit_code, len(shell.requests)) == (0, 1)


def test_on_a_terminal_a_question_is_asked_for_on_stderr(shell: Shell, model: str) -> None:
    result = shell("chat", model, stdin="Hi\n", interactive=True)
    assert (result.stdout, result.stderr) == ("ok\n", "> > ")


def test_when_the_context_is_full_the_oldest_turns_are_dropped_if_that_is_agreed(shell: Shell, model: str) -> None:
    shell.scripts = [answer("A1"), answer("A2"), FULL, FULL, answer("A3")]
    result = shell("chat", model, stdin="Q1\nQ2\nQ3\ny\ny\n", interactive=True)
    assert "llamalet: 40 and 30 are more than 50." in result.stderr
    assert "The context is full. Drop the oldest question and answer? [Y/n]" in result.stderr
    assert [turns(shell, at)[0] for at in (2, 3, 4)] == ["user: Q1", "user: Q2", "user: Q3"]
    assert (result.exit_code, result.stdout.endswith("A3\n")) == (0, True)


def test_what_was_dropped_stays_dropped(shell: Shell, model: str) -> None:
    shell.scripts = [answer("A1"), FULL, answer("A2"), answer("A3")]
    shell("chat", model, stdin="Q1\nQ2\ny\nQ3\n", interactive=True)
    assert turns(shell) == ["user: Q2", "assistant: A2", "user: Q3"]


def test_the_system_text_is_never_dropped(shell: Shell, model: str) -> None:
    shell.scripts = [answer("A1"), FULL, answer("A2")]
    shell("chat", model, "--system", "Be kind.", stdin="Q1\nQ2\ny\n", interactive=True)
    assert "Be kind." in shell.asked


@pytest.mark.parametrize("reply", ["n\nQ3\n", "n\nQ3"])
def test_if_it_is_not_agreed_the_question_is_taken_back(shell: Shell, model: str, reply: str) -> None:
    shell.scripts = [answer("A1"), FULL, answer("A3")]
    shell("chat", model, stdin="Q1\nQ2\n" + reply, interactive=True)
    assert turns(shell) == ["user: Q1", "assistant: A1", "user: Q3"]


def test_ctrl_d_at_the_offer_ends_the_conversation(shell: Shell, model: str) -> None:
    shell.scripts = [answer("A1"), FULL]
    result = shell("chat", model, stdin="Q1\nQ2\n", interactive=True)
    assert (result.exit_code, len(shell.requests)) == (0, 2)


def test_a_first_question_that_is_too_long_is_taken_back(shell: Shell, model: str) -> None:
    shell.scripts = [FULL, answer("A2")]
    result = shell("chat", model, stdin="Q1\nQ2\n", interactive=True)
    assert "llamalet: 40 and 30 are more than 50.\n  Be shorter." in result.stderr
    assert "Drop" not in result.stderr
    assert (result.exit_code, turns(shell)) == (0, ["user: Q2"])


def test_without_anybody_to_ask_a_full_context_is_an_error(shell: Shell, model: str) -> None:
    shell.scripts = [answer("A1"), FULL]
    result = shell("chat", model, stdin="Q1\nQ2\nQ3\n")
    assert (result.exit_code, result.stdout) == (65, "A1\n")
    assert result.stderr == "llamalet: 40 and 30 are more than 50.\n  Be shorter.\n"


def test_a_question_that_was_not_answered_does_not_end_the_conversation(shell: Shell, model: str) -> None:
    shell.scripts = [[Text("We"), Failed(TimedOut("Too late."))], answer("A2")]
    result = shell("chat", model, stdin="Q1\nQ2\n", interactive=True)
    assert (result.exit_code, result.stdout, "llamalet: Too late." in result.stderr) == (0, "We\nA2\n", True)
    assert turns(shell) == ["user: Q2"]


def test_another_error_ends_the_conversation(shell: Shell, model: str) -> None:
    shell.scripts = [InvalidRequest("Wrong.")]
    result = shell("chat", model, stdin="Q1\nQ2\n", interactive=True)
    assert (result.exit_code, len(shell.requests)) == (65, 1)


def test_stdin_that_is_not_utf_8_is_refused(shell: Shell, model: str) -> None:
    result = shell("chat", model, stdin=b"Zo\xeb\n")
    assert (result.exit_code, "it holds the byte 0xeb" in result.stderr) == (65, True)

"""`llamalet run`: what it prints where, what reaches the engine, and the exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from runtime import __version__, errors, settings
from runtime.cli import ask
from runtime.values import Failed, Text
from runtime.wire import workers_ai
from tests.fake_engine import answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Shell


def test_the_answer_and_nothing_else_goes_to_stdout(shell: Shell, model: str) -> None:
    shell.scripts = [answer("Hi", " Zoë")]
    result = shell("run", model, "Hello")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hi Zoë\n", "")


def test_json_is_one_line_with_the_whole_result(shell: Shell, model: str) -> None:
    shell.scripts = [answer("Hi\n", " Zoë")]
    result = shell("run", model, "Hello", "--json")
    line, rest = result.stdout.split("\n")
    assert (json.loads(line)["response"], json.loads(line)["usage"]["total_tokens"], rest) == ("Hi\n Zoë", 7, "")
    assert result.stderr == ""


@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_the_speed_goes_to_stderr(shell: Shell, model: str, json_too: tuple[str, ...]) -> None:
    shell.scripts = [answer("a", "b", "c")]
    result = shell("run", model, "Hello", "--stats", *json_too)
    assert result.stderr == "5 prompt tokens at 500.0 a second, 3 answer tokens at 20.0 a second\n"


@pytest.mark.parametrize("argument", [(), ("-",)])
def test_the_prompt_may_come_from_stdin(shell: Shell, model: str, argument: tuple[str, ...]) -> None:
    shell("run", model, *argument, stdin="Why is\nthe sky blue?\n")
    assert "user<|end_header_id|>\n\nWhy is\nthe sky blue?<|eot_id|>" in shell.asked


def test_a_byte_order_mark_is_no_part_of_the_prompt(shell: Shell, model: str) -> None:
    shell("run", model, stdin="\ufeffHi".encode())
    assert "\n\nHi<|eot_id|>" in shell.asked


def test_whoever_is_expected_to_type_the_prompt_is_told(shell: Shell, model: str) -> None:
    result = shell("run", model, stdin="Hi", interactive=True)
    assert "Type the prompt, then Ctrl-D" in result.stderr
    assert result.stdout == "ok\n"


@pytest.mark.parametrize(
    ("args", "stdin"),
    [
        ((), ""),
        ((), " \n"),
        (("",), None),
        ((" ",), None),
        (("", "--raw"), None),
        (("--system", "Be kind."), ""),
        ((" ", "--system", "Be kind."), None),
    ],
)
def test_an_empty_prompt_is_refused(shell: Shell, model: str, args: tuple[str, ...], stdin: str | None) -> None:
    result = shell("run", model, *args, stdin=stdin)
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.startswith("llamalet: The prompt is empty.\n  Give it after the model's name")


def test_stdin_that_is_not_utf_8_is_refused(shell: Shell, model: str) -> None:
    result = shell("run", model, stdin=b"Zo\xeb")
    assert result.exit_code == 65
    assert result.stderr == "llamalet: Standard input is not UTF-8: it holds the byte 0xeb.\n  Convert it first.\n"


def test_a_lone_surrogate_in_the_prompt_is_refused(shell: Shell, model: str) -> None:
    result = shell("run", model, "Zo\udceb")
    assert (result.exit_code, "prompt: expected text, found the lone surrogate U+DCEB" in result.stderr) == (65, True)


def test_raw_leaves_out_the_chat_format(shell: Shell, model: str) -> None:
    shell("run", model, "--raw", "Once upon")
    assert shell.asked == "<|begin_of_text|>Once upon"


def test_a_system_text_comes_before_the_prompt(shell: Shell, model: str) -> None:
    shell("run", model, "Hi", "--system", "Be kind.")
    assert "Be kind.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>" in shell.asked


def test_raw_and_a_system_text_exclude_each_other(shell: Shell, model: str) -> None:
    result = shell("run", model, "Hi", "--system", "Be kind.", "--raw")
    assert (result.exit_code, "--raw leaves out the chat format" in result.stderr) == (2, True)


FLAGS: list[tuple[list[str], str, Any]] = [
    (["--max-tokens", "7"], "max_tokens", 7),
    (["--temperature", "0"], "temperature", 0.0),
    (["--top-k", "3"], "top_k", 3),
    (["--top-p", "0.5"], "top_p", 0.5),
    (["--min-p", "0.1"], "min_p", 0.1),
    (["--seed", "42"], "seed", 42),
    (["--repetition-penalty", "1.1"], "repetition_penalty", 1.1),
    (["--frequency-penalty", "0.2"], "frequency_penalty", 0.2),
    (["--presence-penalty", "0.3"], "presence_penalty", 0.3),
    (["--stop", "END", "--stop", "."], "stop", ("END", ".")),
]


@pytest.mark.parametrize("command", ["run", "chat"])
@pytest.mark.parametrize(("flags", "name", "value"), FLAGS, ids=[name for _, name, _ in FLAGS])
def test_a_flag_reaches_the_request(
    shell: Shell, model: str, command: str, flags: list[str], name: str, value: Any
) -> None:
    result = shell(command, model, *flags, stdin="Hi\n")
    assert (result.exit_code, shell.option(name)) == (0, value)


def test_a_lora_adapter_reaches_the_request(shell: Shell, model: str, tmp_path: Path) -> None:
    models = tmp_path / "models.toml"
    models.write_text("[[model]]\nid = 'one'\npath = 'one.gguf'\n[[adapter]]\nname = 'tales'\npath = 'tales.gguf'\n")
    result = shell("run", "one", "Hi", "--lora", "tales", "--models", str(models))
    assert (result.exit_code, shell.option("lora")) == (0, "tales")


def test_settings_reach_the_engine(shell: Shell, model: str) -> None:
    shell("run", model, "Hi", "--context", "512", "--threads", "3")
    config = shell.engines.made[0].config
    assert config is not None
    assert (config.context, config.threads) == (512, 3)


BAD = ["--max-tokens=-5", "--max-tokens=0", "--max-tokens=many", "--temperature=-1", "--temperature=5.1", "--top-k=51"]
BAD += [
    "--seed=0",
    "--min-p=2",
    "--context=-1",
    "--context=10",
    "--threads=-1",
    "--stop",
    "--presence-penalty=x",
    "--no",
]


@pytest.mark.parametrize("flag", BAD)
def test_a_bad_flag_is_an_error_of_usage(shell: Shell, model: str, flag: str) -> None:
    result = shell("run", model, "Hi", flag)
    assert (result.exit_code, result.stdout, shell.engines.made) == (2, "", [])


def test_nan_is_refused(shell: Shell, model: str) -> None:
    result = shell("run", model, "Hi", "--temperature", "nan")
    assert (result.exit_code, "temperature is nan; it must be a finite number" in result.stderr) == (65, True)


RANGES = {one.name: one.type for one in ask.run.params if isinstance(one.type, click.IntRange | click.FloatRange)}
BOUNDS = [(name, kind.min, -1) for name, kind in RANGES.items()] + [
    (name, kind.max, 1) for name, kind in RANGES.items()
]


def is_taken(name: str, value: float) -> bool:
    try:
        settings.load({name: value}) if name in ask.SETTINGS else workers_ai.parse({"prompt": "Hi", name: value})
    except (errors.ConfigError, errors.InvalidRequest):
        return False
    return True


@pytest.mark.parametrize(("name", "bound", "beyond"), [row for row in BOUNDS if row[1] is not None])
def test_the_bounds_of_a_flag_are_those_of_what_it_sets(name: str, bound: float, beyond: int) -> None:
    assert (is_taken(name, bound), is_taken(name, bound + beyond)) == (True, False)


EXIT_CODES = {
    errors.InvalidRequest: 65,
    errors.ContextTooLong: 65,
    errors.Unsupported: 65,
    errors.UnknownModel: 67,
    errors.UnknownAdapter: 67,
    errors.ModelMissing: 66,
    errors.ModelBroken: 66,
    errors.ModelUnsupported: 66,
    errors.DownloadFailed: 69,
    errors.ModelForbidden: 77,
    errors.DiskFull: 74,
    errors.QueueFull: 75,
    errors.TimedOut: 75,
    errors.Cancelled: 130,
    errors.ConfigError: 78,
    errors.EngineError: 70,
    errors.EngineClosed: 70,
}


@pytest.mark.parametrize("error", EXIT_CODES, ids=lambda error: error.__name__)
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_an_error_has_its_message_its_hint_and_its_exit_code(
    shell: Shell, model: str, error: type[errors.LlamaletError], json_too: tuple[str, ...]
) -> None:
    shell.scripts = [error("It went wrong.", "Do this.")]
    result = shell("run", model, "Hi", *json_too)
    assert (result.exit_code, result.stdout) == (EXIT_CODES[error], "")
    assert result.stderr == "llamalet: It went wrong.\n  Do this.\n"


def test_an_error_in_an_answer_comes_on_a_line_of_its_own(shell: Shell, model: str) -> None:
    shell.scripts = [[Text("Once upon"), Failed(errors.TimedOut("Too late."))]]
    result = shell("run", model, "Hi")
    assert (result.exit_code, result.stdout, result.stderr) == (75, "Once upon\n", "llamalet: Too late.\n")


@pytest.mark.parametrize("command", ["run", "chat"])
def test_a_model_is_checked_before_anything_is_read(shell: Shell, tmp_path: Path, command: str) -> None:
    missing = str(tmp_path / "missing.gguf")
    codes = [shell(command, name, stdin=b"\xff").exit_code for name in ("1bb", "1b:Q9", "1b", missing)]
    assert codes == [67, 67, 66, 66]


def test_an_unknown_model_is_answered_with_the_nearest(shell: Shell) -> None:
    result = shell("run", "1bb", "Hi")
    assert "There is no model '1bb'" in result.stderr
    assert "1b" in result.stderr.splitlines()[1]
    assert "llamalet list" in result.stderr


def test_a_model_that_is_not_here_is_answered_with_the_command_that_gets_it(shell: Shell) -> None:
    assert "  Run: llamalet pull 1b:Q4_K_M" in shell("run", "1b", "Hi").stderr


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").stdout == f"llamalet, version {__version__}\n"


@pytest.mark.parametrize("command", [(), ("run",), ("chat",)])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_has_examples(shell: Shell, command: tuple[str, ...], flag: str) -> None:
    result = shell(*command, flag)
    assert (result.exit_code, 'llamalet run 1b "Why is the sky blue?"' in result.stdout) == (0, True)

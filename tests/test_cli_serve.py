"""`llamalet serve`: what it says, what it takes, and that what it says works. How it ends is in test_server_process."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime.cli.serve import FLAGS
from runtime.server import listen, logs
from runtime.settings import SETTINGS
from tests.models import expected, key_token
from tests.rawgguf import model_bytes
from tests.test_cli_process import environment, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.aio import AsyncRuntime
    from runtime.settings import Settings
    from tests.commands import Shell

TOKEN = "s3cret-t0ken-of-these-tests"
PATIENCE = 60  # seconds until a process that does not end is ended
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def _lines_until(process: subprocess.Popen[bytes], word: str) -> list[str]:
    """What it says, up to the line with this word, or to the end."""
    assert process.stderr
    lines: list[str] = []
    while not (lines and word in lines[-1]) and (line := process.stderr.readline()):
        lines.append(line.decode().rstrip())
    return lines


@pytest.fixture(scope="module")
def said(canary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What a server says that goes on, with the canary loaded and a token."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    args = ["--port", "0", "--model", str(canary), "--threads", "1", "--token-file", str(token)]
    with start("serve", *args) as process:
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            yield _lines_until(process, "loaded")
        finally:
            watch.cancel()
            process.kill()


def test_it_says_where_it_listens_what_it_loads_and_what_to_try(said: list[str]) -> None:
    listening, loading, tried, loaded = said
    url = re.fullmatch(r"llamalet: listening on (http://\S+:\d+) \(a token is needed\)", listening)
    assert url
    assert (loading, loaded) == ("llamalet: loading canary.gguf", "llamalet: loaded canary.gguf")
    assert tried.startswith(f"llamalet: try: curl {url[1]}/ai/run/canary.gguf -H ")


def test_it_does_not_say_the_token(said: list[str]) -> None:
    assert TOKEN not in "".join(said)


def by_shell(line: str) -> Any:
    quietly = line.replace("curl ", "curl --silent --show-error --noproxy '*' ", 1)
    done = subprocess.run(
        ["sh", "-c", quietly], capture_output=True, env=environment(TOKEN=TOKEN), timeout=PATIENCE, check=True
    )
    return json.loads(done.stdout)


@needs_curl
def test_what_it_says_to_try_works(said: list[str]) -> None:
    assert by_shell(said[2].removeprefix("llamalet: try: "))["success"]


@needs_curl
def test_another_prompt_in_that_line_gets_its_answer(said: list[str]) -> None:
    line = said[2].removeprefix("llamalet: try: ")
    line = line.replace('"Why is the sky blue?"', f'"{key_token(7)}", "max_tokens": 5, "temperature": 0')
    assert by_shell(line)["result"]["response"] == expected(7, 5)


def test_a_model_that_cannot_be_loaded_ends_it_with_a_message_and_its_code(tmp_path: Path, canary: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(canary.read_bytes()[:-1000])
    with start("serve", "--port", "0", "--model", str(broken)) as process:
        _, complaint = process.communicate(timeout=PATIENCE)
    *_, last, hint = complaint.decode().splitlines()
    assert (process.returncode, last.startswith(f"llamalet: {broken} is cut short")) == (66, True)
    assert hint.startswith("  ")
    assert b"Traceback" not in complaint


@needs_curl
def test_the_log_of_requests_is_json_where_that_is_chosen_and_the_token_of_several_is_the_first(
    canary: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"# who may come\nann {TOKEN}\nbob another-token-0123456789\n")
    args = ["--port", "0", "--model", str(canary), "--threads", "1", "--log-format", "json"]
    with start("serve", *args, "--token-file", str(tmp_path / "tokens")) as process:
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            lines = _lines_until(process, "loaded")
            listening, _, tried, _ = (json.loads(line)["message"] for line in lines)
            assert listening.endswith("(a token is needed)")
            assert by_shell(tried.removeprefix("try: "))["success"]
            (line,) = _lines_until(process, "{")
        finally:
            watch.cancel()
            process.kill()
    told = json.loads(line)
    assert {name: told[name] for name in ("level", "logger", "user", "method", "status", "outcome")} == {
        "level": "info",
        "logger": "llamalet.access",
        "user": "ann",
        "method": "POST",
        "status": 200,
        "outcome": "ok",
    }


@needs_curl
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_at_a_socket_file_what_it_says_to_try_works(canary: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="llamalet") as folder:
        file = f"{folder}/a socket"
        with start("serve", "--unix", file, "--model", str(canary), "--threads", "1") as process:
            watch = threading.Timer(PATIENCE, process.kill)
            watch.start()
            try:
                lines = _lines_until(process, "loaded")
                assert lines[0] == f"llamalet: listening on unix:{file} (for this user only, no token needed)"
                assert by_shell(lines[2].removeprefix("llamalet: try: "))["success"]
                process.terminate()
                assert process.wait(PATIENCE) == 0
                assert not Path(file).exists()
            finally:
                watch.cancel()
                process.kill()


# -- in this process -------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """What the server was given in the end."""

    settings: Settings | None = None
    model: str | None = None


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Put in the place of the server, which would go on for ever."""
    found = Served()

    def serve(
        ai: AsyncRuntime,
        sockets: list[socket.socket],
        *,
        started: Callable[[], None],
        model: str | None,
        loaded: object,
    ) -> None:
        started()
        found.settings, found.model = ai.settings, model
        for one in sockets:
            one.close()

    monkeypatch.setattr(listen, "serve", serve)
    monkeypatch.setattr(logs, "show", lambda settings: None)  # it changes loggers, which outlive a test
    return found


@pytest.mark.parametrize(
    ("flag", "written", "name", "value"),
    [
        ("--context", "1024", "context", 1024),
        ("--slots", "8", "slots", 8),
        ("--threads", "3", "threads", 3),
        ("--queue", "5", "queue", 5),
        ("--keep-alive", "-1", "keep_alive", -1.0),
        ("--timeout", "90s", "timeout", 90.0),
        ("--date", "26 Jul 2024", "date", "26 Jul 2024"),
        ("--gpu-layers", "-1", "gpu_layers", -1),
        ("--quant", "Q8_0", "quant", "Q8_0"),
        ("--host", "127.0.0.1", "host", "127.0.0.1"),
        ("--hosts", "box.lan, BOX", "hosts", ("box.lan", "box")),
        ("--origins", "https://app.example", "origins", ("https://app.example",)),
        ("--log-format", "json", "log_format", "json"),
    ],
)
def test_a_flag_is_a_setting(shell: Shell, served: Served, flag: str, written: str, name: str, value: object) -> None:
    assert shell("serve", "--port", "0", flag, written).exit_code == 0
    assert served.settings
    assert (getattr(served.settings, name), served.settings.origin(name)) == (value, "argument")


@pytest.mark.parametrize(("args", "parity"), [([], False), (["--parity"], True)])
def test_parity_is_a_flag_without_a_value(shell: Shell, served: Served, args: list[str], parity: bool) -> None:
    shell("serve", "--port", "0", *args)
    assert served.settings
    assert served.settings.parity is parity


def test_without_the_flag_the_variable_holds(shell: Shell, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMALET_PARITY", "yes")
    shell("serve", "--port", "0")
    assert served.settings
    assert served.settings.parity is True


def test_every_setting_but_the_token_is_a_flag_with_its_help(shell: Shell) -> None:
    text = " ".join(shell("serve", "--help").stdout.split())
    assert [name for name in FLAGS if f"--{name.replace('_', '-')} VALUE" not in text] == []
    assert set(SETTINGS) - set(FLAGS) == {"token", "log", "parity", "offline", "download", "log_prompts"}
    assert "--token " not in text


def test_without_a_model_it_says_that_none_is_loaded(shell: Shell, served: Served) -> None:
    lines = shell("serve", "--port", "0").stderr.splitlines()
    assert re.fullmatch(r"llamalet: listening on http://\S+:\d+ \(from this machine only, no token needed\)", lines[0])
    assert lines[1] == "llamalet: no model is loaded; each is on its first use"
    assert re.match(r"llamalet: try: curl http://\S+/ai/run/@cf/meta/llama-3.2-1b-instruct -d '", lines[2])
    assert served.model is None


@pytest.mark.parametrize(
    ("name", "shown"), [("1b", "@cf/meta/llama-3.2-1b-instruct"), ("3b:Q8_0", "@cf/meta/llama-3.2-3b-instruct")]
)
def test_a_model_of_the_catalogue_is_asked_for_by_its_id(
    shell: Shell, served: Served, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.setattr("runtime.store.locate", lambda *_: None)  # as if it were there
    lines = shell("serve", "--port", "0", "--model", name).stderr.splitlines()
    assert (lines[1], f"/ai/run/{shown} -d " in lines[2], served.model) == (f"llamalet: loading {shown}", True, name)


def test_a_file_is_asked_for_by_its_name(shell: Shell, served: Served, model: str) -> None:
    lines = shell("serve", "--port", "0", "--model", model).stderr.splitlines()
    assert (lines[1], "/ai/run/one.gguf -d " in lines[2], served.model) == ("llamalet: loading one.gguf", True, model)


def test_a_file_of_the_folder_is_asked_for_by_its_name(
    shell: Shell, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.gguf").write_bytes(model_bytes())
    monkeypatch.chdir(tmp_path)
    assert "/ai/run/one.gguf -d " in shell("serve", "--port", "0", "--model", "./one.gguf").stderr


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        (["--host", "0.0.0.0"], 78, "Listening at 0.0.0.0 lets other machines in, and no token is set.\n  Give --tok"),
        (["--port", "65536"], 78, "argument port: 65536 is not accepted; it takes a whole number from 0 to 65535."),
        (["--slots", "x"], 78, "argument slots: 'x' is not accepted"),
        (["--token-file", "nowhere"], 78, "argument: the token file nowhere cannot be read: No such file"),
        (["--model", "2b"], 67, "There is no model '2b'.\n  Known are llama-3.2-1b-instruct, 1b, "),
        (["--models", "/nowhere.toml"], 78, "/nowhere.toml: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_its_code_before_anything_is_served(
    shell: Shell, served: Served, args: list[str], code: int, complaint: str
) -> None:
    result = shell("serve", *args)
    assert (result.exit_code, result.stderr.startswith(f"llamalet: {complaint}")) == (code, True), result.stderr
    assert (result.stdout, served.settings) == ("", None)


def test_a_port_that_is_taken_is_told(shell: Shell, served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = shell("serve", "--host", "127.0.0.1", "--port", str(port))
    assert result.exit_code == 78
    assert result.stderr.startswith(f"llamalet: Cannot listen at 127.0.0.1, port {port}: ")


def test_a_token_on_the_command_line_is_refused(shell: Shell, served: Served) -> None:
    assert shell("serve", "--token", TOKEN).exit_code == 2

"""The engine in a process of its own: whatever becomes of that process, nobody waits for ever, and this one lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runtime import Runtime
from runtime.engine import process
from runtime.engine.watchdog import Watchdog
from runtime.errors import EngineClosed, EngineDied, EngineError, QueueFull, TooLarge
from runtime.values import Failed, Progress, Text
from tests.engines import PATIENCE, Caller, ask, engine_in, remote, submit
from tests.models import expected, key_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.engine.remote import RemoteEngine
    from runtime.values import Event

ROOT = Path(__file__).parents[1]
SOON = 1.0  # seconds, which is what is promised
FAULT = "LLAMALET_TEST_FAULT"
LONG = {"context": 131072, "slots": 4}
posix = pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no signals from another")


@pytest.fixture
def running(canary: Path) -> Iterator[RemoteEngine]:
    made = remote(canary, **LONG)
    yield made
    made.close()


def faulty(monkeypatch: pytest.MonkeyPatch, canary: Path, plan: str, **options: Any) -> RemoteEngine:
    """An engine with a fault, which the next has not."""
    with monkeypatch.context() as patch:
        patch.setenv(FAULT, plan)
        return remote(canary, **{**LONG, **options})


def busy(made: RemoteEngine, *, until: type[Any], prompt: int = 0) -> list[Caller]:
    """Three requests that will not end by themselves; the first has had an event of that kind."""
    callers = [submit(made, ask(key, 20_000, before="~" * prompt, name=f"r{key}")) for key in range(3)]
    callers[0].until(until)
    return callers


def send(made: RemoteEngine, name: str) -> float:
    """Send the signal; gives when."""
    os.kill(made._process.pid, getattr(signal, name))
    return time.monotonic()


def is_gone(pid: int) -> bool:
    """Whether the process ends while a test waits."""
    try:
        psutil.Process(pid).wait(PATIENCE)
    except psutil.NoSuchProcess:
        return True
    return not psutil.pid_exists(pid)


# -- death -----------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
@pytest.mark.parametrize(("until", "prompt"), [(Progress, 30_000), (Text, 0)], ids=["prompt", "token"])
def test_all_that_run_end_within_a_second_of_its_death(
    running: RemoteEngine, name: str, until: type[Any], prompt: int
) -> None:
    callers = busy(running, until=until, prompt=prompt)
    died = send(running, name)
    failures = [caller.failure() for caller in callers]
    assert time.monotonic() - died < SOON
    assert [type(failure) for failure in failures] == [EngineDied] * 3
    assert all(f"was ended by {name} while it had requests" in str(failure) for failure in failures)
    assert [failure.facts for failure in failures if isinstance(failure, EngineDied)] == [{"by": name}] * 3
    assert len({id(failure) for failure in failures}) == 3


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_one_that_died_idle_takes_no_more_requests(running: RemoteEngine, name: str) -> None:
    send(running, name)
    running._thread.join(PATIENCE)
    with pytest.raises(EngineClosed):
        submit(running, ask())
    assert f"was ended by {name} while it was idle" in str(running.death)


FAULTS = [
    ("abort@token:3", "SIGABRT", "GGML_ASSERT"),
    ("segv@prompt", "SIGSEGV", "Fatal Python error: Segmentation fault"),
    ("kill@sample:2", "SIGKILL", ""),
    ("exit=3@step:2", "exit 3", ""),
    ("hang@step:2", "watchdog", "It did nothing for 1 s."),
    ("stop@token:2", "watchdog", "It did nothing for 1 s."),
]


@posix
@pytest.mark.parametrize(("plan", "by", "words"), FAULTS)
def test_a_fault_in_the_middle_ends_the_request_and_says_why(
    monkeypatch: pytest.MonkeyPatch, canary: Path, plan: str, by: str, words: str
) -> None:
    made = faulty(monkeypatch, canary, plan, watchdog=1)
    failure = submit(made, ask(before="~" * 2000)).failure()
    made.close()
    assert isinstance(failure, EngineDied)
    assert failure.facts == {"by": by}
    assert words in str(failure)


@posix
@pytest.mark.parametrize(("plan", "by"), [("abort@tokenize", "SIGABRT"), ("hang@tokenize", "watchdog")])
def test_a_fault_while_a_request_is_looked_at_is_raised(
    monkeypatch: pytest.MonkeyPatch, canary: Path, plan: str, by: str
) -> None:
    made = faulty(monkeypatch, canary, plan, watchdog=1)
    with pytest.raises(EngineDied) as died:
        submit(made, ask())
    made.close()
    assert died.value.facts == {"by": by}


@posix
def test_a_request_that_hangs_while_it_is_looked_at_is_noticed_though_others_run(
    monkeypatch: pytest.MonkeyPatch, canary: Path
) -> None:
    made = faulty(monkeypatch, canary, "hang@tokenize:3", watchdog=1)  # a prompt is two pieces of text
    caller = submit(made, ask(7, 100_000))
    with pytest.raises(EngineDied):
        submit(made, ask(name="two"))
    assert isinstance(caller.failure(), EngineDied)
    made.close()


AT_LOAD = [("abort@load", "SIGABRT"), ("kill@load", "SIGKILL"), ("exit=1@load", "exit 1"), ("hang@load", "watchdog")]


@posix
@pytest.mark.parametrize(("plan", "by"), AT_LOAD)
def test_a_death_at_load_is_raised_with_what_was_loaded_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, canary: Path, plan: str, by: str
) -> None:
    before = set(threading.enumerate()), psutil.Process().children()
    with pytest.raises(EngineDied, match=r"while it loaded .*canary\.gguf\..* It was planned to take 64 MiB") as died:
        faulty(monkeypatch, canary, plan, watchdog=1, memory=64 << 20)
    assert died.value.facts == {"by": by}
    assert (set(threading.enumerate()), psutil.Process().children()) == before


@posix
def test_a_process_that_is_stopped_is_ended(canary: Path) -> None:
    made = remote(canary, watchdog=1, **LONG)
    callers = busy(made, until=Text)
    send(made, "SIGSTOP")
    assert [type(caller.failure()) for caller in callers] == [EngineDied] * 3
    assert "It did nothing for 1 s." in str(made.death)
    made.close()


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_what_a_terminal_or_a_service_sends_to_all_leaves_the_end_to_us(running: RemoteEngine, name: str) -> None:
    send(running, name)
    assert submit(running, ask(7, 20)).whole() == expected(7, 20)


ORPHAN = """
import sys
from pathlib import Path
from runtime.engine import EngineConfig
from runtime.engine.remote import RemoteEngine
from runtime.values import Request, Sampling, Segment
prompt = (Segment("<|begin_of_text|>", special=True), Segment("<K07>"))
made = RemoteEngine(EngineConfig(Path(sys.argv[1]), context=131072))
made.submit(Request("one", prompt, max_tokens=100_000, sampling=Sampling(temperature=0.0)), lambda event: None)
print(made._process.pid, "llama_cpp" in sys.modules, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_the_process_that_started_it_which_never_loads_llama_cpp(canary: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(canary)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as parent:
        pid, loaded = str(parent.stdout and parent.stdout.readline()).split()
        parent.kill()
    assert (is_gone(int(pid)), loaded) == (True, "False")


# -- closing ---------------------------------------------------------------------------------------------------------


def test_closing_ends_what_runs_and_leaves_nothing(canary: Path) -> None:
    before = set(threading.enumerate()), psutil.Process().num_fds() if sys.platform != "win32" else 0
    made = remote(canary, **LONG)
    callers = busy(made, until=Text)
    made.close()
    made.close()
    assert [type(caller.failure()) for caller in callers] == [EngineClosed] * 3
    assert is_gone(made._process.pid)
    with pytest.raises(EngineClosed, match="The engine is closed"):
        submit(made, ask())
    made.cancel("r1")
    assert made.death is None
    assert (set(threading.enumerate()), psutil.Process().num_fds() if sys.platform != "win32" else 0) == before


def test_it_may_be_closed_by_an_event(canary: Path) -> None:
    made = remote(canary, **LONG)
    caller = Caller()

    def emit(event: Any) -> None:
        caller.emit(event)
        if isinstance(event, Text):
            made.close()

    made.submit(ask(7, 100_000), emit)
    assert isinstance(caller.failure(), EngineClosed)
    made.close()


@posix
def test_one_that_is_stopped_can_be_closed(canary: Path) -> None:
    made = remote(canary, **LONG)
    callers = busy(made, until=Text)
    send(made, "SIGSTOP")
    made.close()
    assert [type(caller.failure()) for caller in callers] == [EngineClosed] * 3


def test_what_the_progress_of_a_load_raises_ends_the_load(canary: Path) -> None:
    before = set(threading.enumerate()), psutil.Process().children()

    def stop(_: float) -> None:
        raise ZeroDivisionError("mine")

    options: dict[str, Any] = {"files": [canary], "isolation": "process", "on_load": stop}
    with Runtime(**options) as ai, pytest.raises(ZeroDivisionError, match="mine"):
        ai.run(str(canary), prompt="Hi")
    assert (set(threading.enumerate()), psutil.Process().children()) == before


# -- requests --------------------------------------------------------------------------------------------------------


def test_two_engines_know_nothing_of_each_other(canary: Path, running: RemoteEngine) -> None:
    other = remote(canary, **LONG)
    mine, theirs = submit(running, ask(7, 300)), submit(other, ask(8, 20_000))
    theirs.until(Text)
    other._process.kill()
    assert isinstance(theirs.failure(), EngineDied)
    assert mine.whole() == expected(7, 300)
    other.close()


def test_a_request_that_no_frame_holds_is_refused(running: RemoteEngine) -> None:
    with pytest.raises(TooLarge, match="is more than the 67,108,864 that go to an engine"):
        submit(running, ask(before="~" * (65 << 20)))
    assert submit(running, ask()).whole() == expected(7, 8)


@posix
def test_ctrl_c_while_a_request_is_looked_at_takes_it_back(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    made = faulty(monkeypatch, canary, "delay=2@tokenize", slots=1, queue=0)
    ctrl_c = threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    ctrl_c.start()
    caller = Caller()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        made.submit(ask(7, 100_000, name="first"), caller.emit)
    assert time.monotonic() - started < 2
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:  # its place is free as soon as the engine has looked at it
        try:
            assert submit(made, ask(7, 20)).whole() == expected(7, 20)
            break
        except QueueFull:
            continue
    assert caller._queue.empty()
    made.close()


def test_a_caller_that_cannot_be_told_is_no_harm_to_the_others(running: RemoteEngine) -> None:
    def emit(event: Any) -> None:
        raise ZeroDivisionError

    running.submit(ask(name="careless"), emit)
    assert submit(running, ask()).whole() == expected(7, 8)


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    monkeypatch.setattr(process, "command", lambda: ["/nowhere/python"])
    with pytest.raises(EngineError, match="cannot be started"):
        remote(canary)


def test_one_that_speaks_otherwise_is_ended(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    monkeypatch.setattr(process, "command", lambda: [sys.executable, "-c", "print('Hello, who is there?')"])
    with pytest.raises(EngineError, match=r"sent a frame of 1,\d{3},\d{3},\d{3} bytes, of 67,108,864"):
        remote(canary)


# -- the runtime around it -------------------------------------------------------------------------------------------


def test_the_next_request_is_answered_by_a_new_one(canary: Path) -> None:
    with Runtime(files=[canary], isolation="process", threads=1, context=131072) as ai:
        body: dict[str, Any] = {"prompt": key_token(7), "temperature": 0, "max_tokens": 5}
        for _ in range(3):
            stream = ai.run(str(canary), {**body, "max_tokens": 50_000}, stream=True)
            next(stream)
            engine_in(ai)._process.kill()
            with pytest.raises(EngineDied):
                list(stream)
            assert ai.loaded() == ()
            assert ai.run(str(canary), body)["response"] == expected(7, 5)
            assert [one.running for one in ai.loaded()] == [0]


def test_one_that_died_idle_is_replaced_unseen(canary: Path) -> None:
    with Runtime(files=[canary], isolation="process", threads=1) as ai:
        body: dict[str, Any] = {"prompt": key_token(7), "temperature": 0, "max_tokens": 5}
        for _ in range(6):
            assert ai.run(str(canary), body)["response"] == expected(7, 5)
            engine = engine_in(ai)
            engine._process.kill()
            engine._thread.join(PATIENCE)


# -- a program that is frozen ----------------------------------------------------------------------------------------

FROZEN = """#!{python}
import os, sys
sys.path[:0] = [{root!r}]
sys.frozen, sys.executable = True, __file__
import runtime
{call}
if __name__ == "__main__":
    from runtime import Runtime
    with Runtime(files=[{model!r}], isolation="process", threads=1) as ai:
        os.write(1, ai.run({model!r}, prompt="<K07>", temperature=0, max_tokens=3)["response"].encode())
"""
NO_CONSOLE = "sys.stdin = sys.stdout = sys.stderr = None"  # as Python has it in a windowed program


@posix
@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("runtime.freeze_support()", expected(7, 3)),
        (f"{NO_CONSOLE}; runtime.freeze_support()", expected(7, 3)),
        ("", "does not call runtime.freeze_support()"),
    ],
    ids=["prepared", "without a console", "not"],
)
def test_a_frozen_program_becomes_its_own_engine(canary: Path, tmp_path: Path, call: str, said: str) -> None:
    program = tmp_path / "program"
    program.write_text(FROZEN.format(python=sys.executable, root=str(ROOT), call=call, model=str(canary)))
    program.chmod(0o755)
    done = subprocess.run([program], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert said in done.stdout + done.stderr


def test_freeze_support_is_nothing_where_nothing_asks_for_an_engine() -> None:
    import runtime

    runtime.freeze_support()


def test_the_environment_is_ours_with_idle_threads_that_sleep_unless_the_user_says_otherwise() -> None:
    assert process.environment({})["OMP_WAIT_POLICY"] == "passive"
    theirs = {"OMP_WAIT_POLICY": "active", "A": "b"}
    assert process.environment(theirs).items() >= theirs.items()
    assert process.environment({"PYTHONPATH": "/theirs"})["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/theirs"]


# -- the watchdog ----------------------------------------------------------------------------------------------------


def watch(counts: Any) -> tuple[Watchdog, threading.Event]:
    bitten = threading.Event()
    return Watchdog(0.2, counts, bitten.set), bitten


def test_what_goes_on_is_left_alone_however_long_it_takes() -> None:
    looks = iter(range(1 << 30))
    enough = threading.Event()

    def counts() -> int:
        if (look := next(looks)) == 30:
            enough.set()
        return look

    dog, bitten = watch(counts)
    dog.begin("one")
    assert enough.wait(PATIENCE)
    assert not bitten.is_set()
    dog.close()


def test_what_stands_still_is_noticed_and_only_while_there_is_work() -> None:
    dog, bitten = watch(lambda: 1)
    assert not bitten.wait(0.5)
    dog.begin("one")
    assert bitten.wait(PATIENCE)
    dog.close()


def test_what_is_due_is_noticed_though_the_rest_goes_on() -> None:
    looks = iter(range(1 << 30))
    dog, bitten = watch(lambda: next(looks))
    dog.begin("one")
    dog.expect("one")
    assert bitten.wait(PATIENCE)
    dog.close()


def test_no_seconds_are_no_watchdog() -> None:
    dog = Watchdog(0, lambda: 1, lambda: None)
    dog.begin("one")
    dog.thread.join(PATIENCE)
    assert not dog.thread.is_alive()
    dog.close()


def test_an_ended_request_is_told_once(running: RemoteEngine) -> None:
    caller = submit(running, ask(7, 20_000))
    caller.until(Text)
    running._process.kill()
    running._thread.join(PATIENCE)
    caller.end()
    assert caller._queue.empty()
    assert sum(isinstance(event, Failed) for event in caller.events) == 1


NONSENSE = """
import threading
from runtime.engine import channel, child
told = child.told
child.told = lambda number, event: ([], {}) if number > 1 else told(number, event)
child.main()
"""


def test_one_that_sends_nonsense_is_ended(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    monkeypatch.setattr(process, "command", lambda: [sys.executable, "-P", "-c", NONSENSE])
    made = remote(canary)
    assert submit(made, ask()).whole() == expected(7, 8)
    assert "It sent nonsense" in str(submit(made, ask()).failure())
    made.close()


def test_who_raises_when_told_is_taken_back(running: RemoteEngine) -> None:
    class Broken(Caller):
        def emit(self, event: Event) -> None:
            super().emit(event)
            if isinstance(event, Text):
                raise ValueError

    broken, other = Broken(), submit(running, ask(4, 200, name="other"))
    running.submit(ask(3, 100_000, name="broken"), broken.emit)
    assert broken.done().finish_reason == "cancelled"
    assert other.whole() == expected(4, 200)

"""What the engine's process says, and what it must not be able to say."""

from __future__ import annotations

import io
import logging
import os
import pickle
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runtime import errors
from runtime.engine import process
from runtime.engine.channel import MOST, Logged, Outbox, messages, portable, told
from runtime.engine.child import _explained
from runtime.engine.lastwords import KEPT, RATE, WIDTH, LastWords
from runtime.errors import EngineError, LlamaletError, ModelBroken
from runtime.values import Done, Failed, Text, TokenLogprob, ToolCall, ToolCallDelta
from tests.engines import PATIENCE, ask, remote, submit
from tests.fake_engine import TIMINGS, answer
from tests.models import expected

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]

# -- the channel -----------------------------------------------------------------------------------------------------


def through(*sent: Any, trusted: bool = False) -> list[Any]:
    """What arrives of these."""
    reading, writing = os.pipe()
    outbox = Outbox(os.fdopen(writing, "wb"), "test")
    for message in sent:
        outbox.put(message)
    outbox.close()
    with os.fdopen(reading, "rb") as stream:
        got = list(messages(stream, trusted=trusted))
    outbox.join()
    return got


def frame(data: bytes) -> io.BytesIO:
    return io.BytesIO(struct.pack("=I", len(data)) + data)


EVENTS = [
    *answer("Hi"),
    ToolCallDelta(0, "f", "{", "id"),
    Text("a", (TokenLogprob(5, b"a", -0.1, ((5, b"a", -0.1),)),)),
    Done("tool_calls", answer()[0].usage, TIMINGS, (ToolCall("f", {"a": [1, None, {}]}, "id"),)),  # type: ignore[union-attr]
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_arrives_as_it_was(event: Any) -> None:
    got = through(told(3, event), told(3, event))
    assert [(number, Text(one) if isinstance(one, str) else one) for number, one in got] == [(3, event)] * 2


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LlamaletError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_arrives_as_it_was(kind: type[LlamaletError]) -> None:
    (got,) = through(Failed(kind("What was wrong.", "What to do.")))
    assert type(got.error) is kind
    assert str(got.error) == str(kind("What was wrong.", "What to do."))


def test_an_error_of_others_becomes_one_of_ours() -> None:
    class Theirs(Exception):
        pass

    error = portable(Theirs("oh"))
    assert (type(error), str(error)) == (EngineError, "The engine failed: Theirs('oh').")


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.call = call, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "call",
    [os.system, eval, getattr, subprocess.Popen, Path, Outbox, threading.Thread, KeyboardInterrupt, object, type],
    ids=lambda call: getattr(call, "__name__", "?"),
)
def test_nothing_but_values_and_errors_is_made_of_what_a_process_sends(call: Callable[..., Any]) -> None:
    with pytest.raises(EngineError, match="is nothing that an engine sends"):
        through((1, Evil(call, "exit 1")))


@pytest.mark.parametrize("name", ["LlamaletError.__init__", "Any", "annotations", "dataclass.__globals__", "nothing"])
@pytest.mark.parametrize("module", ["runtime.errors", "runtime.values", "runtime.engine.channel", "builtins"])
def test_no_way_leads_through_a_name_with_dots_or_to_a_function(module: str, name: str) -> None:
    texts = b"".join(b"\x8c%c%s" % (len(text), text.encode()) for text in (module, name))
    data = b"\x80\x04" + texts + b"\x93."  # two strings, and STACK_GLOBAL
    with pytest.raises(EngineError, match="is nothing that an engine sends"):
        list(messages(frame(data), trusted=False))


@pytest.mark.parametrize("data", [b"", b"\x80", b"garbage", b"\x80\x05.", b"\x80\x05" + b"(" * 1000])
def test_what_is_no_message_is_an_error(data: bytes) -> None:
    with pytest.raises(EngineError, match="sent what is no message"):
        list(messages(frame(data), trusted=False))


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    with pytest.raises(EngineError, match="sent a frame of 67,108,865 bytes"):
        list(messages(io.BytesIO(struct.pack("=I", MOST + 1)), trusted=False))


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_the_end_in_the_middle_of_a_frame_is_the_end(cut: int) -> None:
    whole = frame(pickle.dumps(Logged("engine", 30, "text"))).getvalue()
    assert list(messages(io.BytesIO(whole + whole[:cut]), trusted=False)) == [Logged("engine", 30, "text")]


def test_all_that_is_there_leaves_in_one_write() -> None:
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.writes: list[bytes] = []
            self.first, self.go_on = threading.Event(), threading.Event()

        def write(self, data: Any) -> int:
            self.writes.append(bytes(data))
            self.first.set()
            self.go_on.wait(PATIENCE)
            return len(data)

    stream = Slow()
    outbox = Outbox(stream, "test")  # type: ignore[arg-type]
    outbox.put(1)
    stream.first.wait(PATIENCE)
    for number in range(100):
        outbox.put(number)
    stream.go_on.set()
    outbox.close()
    outbox.join()
    assert len(stream.writes) == 2
    assert list(messages(io.BytesIO(stream.writes[1]), trusted=True)) == list(range(100))


# -- stderr ----------------------------------------------------------------------------------------------------------


def said(*lines: bytes) -> LastWords:
    words = LastWords(io.BufferedReader(io.BytesIO(b"\n".join(lines))), clock=lambda: 0.0)
    words.wait(PATIENCE)
    return words


def test_the_last_words_are_those_of_llama_cpp_and_of_the_system() -> None:
    words = said(
        b"parse: error parsing grammar: expecting newline or end at :secret",
        b'root ::= "the password is swordfish"',
        b"/llama.cpp/src/llama-grammar.cpp:1084: GGML_ASSERT(!stacks.empty()) failed",
        b"terminate called after throwing an instance of 'std::bad_alloc'",
        b"  what():  std::bad_alloc",
        b"llama_grammar_init_impl: unexpected std::bad_alloc and GGML_ASSERT( in somebody's text",
    )
    assert words.wait(0) == (
        "/llama.cpp/src/llama-grammar.cpp:1084: GGML_ASSERT(!stacks.empty()) failed"
        " | terminate called after throwing an instance of 'std::bad_alloc' | what():  std::bad_alloc"
    )
    assert words.withheld == 3


def test_a_flood_is_bounded_in_what_is_kept_and_in_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "llamalet.llama")
    words = said(*[b"terminate called " + b"x" * 10_000] * 1000, b"x" * (5 << 20), b"  what():  the end")
    assert len(words.wait(0)) <= KEPT + 3 * KEPT // WIDTH
    assert words.wait(0).endswith("what():  the end")
    assert len(caplog.records) == RATE
    assert max(len(record.getMessage()) for record in caplog.records) <= WIDTH


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of a crash")
def test_no_text_of_a_request_is_in_what_is_told_of_a_death(
    monkeypatch: pytest.MonkeyPatch, canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "llamalet")
    monkeypatch.setenv("LLAMALET_TEST_FAULT", "segv@token:3")
    made = remote(canary)
    failure = submit(made, ask(before="swordfish", stop=("swordfish",))).failure()
    made.close()
    assert "SIGSEGV" in str(failure)
    assert "swordfish" not in str(failure) + caplog.text


# -- the process -----------------------------------------------------------------------------------------------------

NOISY = """
import os, sys
from runtime.engine import child
handle = child.Child.handle
def noisy(self, message):
    print("noise", flush=True)
    os.write(1, b"more noise")
    assert sys.stdin.read() == ""
    return handle(self, message)
child.Child.handle = noisy
child.main()
"""


def test_what_prints_in_it_disturbs_nobody(monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    monkeypatch.setattr(process, "command", lambda: [sys.executable, "-P", "-c", NOISY])
    made = remote(canary)
    assert submit(made, ask(7, 40)).whole() == expected(7, 40)
    made.close()


def test_its_warnings_are_logged_here(canary: Path, caplog: pytest.LogCaptureFixture) -> None:
    from runtime.catalog import Adapter

    caplog.set_level(logging.INFO, "llamalet")
    made = remote(canary, adapters=(Adapter("mine", canary),))
    made.close()
    (record,) = [record for record in caplog.records if record.name == "llamalet.engine"]
    assert (record.levelname, "LoRA adapter mine cannot be used" in record.getMessage()) == ("WARNING", True)


def test_all_of_its_log_is_here_where_somebody_looks_for_it(canary: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "llamalet")
    remote(canary).close()
    assert any("llama_model_loader" in record.getMessage() for record in caplog.records)


LIMITED = """
import sys
from runtime import machine
bound = machine.hold_to(64 << 20)
try:
    bytearray(200 << 20)
except MemoryError:
    print("refused", bound > 64 << 20)
bytearray(32 << 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such bound")
def test_memory_is_bounded() -> None:
    options: Any = {"cwd": ROOT, "capture_output": True, "text": True, "check": True, "timeout": 60}
    done = subprocess.run([sys.executable, "-c", LIMITED], **options)
    assert done.stdout == "refused True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such bound")
def test_an_engine_works_in_the_memory_that_was_planned(canary: Path) -> None:
    made = remote(canary, memory=16 << 20)
    assert made._held > 512 << 20
    assert submit(made, ask(7, 40)).whole() == expected(7, 40)
    made.close()


def test_a_load_that_lacks_memory_says_how_much_it_had() -> None:
    error = _explained(ModelBroken("llama.cpp cannot load x.gguf: std::bad_alloc."), 900 << 20)
    assert isinstance(error, EngineError)
    assert "held to 900 MiB" in str(error)


@pytest.mark.parametrize("held", [0, 900 << 20])
def test_a_file_that_is_broken_stays_so(held: int) -> None:
    error = ModelBroken("llama.cpp cannot load x.gguf: no tensors.")
    assert _explained(error, held) is error

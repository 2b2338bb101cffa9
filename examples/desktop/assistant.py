"""A model behind a window: what takes time is done on threads of its own, and told in a queue.

Nothing here knows of Tk, so it goes with Qt or anything else as well.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime import Runtime
from runtime.errors import Cancelled, LlamaletError, ModelMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime import Stream
    from runtime.store import Progress

MB = 1_000_000
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 40},
        "date": {"type": "string", "format": "date"},
        "guests": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["meeting", "call", "trip"]},
    },
    "required": ["title", "date", "guests", "kind"],
}

# -- what the assistant tells the window -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Working:
    """Something is under way; `done` from 0.0 to 1.0 where that is known."""

    what: str
    done: float | None = None


@dataclass(frozen=True)
class Piece:
    """Some more of the answer."""

    text: str


@dataclass(frozen=True)
class Ended:
    """Nothing is under way any more. values: of the form, where it was asked for. missing: bytes to fetch first."""

    what: str
    values: dict[str, Any] | None = None
    missing: int | None = None


class Assistant:
    """One model, which does one thing at a time. `news` is what there is to tell, in order."""

    def __init__(self, model: str) -> None:
        self.news: queue.SimpleQueue[Working | Piece | Ended] = queue.SimpleQueue()
        self._model = model
        self._stream: Stream | None = None
        self._stopped = False
        self._ai = Runtime(
            files=[model] if model.endswith(".gguf") else [],
            isolation="process",  # when llama.cpp dies, that is a message in the window
            download=False,  # gigabytes come when the user has agreed to it, by `fetch`
            context=4096,
            on_load=self._loading,
            on_download=self._fetching,
        )

    def load(self) -> None:
        self._begin(self._load)

    def fetch(self) -> None:
        self._begin(self._fetch)

    def ask(self, text: str) -> None:
        self._begin(self._answer, prompt=text, max_tokens=2000)

    def fill(self, text: str) -> None:
        asked = {"type": "json_schema", "json_schema": FORM}
        prompt = f"Give title, date, number of guests, and kind of this appointment as JSON.\n\n{text}"
        self._begin(self._answer, prompt=prompt, max_tokens=200, temperature=0, response_format=asked)

    def stop(self) -> None:
        """Whatever is under way ends soon, with `Ended`. Returns at once."""
        self._stopped = True
        if self._stream:
            self._stream.cancel()

    def close(self) -> None:
        """End everything, the engine's process as well."""
        self.stop()
        self._ai.close()

    # -- on a thread of their own ----------------------------------------------------------------------------------

    def _begin(self, work: Callable[..., Ended], **inputs: Any) -> None:
        def run() -> None:
            try:
                self.news.put(work(**inputs))
            except ModelMissing as missing:
                self.news.put(Ended(missing.message, missing=self._size()))  # its hint is for a terminal
            except LlamaletError as error:
                self.news.put(Ended(str(error)))  # what was wrong, and what to do about it
            except Exception as error:
                self.news.put(Ended(f"That should not happen: {error!r}"))

        self._stopped, self._stream = False, None
        threading.Thread(target=run, daemon=True).start()

    def _fetch(self) -> Ended:
        try:
            self._ai.pull(self._model)
        except LlamaletError as error:  # stopped, or the network is gone: the next try goes on there
            return Ended(str(error), missing=self._size())
        return self._load()

    def _load(self) -> Ended:
        self._ai.load(self._model)
        return Ended("Ready.")

    def _answer(self, **inputs: Any) -> Ended:
        with self._ai.run(self._model, stream=True, **inputs) as stream:
            self._stream = stream
            if self._stopped:  # while the model was loaded, say, when there was no stream yet
                stream.cancel()
            self.news.put(Working("Answering ..."))
            for event in stream:
                if event["response"]:
                    self.news.put(Piece(event["response"]))
        end, tokens = event["finish_reason"], event["usage"]["completion_tokens"]
        said = {"cancelled": "Stopped", "length": "Cut off"}.get(end, "Done")
        values = event.get("parsed") if end != "cancelled" else None  # else it is not a whole one
        return Ended(f"{said}, after {tokens} tokens.", values)

    def _loading(self, done: float) -> None:
        self._check()
        self.news.put(Working("Loading the model ...", done))

    def _fetching(self, progress: Progress) -> None:
        self._check()
        rate = f", {progress.rate / MB:.1f} MB/s" if progress.rate else ""
        what = f"{progress.phase.capitalize()}: {progress.done // MB} of {progress.total // MB} MB{rate}"
        self.news.put(Working(what, progress.done / max(1, progress.total)))

    def _check(self) -> None:
        """What is raised here ends the load, or the download."""
        if self._stopped:
            raise Cancelled("Stopped.")

    def _size(self) -> int | None:
        spec = self._ai.catalog.find(self._model).spec
        return None if spec.path else spec.quant(spec.default_quant).size or 0

"""A small desktop app around a model: it asks, shows the answer as it is written, and fills a form from a text.

    python app.py                 Llama 3.2 1B, fetched on the first start
    python app.py my-model.gguf   a file that is here

Ctrl+Return asks, Ctrl+F fills the form, Escape stops, Ctrl+Q leaves.
"""

from __future__ import annotations

import contextlib
import sys
import tkinter as tk
from tkinter import messagebox, scrolledtext, ttk
from typing import TYPE_CHECKING, Any

from assistant import FORM, MB, Assistant, Ended, Piece, Working

import runtime
from runtime.errors import LlamaletError

if TYPE_CHECKING:
    from collections.abc import Callable

OFTEN = 40  # milliseconds between two looks at what is new: 25 times a second is smooth


class Window:
    """Shows an assistant in `root`. All that touches a widget is here, on the main thread, and nothing here waits."""

    def __init__(self, root: tk.Tk, assistant: Assistant) -> None:
        self._root, self._assistant = root, assistant
        self.busy = False
        root.geometry("720x480")  # else it changes with every text in it
        root.columnconfigure(0, weight=1)
        root.rowconfigure(1, weight=1)
        self.entry = tk.Text(root, height=3, wrap="word", undo=True)
        self.entry.grid(row=0, sticky="ew", padx=8, pady=8)
        self.answer = scrolledtext.ScrolledText(root, height=1, wrap="word", state="disabled")
        self.answer.grid(row=1, sticky="nsew", padx=8)
        self.answer.bind("<Button-1>", lambda _: self.answer.focus_set())  # so that it can be selected and copied
        self._form(ttk.Frame(root))
        self._bar(ttk.Frame(root))
        keys = {"Control-Return": self.ask, "Control-f": self.fill, "Escape": self.stop, "Control-q": root.destroy}
        for key, action in keys.items():
            self._bind(f"<{key}>", action)
        self.entry.focus_set()
        self._do(assistant.load)
        self._look()

    def _bind(self, key: str, action: Callable[[], None]) -> None:
        def act(_: object) -> str:
            action()
            return "break"  # the key does nothing else

        self._root.bind(key, act)
        self.entry.bind(key, act)  # which would take it first, for a new line say

    def _form(self, frame: ttk.Frame) -> None:
        """A field for each property of the schema."""
        frame.grid(row=2, sticky="ew", padx=8, pady=4)
        self.fields: dict[str, ttk.Entry] = {}
        for column, (name, schema) in enumerate(FORM["properties"].items()):
            frame.columnconfigure(column, weight=1)
            ttk.Label(frame, text=name.capitalize()).grid(row=0, column=column, sticky="w")
            field = ttk.Entry(frame)
            if "enum" in schema:
                field = ttk.Combobox(frame, values=schema["enum"])
            elif schema["type"] == "integer":
                field = ttk.Spinbox(frame, from_=schema["minimum"], to=schema["maximum"])
            field.grid(row=1, column=column, sticky="ew", padx=(0, 4))
            self.fields[name] = field

    def _bar(self, frame: ttk.Frame) -> None:
        frame.grid(row=3, sticky="ew", padx=8, pady=8)
        self.download = ttk.Button(frame, command=lambda: self._do(self._assistant.fetch))
        self.buttons = [ttk.Button(frame, text="Ask", command=self.ask)]
        self.buttons.append(ttk.Button(frame, text="Fill the form", command=self.fill))
        self.stopper = ttk.Button(frame, text="Stop", command=self.stop)
        for button in (*self.buttons, self.stopper):
            button.pack(side="left", padx=(0, 4))
        self.progress = ttk.Progressbar(frame, maximum=1.0, length=200)
        self.progress.pack(side="right")
        self.status = ttk.Label(self._root, wraplength=680)
        self.status.grid(row=4, sticky="w", padx=8, pady=(0, 8))

    # -- what the user does ------------------------------------------------------------------------------------------

    def ask(self) -> None:
        self._do(self._assistant.ask, self.entry.get("1.0", "end").strip())

    def fill(self) -> None:
        self._do(self._assistant.fill, self.entry.get("1.0", "end").strip())

    def stop(self) -> None:
        if self.busy:
            self._tell("Stopping ...")
            self._assistant.stop()

    def _do(self, begin: Callable[..., None], *args: str) -> None:
        """Begin something, if nothing is under way and nothing is missing for it."""
        if self.busy or "" in args:
            return
        self.busy = True
        self.download.pack_forget()
        self._write("", anew=True)
        self._allow(begin=False, stop=True)
        begin(*args)

    # -- what the assistant tells ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in what is new: as much as there is now, and all of its text at once. A model writes faster than Tk lays
        out a long paragraph anew for each piece."""
        pieces = []
        for _ in range(self._assistant.news.qsize()):
            match self._assistant.news.get():
                case Working(what, done):
                    self._tell(what, done)
                case Piece(text):
                    pieces.append(text)
                case Ended(what, values, missing):
                    self._end(what, values, missing)
        if pieces:
            self._write("".join(pieces))
        self._root.after(OFTEN, self._look)

    def _end(self, what: str, values: dict[str, Any] | None, missing: int | None) -> None:
        self.busy = False
        self._tell(what)
        self._allow(begin=missing is None, stop=False)
        for name, value in (values or {}).items():
            self.fields[name].delete(0, "end")
            self.fields[name].insert(0, str(value))
        if missing is not None:
            self.download.config(text=f"Download {missing // MB} MB")
            self.download.pack(side="left", before=self.buttons[0])
        focused: tk.Widget = self.entry if missing is None else self.download
        (self.fields["title"] if values else focused).focus_set()

    def _allow(self, *, begin: bool, stop: bool) -> None:
        for button in self.buttons:
            button.state(["!disabled" if begin else "disabled"])
        self.stopper.state(["!disabled" if stop else "disabled"])

    def _tell(self, what: str, done: float | None = None) -> None:
        self._root.title(f"Assistant: {what}")  # so that it is seen in the task bar too
        self.status.config(text=what)
        self.progress["value"] = done or 0.0

    def _write(self, text: str, *, anew: bool = False) -> None:
        self.answer.config(state="normal")
        if anew:
            self.answer.delete("1.0", "end")
        self.answer.insert("end", text)
        self.answer.see("end")
        self.answer.config(state="disabled")


def main() -> None:
    runtime.freeze_support()  # first of all: the packaged program becomes its own engine here
    root = tk.Tk()
    try:
        assistant = Assistant(sys.argv[1] if len(sys.argv) > 1 else "1b")
    except LlamaletError as error:  # a setting is wrong; a program without a terminal has nowhere else to say so
        messagebox.showerror("Assistant", str(error))
        sys.exit(error.exit_code)
    with contextlib.closing(assistant):
        Window(root, assistant)
        root.mainloop()


if __name__ == "__main__":
    main()

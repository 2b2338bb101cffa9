"""The command line in this process, with a scripted engine in the place of llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from runtime.cli import main
from runtime.cli.scene import Scene
from tests.fake_engine import FakeEngines

if TYPE_CHECKING:
    from click.testing import Result

    from runtime.values import Event, Request


class Shell:
    """Runs commands, each with an engine that follows `scripts`. `requests` is what the last engine was asked."""

    def __init__(self) -> None:
        self.scripts: list[list[Event] | Exception] = []
        self.engines = FakeEngines()

    def __call__(self, *args: str, stdin: str | bytes | None = None, interactive: bool = False) -> Result:
        # Twice, since the session puts a new engine in the place of one that is closed.
        self.engines = FakeEngines(list(self.scripts), list(self.scripts))
        scene = Scene(options={"make_engine": self.engines}, interactive=interactive)
        return CliRunner().invoke(main, args, input=stdin, obj=scene)

    @property
    def requests(self) -> list[Request]:
        return self.engines.made[0].requests

    @property
    def asked(self) -> str:
        """The prompt of the last request, as text."""
        return "".join(segment.text for segment in self.requests[-1].prompt)

    def option(self, name: str) -> Any:
        """An option of the last request."""
        request = self.requests[-1]
        return getattr(request, name) if hasattr(request, name) else getattr(request.sampling, name)

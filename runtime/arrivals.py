"""The files of models as they come to be here: fetched on their first use, or before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime import loading
from runtime.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runtime.catalog import Choice, ModelSpec
    from runtime.pipeline import Deadline
    from runtime.settings import Settings
    from runtime.store import Progress


class Arrivals:
    """Gets files as the settings say. check_open: raises, and so ends a download, once the runtime is closed."""

    def __init__(
        self,
        settings: Settings,
        catalog: Iterable[ModelSpec],
        report: Callable[[Progress], None] | None,
        check_open: Callable[[], None],
    ) -> None:
        self._settings, self._catalog = settings, catalog
        self._report, self._check_open = report, check_open

    def obtain(self, choice: Choice, *, fetch: bool | None = None, deadline: Deadline | None = None) -> Path:
        """The model's file, checked, and fetched if it is not here. Takes as long as that takes.

        fetch: by default what `download` says. A deadline that is given up ends the download; one that passes does not.
        """

        def report(progress: Progress) -> None:
            self._check_open()
            if deadline and deadline.given_up:
                raise Cancelled("The request was taken back while its model was fetched.")
            if self._report:
                self._report(progress)

        fetch = self._settings.download if fetch is None else fetch
        return loading.obtain(choice, self._settings, fetch=fetch, progress=report, catalog=self._catalog)

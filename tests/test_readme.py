"""The README's table of settings is that of the code. What else it shows, `test_docs.py` runs."""

from __future__ import annotations

from runtime.settings import SETTINGS
from tests.snippets import ROOT


def _shown(default: object) -> object:
    return "" if default is None or default == () else str(default).lower() if isinstance(default, bool) else default


def settings_table() -> str:
    rows = ["| setting | default | |", "|---|---|---|"]
    rows += [f"| `{one.name}` | {_shown(one.default)} | {one.help} |" for one in SETTINGS.values()]
    return "\n".join(rows)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    assert page.split("<!-- settings -->\n")[1].split("\n<!-- end of settings -->")[0] == settings_table()

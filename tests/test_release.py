"""The version stands in one place, and the changelog has the shape that `scripts/release` asks for."""

from __future__ import annotations

import re
import subprocess

import pytest

import runtime
from scripts.release_checks import changelog
from tests.snippets import ROOT

GOOD = """# Changelog

## Unreleased

## 0.2.0, 2026-12-01

### Added

- A thing.

## 0.1.0, 2026-11-01
"""


def test_the_changelog_has_its_shape() -> None:
    assert list(changelog((ROOT / "CHANGELOG.md").read_text("utf-8"))) == []


def test_a_version_that_is_the_newest_section_can_be_released() -> None:
    assert list(changelog(GOOD, "0.2.0")) == []


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("## Unreleased\n", "", "the first section is not '## Unreleased'"),
        ("## 0.2.0, 2026-12-01", "## 0.2.0", "a section is called as in '## 1.2.3, 2026-01-31'"),
        ("0.1.0", "0.3.0", "the newest version comes first"),
        ("0.1.0", "0.2.0", "each is there once"),
        ("### Added", "### New", "'New' is none of Added"),
        ("0.2.0", "0.1.9", "its newest section is not that of 0.2.0"),
        ("## Unreleased\n", "## Unreleased\n\n- More.\n", "what stands under Unreleased belongs to 0.2.0"),
    ],
)
def test_what_is_wrong_with_a_changelog_is_told(written: str, instead: str, told: str) -> None:
    assert any(told in problem for problem in changelog(GOOD.replace(written, instead), "0.2.0"))


def test_the_version_stands_in_one_place() -> None:
    """In `runtime/__init__.py`; in the changelog it is that of a release."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False).stdout
    if not files:
        pytest.skip("this is no checkout")
    named = re.compile(rf"(?<![\d.]){re.escape(runtime.__version__)}(?![\d.])")
    ours = [ROOT / name for name in files.splitlines() if name.endswith((".py", ".toml", ".md", ".service"))]
    found = {path.relative_to(ROOT).as_posix() for path in ours if named.search(path.read_text("utf-8"))}
    assert found - {"CHANGELOG.md", "tests/test_release.py"} == {"runtime/__init__.py"}

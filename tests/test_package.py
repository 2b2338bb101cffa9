"""The wheel carries what the package needs, and works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from runtime.__pyinstaller import get_hook_dirs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, on its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("llamalet-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize("name", ["models.toml", "grammars"])
def test_the_wheel_carries(unpacked: Path, name: str) -> None:
    assert (unpacked / "runtime" / "data" / name).exists()


def test_the_wheel_carries_all_of_the_playground(unpacked: Path) -> None:
    ours, theirs = (
        sorted(path.name for path in (root / "runtime" / "playground").iterdir()) for root in (ROOT, unpacked)
    )
    assert ours == theirs


def test_pyinstaller_finds_the_hooks_of_the_wheel(unpacked: Path) -> None:
    (names,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "[pyinstaller40]\nhook-dirs = runtime.__pyinstaller:get_hook_dirs\n" in names.read_text()
    (folder,) = get_hook_dirs()
    hooks = {path.name for path in Path(folder).glob("hook-*.py")}
    assert hooks == {path.name for path in (unpacked / "runtime" / "__pyinstaller").glob("hook-*.py")}
    assert hooks == {"hook-llama_cpp.py", "hook-runtime.py"}


def test_the_wheel_is_typed_and_carries_licence_and_notice(unpacked: Path) -> None:
    assert (unpacked / "runtime" / "py.typed").exists()
    assert {path.name for path in unpacked.glob("*.dist-info/licenses/*")} == {"LICENSE", "NOTICE"}


def test_the_wheel_finds_its_data_away_from_the_checkout(unpacked: Path) -> None:
    code = (
        "from runtime import catalog; from runtime.wire import workers_ai; workers_ai.parse({'prompt': 'a'});"
        "print(catalog.__file__); print(catalog.load().find('1b').spec.id)"
    )
    environment = os.environ | {"PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        str(unpacked / "runtime" / "catalog.py"),
        "@cf/meta/llama-3.2-1b-instruct",
    ]

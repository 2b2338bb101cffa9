"""The systemd unit and the Dockerfile hold to what llamalet is, and to their linters where these are here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runtime.errors import ConfigError
from runtime.server import listen
from runtime.settings import SETTINGS
from scripts.dockerfile_steps import Step, steps
from tests.servers import scripted
from tests.snippets import ROOT

UNIT = ROOT / "scripts" / "llamalet.service"
DOCKERFILE = steps((ROOT / "Dockerfile").read_text("utf-8"))
IMAGE = DOCKERFILE[max(i for i, step in enumerate(DOCKERFILE) if step.name == "FROM") :]


def unit(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)


def the(name: str) -> Step:
    (step,) = (step for step in IMAGE if step.name == name)
    return step


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def analyzed(tmp_path: Path, *words: str) -> str:
    """What systemd-analyze says of the unit, with a program that is there."""
    file = tmp_path / UNIT.name
    file.write_text(UNIT.read_text("utf-8").replace("/opt/llamalet/bin/llamalet", sys.executable))
    done = subprocess.run(
        [tool("systemd-analyze"), *words, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    assert analyzed(tmp_path, "verify", "--recursive-errors=no") == ""


def test_the_unit_is_little_exposed(tmp_path: Path) -> None:
    """Each version of systemd asks for a little more."""
    said = analyzed(tmp_path, "security", "--offline=yes", "--no-pager")
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found
    assert float(found[1]) < 2


def test_both_give_answers_the_time_to_end() -> None:
    stop = re.search(r"docker stop --time (\d+)", (ROOT / "docs" / "service.md").read_text("utf-8"))
    assert stop
    assert min(int(unit("TimeoutStopSec")[0]), int(stop[1])) > listen.DRAIN


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert str(ConfigError.exit_code) in unit("RestartPreventExitStatus")[0].split()


def test_memory_can_be_read_in_the_unit() -> None:
    """`ProcSubset=pid` would hide /proc/meminfo."""
    assert unit("ProcSubset") == []


def test_the_image_runs_as_nobody_special_and_keeps_models_on_a_volume() -> None:
    assert int(the("USER").text) >= 10000
    home = next(step.text for step in IMAGE if step.name == "ENV")
    assert f"HF_HOME={the('VOLUME').text}/" in home


def test_the_image_listens_where_it_is_asked() -> None:
    assert the("EXPOSE").text == str(SETTINGS["port"].default)
    assert the("ENTRYPOINT").words + the("CMD").words == ["llamalet", "serve"]


def test_the_wheels_of_the_image_are_those_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (wanted,) = (one for one in project["project"]["dependencies"] if one.startswith("llama-cpp-python"))
    assert [wanted in step.text for step in DOCKERFILE if step.name == "RUN"].count(True) == 1


def test_the_image_is_built_for_every_cpu_it_may_meet() -> None:
    assert next(step.text for step in DOCKERFILE if step.name == "ENV") == "CMAKE_ARGS=-DGGML_NATIVE=OFF"


def test_what_is_copied_into_the_image_is_there_and_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = {name for step in DOCKERFILE if step.name == "COPY" for name in step.words[:-1]}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_health_check_tells_a_server_from_none(tmp_path: Path) -> None:
    check = Step("CMD", the("HEALTHCHECK").text.partition("CMD ")[2]).words

    def healthy(port: int) -> bool:
        words = [sys.executable, *(word.replace("8788", str(port)) for word in check[1:])]
        return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0

    with scripted(tmp_path / "models") as server:
        assert healthy(server.running.port)
    assert not healthy(server.running.port)


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")

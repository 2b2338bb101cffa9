"""`llamalet doctor`, on this machine and on made-up ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtime import machine, store
from runtime.engine import binary
from runtime.engine.binary import Binary
from runtime.machine import Core, Memory
from tests.models import random_model
from tests.servers import Hub

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Shell

GIB = 1 << 30


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 4 cores and 8 GiB, 6 of them free, which is what the tests change."""
    facts: dict[str, Any] = {
        "memory": Memory(8 * GIB, 6 * GIB),
        "cores": tuple(Core(frozenset({number})) for number in range(4)),
        "allowed": {0, 1, 2, 3},
        "quota": None,
        "copies_output": False,
    }
    for name, value in facts.items():
        monkeypatch.setattr(machine, name, lambda value=value: value)
    llama_cpp(monkeypatch, Binary("CPU : SSE3 = 1 | AVX2 = 1"))


def llama_cpp(monkeypatch: pytest.MonkeyPatch, found: Binary) -> None:
    monkeypatch.setattr(binary, "check", lambda: found)


def found(shell: Shell, *args: str) -> dict[str, Any]:
    done = shell("doctor", "--json", *args)
    assert (done.exit_code, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def advice(shell: Shell) -> str:
    return "\n".join(found(shell)["advice"])


def test_the_machine_and_its_threads_are_told(shell: Shell) -> None:
    told = found(shell)
    assert (told["machine"]["memory"], told["machine"]["available"], told["machine"]["limit"]) == (
        8 * GIB,
        6 * GIB,
        None,
    )
    assert (told["threads"]["writing"], told["threads"]["prompts"]) == (4, 4)


def test_threads_that_are_set_are_told_as_they_are_used(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMALET_THREADS", "3")
    monkeypatch.setenv("LLAMALET_PROMPT_THREADS", "2")
    threads = found(shell)["threads"]
    assert (threads["writing"], threads["prompts"], threads["set_by"]) == (3, 2, "LLAMALET_THREADS")


def test_llama_cpp_says_what_it_was_built_with(shell: Shell) -> None:
    assert found(shell)["llama_cpp"] == {
        "features": "CPU : SSE3 = 1 | AVX2 = 1",
        "problem": None,
        "missing": [],
        "unused": [],
    }
    assert "llama.cpp" not in advice(shell)


def test_each_model_has_its_plan_or_what_fits_instead(shell: Shell) -> None:
    one, three, eight = found(shell)["models"]
    assert (one["fits"], one["quant"], one["context"]) == (True, "Q4_K_M", 8192)
    assert one["bytes"] == sum(one["parts"].values())
    assert (three["fits"], three["context"]) == (True, 4096)
    assert (eight["fits"], eight["context"]) == (True, 2048)


def test_a_model_that_does_not_fit_is_told_with_the_nearest_that_does(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMALET_MEMORY", "3GiB")
    eight = found(shell)["models"][2]
    assert eight["fits"] is False
    assert eight["problem"].startswith("8b:Q4_K_M with 1024 tokens needs 5.0 GiB, 3.0 GiB available. Fits: 3b:")


def test_a_limit_is_told_and_proposed_to_be_raised(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: Memory(8 * GIB, 2 * GIB, limit=2 * GIB))
    assert "3b and 8b would need more memory: raise the limit of 2.0 GiB." in advice(shell)
    assert "limited to 2.0 GiB" in shell("doctor").stdout


@pytest.mark.parametrize(
    ("quota", "told"), [(1.5, "The CPU quota of 1.5 counts as 1: make it a whole number."), (2.0, ""), (None, "")]
)
def test_a_quota_that_is_no_whole_number_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, quota: float | None, told: str
) -> None:
    monkeypatch.setattr(machine, "quota", lambda: quota)
    assert told in advice(shell)
    assert ("quota" in advice(shell)) is bool(told)


def test_more_threads_than_the_quota_are_told(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "quota", lambda: 2.0)
    monkeypatch.setenv("LLAMALET_THREADS", "4")
    assert "4 threads under a CPU quota of 2.0 wait for each other: set threads to 0." in advice(shell)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            Binary(problem="it uses an instruction that this CPU does not have"),
            "cannot be loaded (it uses an instruction that this CPU does not have): install llama-cpp-python from its",
        ),
        (
            Binary("CPU : AVX2 = 1", missing=("AVX2", "FMA", "BMI2")),
            "built for a CPU with AVX2, FMA and BMI2, which this one lacks, so that it can end at any instruction: ",
        ),
        (
            Binary("CPU : NEON = 1", unused=("DOTPROD",)),
            "llama.cpp was built without DOTPROD, which this CPU has: to be faster, install",
        ),
    ],
)
def test_a_llama_cpp_that_does_not_suit_the_cpu_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, found: Binary, told: str
) -> None:
    llama_cpp(monkeypatch, found)
    assert told in advice(shell)
    assert f"llama.cpp  {found.features or found.problem}" in shell("doctor").stdout


def test_offline_nobody_is_asked(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "hub_problem", lambda **_: pytest.fail("the hub was asked"))
    assert found(shell, "--offline")["hub"] == {"reached": None, "problem": "not asked (--offline)"}


def test_a_hub_that_is_not_reached_is_told(shell: Shell) -> None:
    assert "The hub cannot be reached: HF_HUB_OFFLINE is set." in advice(shell)


def test_a_hub_that_answers_is_reached(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "hub_problem", lambda **_: None)
    assert found(shell)["hub"] == {"reached": True, "problem": None}
    assert "hub        can be reached" in shell("doctor").stdout


def test_the_cache_is_that_of_the_hub(shell: Shell, home: Path) -> None:
    assert found(shell)["cache"]["folder"] == str(home / "hub")


def test_a_model_that_is_here_is_judged_by_its_file(shell: Shell, home: Path, tmp_path: Path) -> None:
    random_model(tmp_path / "tiny.gguf", context=512)
    Hub(home / "hub", {"1b": tmp_path / "tiny.gguf"})
    one = found(shell)["models"][0]
    assert (one["here"], one["context"], one["parts"]["weights"] < 1e6) == (["Q4_K_M"], 512, True)
    assert "No model is on this machine" not in advice(shell)


def test_a_model_of_the_users_own_that_is_not_here_cannot_be_judged(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("[[model]]\nid = 'mine'\nrepo = 'me/mine'\nfile = 'mine-Q8_0.gguf'\n")
    own = found(shell, "--models", str(tmp_path / "m.toml"))["models"][-1]
    assert (own["fits"], own["problem"]) == (None, "not known before its file is there")


def test_people_read_lines(shell: Shell) -> None:
    done = shell("doctor", "--offline")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "machine", "memory", "threads", "llama.cpp", "cache", "hub", "models", "1b", "3b", "8b", "->",
    ]  # fmt: skip
    assert "fits: Q4_K_M, 8192 tokens, 1.6 GiB (not on this machine)" in lines[7]

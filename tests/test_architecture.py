"""The shape of the package, so that it stays the one that ARCHITECTURE.md draws."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import runtime
from runtime import AsyncRuntime, AsyncStream, Runtime, Stream

PACKAGE = Path(runtime.__file__).parent

# Lower ranks know nothing of higher ones; within a rank, a row knows those before it. A name stands for all below it.
RANKS = [
    ["runtime.errors", "runtime.values"],
    [
        "runtime.folders",
        "runtime.tomlfile",
        "runtime.units",
        "runtime.settings",
        "runtime.catalog",
        "runtime.gguf",
        "runtime.fit",
        "runtime.messages",
        "runtime.tools",
        "runtime.signatures",
        "runtime.toolcalls",
        "runtime.toolstyles",
        "runtime.prompt",
        "runtime.parse",
        "runtime.grammar",
        "runtime.judging",
        "runtime.documents",
        "runtime.callgrammar",
        "runtime.wire",
    ],
    ["runtime.machine", "runtime.store", "runtime.engine"],
    [
        "runtime.loading",
        "runtime.pipeline",
        "runtime.observer",
        "runtime.arrivals",
        "runtime.crashes",
        "runtime.resident",
        "runtime.residence",
        "runtime.toolbox",
        "runtime.toolrounds",
        "runtime.session",
        "runtime.aio",
    ],
    [
        "runtime.server.replies",
        "runtime.server.logs",
        "runtime.server.tokens",
        "runtime.server.guards",
        "runtime.server.streams",
        "runtime.server.turns",
        "runtime.server.batches",
        "runtime.server.native",
        "runtime.server.metrics",
        "runtime.server.openai",
        "runtime.server.playground",
        "runtime.server.app",
        "runtime.server.socketfile",
        "runtime.server",
    ],
    [
        "runtime.cli.scene",
        "runtime.cli.progress",
        "runtime.cli.ask",
        "runtime.cli.files",
        "runtime.cli.models",
        "runtime.cli.doctor",
        "runtime.cli.ps",
        "runtime.cli.schema",
        "runtime.cli.serve",
        "runtime.cli",
        "runtime.__pyinstaller",
    ],
]
ORDER = [name for rank in RANKS for name in rank]
# Within the engine, in the order of the way of a request.
ENGINE = ["", "page", "failures", "llama", "binary", "pieces", "meter", "constraint", "filters", "widening", "sampling"]
ENGINE += ["output", "sequence", "scheduler", "inbox", "adapters", "local", "faults", "channel", "child"]
ENGINE += ["lastwords", "watchdog", "process", "remote"]

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def home(name: str, order: list[str]) -> int | None:
    """Where the module stands in the order."""
    return next((i for i, one in enumerate(order) if name == one or name.startswith(f"{one}.")), None)


def imports(path: Path) -> set[str]:
    """Every module that is imported, at the top or later, for its types or to be used."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def places(name: str) -> tuple[int, int]:
    if name.startswith("runtime.engine"):
        inner = name.removeprefix("runtime.engine").strip(".").split(".")[0]
        return ORDER.index("runtime.engine"), ENGINE.index(inner) if inner in ENGINE else 0
    place = home(name, ORDER)
    assert place is not None, f"{name} has no rank: see ARCHITECTURE.md"
    return place, 0


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p) != "runtime"], ids=name_of)
def test_a_module_imports_only_from_lower_ranks_and_earlier_rows(path: Path) -> None:
    mine = places(name_of(path))
    for imported in imports(path):
        if imported.startswith("runtime.") and home(imported, ORDER) is not None:
            assert places(imported) <= mine, f"{name_of(path)} must not import {imported}"


@pytest.mark.parametrize(
    ("library", "only"), [("llama_cpp", "runtime.engine.llama.binding"), ("huggingface_hub", "runtime.store.hub")]
)
def test_only_one_module_imports(library: str, only: str) -> None:
    users = {name_of(path) for path in MODULES if any(name.split(".")[0] == library for name in imports(path))}
    assert users == {only}


def test_the_public_names_are_those_of_all() -> None:
    assert sorted(runtime.__all__) == runtime.__all__
    assert [name for name in runtime.__all__ if not hasattr(runtime, name)] == []
    assert set(dir(runtime)) == set(runtime.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = runtime.nothing


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(("sync", "asynchronous"), [(Runtime, AsyncRuntime), (Stream, AsyncStream)])
def test_the_asynchronous_twin_has_the_same_names_and_parameters(sync: type, asynchronous: type) -> None:
    assert public(sync) == public(asynchronous)
    for name in public(sync):
        if inspect.isfunction(getattr(sync, name)):
            ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (sync, asynchronous))
            assert list(ours.parameters) == list(theirs.parameters), name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_library_never_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    assert "print" not in names


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_runs_the_template_of_a_file(path: Path) -> None:
    """It is a program of whoever made the file."""
    text = path.read_text("utf-8")
    assert not [word for word in ("jinja2", "chat_apply_template", "model_chat_template") if word in text]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_at_most_300_lines_and_functions_at_most_40(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            body = node.end_lineno - node.body[0].lineno + 1
            assert body <= 40, f"{node.name} has {body} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_importing_the_package_opens_neither_llama_cpp_nor_the_hub() -> None:
    code = (
        "import runtime, sys; print(sorted({'llama_cpp', 'numpy', 'huggingface_hub', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"

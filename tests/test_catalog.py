"""The built-in catalogue, the ways to name a model, and the user's own file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import catalog
from runtime.errors import ConfigError, UnknownAdapter, UnknownModel

BUILT_IN = catalog.load()
IDS = ["@cf/meta/llama-3.2-1b-instruct", "@cf/meta/llama-3.2-3b-instruct", "@cf/meta/llama-3.1-8b-instruct"]
QUANTS = [pytest.param(quant, id=quant.file) for spec in BUILT_IN.models for quant in spec.quants]
SPECS = [pytest.param(spec, id=spec.id) for spec in BUILT_IN.models]
HUB = 'repo = "o/r"\nfile = "m-Q8_0.gguf"\n'


def load(folder: Path, content: str) -> catalog.Catalog:
    path = folder / "mine.toml"
    path.write_text(content, encoding="utf-8")
    return catalog.load(path)


def own(folder: Path, content: str) -> catalog.ModelSpec:
    return load(folder, f'[[model]]\nid = "mine"\n{content}').find("mine").spec


def test_there_are_three_built_in_models() -> None:
    assert [spec.id for spec in BUILT_IN.models] == IDS


@pytest.mark.parametrize("quant", QUANTS)
def test_every_built_in_size_is_positive(quant: catalog.Quant) -> None:
    assert quant.size is not None
    assert quant.size > 0


@pytest.mark.parametrize("quant", QUANTS)
def test_every_built_in_sha256_has_64_hex_digits(quant: catalog.Quant) -> None:
    assert quant.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", quant.sha256)


@pytest.mark.parametrize("quant", QUANTS)
def test_every_built_in_file_is_named_after_its_quant(quant: catalog.Quant) -> None:
    assert quant.file.endswith(f"-{quant.name}.gguf")


@pytest.mark.parametrize("spec", SPECS)
def test_every_built_in_shape_agrees_with_the_parameters_and_the_cache(spec: catalog.ModelSpec) -> None:
    assert spec.shape is not None
    assert f"{spec.shape.parameters / 1e9:.1f}B" == spec.parameters
    assert 2 * spec.shape.layers * spec.shape.kv_heads * spec.shape.head_width * 2 == spec.kv_bytes_per_token


@pytest.mark.parametrize("spec", SPECS)
def test_every_built_in_q8_0_file_has_the_bytes_of_its_shape_and_a_header(spec: catalog.ModelSpec) -> None:
    assert spec.shape is not None
    norms = 4 * (spec.shape.width * (2 * spec.shape.layers + 1) + spec.shape.head_width // 2)  # and the rope factors
    header = (spec.quant("Q8_0").size or 0) - spec.shape.parameters * 34 // 32 - norms
    assert 7_800_000 < header < 7_900_000


def test_a_users_shape_is_read_whole_or_refused(tmp_path: Path) -> None:
    numbers = "layers = 1, width = 8, heads = 2, kv_heads = 1, head_width = 4, feed_forward = 16, vocabulary = 9"
    shape = own(tmp_path, f"{HUB}shape = {{ {numbers}, tied = true }}").shape
    assert shape is not None
    assert (shape.layers, shape.vocabulary, shape.tied) == (1, 9, True)
    with pytest.raises(ConfigError, match="tied"):
        own(tmp_path, f"{HUB}shape = {{ {numbers} }}")


def test_no_two_built_in_files_have_the_same_sha256() -> None:
    sums = [quant.sha256 for spec in BUILT_IN.models for quant in spec.quants if quant.sha256]
    assert len(sums) == len(set(sums))


@pytest.mark.parametrize("spec", SPECS)
def test_every_built_in_revision_is_a_commit(spec: catalog.ModelSpec) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", spec.revision)


@pytest.mark.parametrize("spec", SPECS)
def test_every_built_in_default_quant_can_be_verified(spec: catalog.ModelSpec) -> None:
    assert spec.quant(spec.default_quant).sha256


@pytest.mark.parametrize("quant", QUANTS)
def test_every_built_in_mirror_is_a_commit_of_the_hub(quant: catalog.Quant) -> None:
    for mirror in quant.mirrors:
        assert re.fullmatch(r"hf:[\w.-]+/[\w.-]+@[0-9a-f]{40}/[\w.-]+\.gguf", mirror)


@pytest.mark.parametrize("spec", SPECS)
def test_every_built_in_model_has_its_licence_notice(spec: catalog.ModelSpec) -> None:
    version = spec.family.removeprefix("llama")
    assert spec.notice.startswith(f"Llama {version} is licensed under the {spec.licence}, Copyright © Meta")


@pytest.mark.parametrize("spec", SPECS)
def test_every_name_finds_its_model(spec: catalog.ModelSpec) -> None:
    assert all(BUILT_IN.find(name).spec is spec for name in (spec.id, *spec.aliases, *spec.names))


@pytest.mark.parametrize("name", ["1b", "1B", "@cf/meta/1b", "Llama-3.2-1B-Instruct", "@CF/Meta/Llama-3.2-1b-instruct"])
def test_a_name_is_found_in_any_case_and_without_the_prefix(name: str) -> None:
    assert BUILT_IN.find(name) == catalog.Choice(BUILT_IN.models[0], None)


@pytest.mark.parametrize("name", ["1b:Q8_0", "1B:q8_0", "@cf/meta/llama-3.2-1b-instruct:Q8_0"])
def test_a_name_may_say_the_quant(name: str) -> None:
    quant = BUILT_IN.find(name).quant
    assert quant is not None
    assert quant.name == "Q8_0"


def test_an_unknown_quant_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownModel, match=r"has no quant 'Q2'\. There are Q4_K_M, Q5_K_M, Q6_K, Q8_0"):
        BUILT_IN.find("3b:Q2")


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownModel, match=r"Did you mean llama-3\.2-1b-instruct.*`llamalet list`"):
        BUILT_IN.find("@cf/meta/llama-3.2-1b-instuct")


@pytest.mark.parametrize("name", ["", ":", "1b:", ":Q4_K_M", "../1b", "/etc/passwd", "1b\0", "x" * 1_000_000])
def test_a_name_that_is_none_is_unknown(name: str) -> None:
    with pytest.raises(UnknownModel):
        BUILT_IN.find(name)


def test_data_files_are_found_at_the_top_of_a_checkout() -> None:
    assert catalog.data_file("models.toml").is_file()


def test_a_data_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Install llamalet again"):
        catalog.data_file("none.toml")


def test_the_users_models_come_after_the_built_in_ones(tmp_path: Path) -> None:
    found = load(tmp_path, f'[[model]]\nid = "Mine"\naliases = ["m1"]\n{HUB}')
    assert [spec.id for spec in found.models] == [*IDS, "mine"]


def test_a_users_file_may_be_empty(tmp_path: Path) -> None:
    assert load(tmp_path, "").models == BUILT_IN.models


def test_a_users_path_is_relative_to_its_file(tmp_path: Path) -> None:
    assert own(tmp_path, 'path = "sub/m.gguf"').path == tmp_path / "sub" / "m.gguf"


def test_a_users_path_may_be_absolute(tmp_path: Path) -> None:
    there = (tmp_path / "elsewhere" / "m.gguf").as_posix()
    assert own(tmp_path, f'path = "{there}"').path == Path(there)


def test_a_users_path_may_begin_with_the_home_folder(tmp_path: Path) -> None:
    assert own(tmp_path, 'path = "~/m.gguf"').path == Path.home() / "m.gguf"


def test_a_users_hub_file_becomes_its_only_quant(tmp_path: Path) -> None:
    sha256 = "AB" * 32
    spec = own(tmp_path, f'{HUB}size = 5\nsha256 = "{sha256}"\nrevision = "v1"')
    assert (spec.revision, spec.quants) == ("v1", (catalog.Quant("Q8_0", "m-Q8_0.gguf", 5, sha256.lower()),))


@pytest.mark.parametrize(
    ("file", "quant"),
    [("a-Q4_K_M.gguf", "Q4_K_M"), ("a.iq4_xs.gguf", "IQ4_XS"), ("a-f16.gguf", "F16"), ("a-BF16.gguf", "BF16"),
     ("model.gguf", "GGUF"), ("Q8.gguf", "Q8")],
)  # fmt: skip
def test_a_single_file_has_the_quant_that_its_name_ends_on(tmp_path: Path, file: str, quant: str) -> None:
    assert own(tmp_path, f'path = "{file}"').default_quant == quant


def test_mirrors_are_kept_in_their_order(tmp_path: Path) -> None:
    mirrors = ("hf:a/b@main/c.gguf", "https://127.0.0.1:8/c.gguf?x=1")
    given = f'{HUB}size = 4\nsha256 = "{"a" * 64}"\nmirrors = {list(mirrors)}\n'
    assert own(tmp_path, given).quants[0].mirrors == mirrors


@pytest.mark.parametrize("lacking", ["size", "sha256"])
def test_mirrors_without_a_way_to_compare_are_refused(tmp_path: Path, lacking: str) -> None:
    checks = {"size": "size = 4\n", "sha256": f'sha256 = "{"a" * 64}"\n'}
    del checks[lacking]
    with pytest.raises(ConfigError, match=r"mine\.toml line .*mirrors: takes size and sha256 too"):
        own(tmp_path, HUB + "".join(checks.values()) + "mirrors = ['hf:a/b/c.gguf']\n")


def test_a_users_model_may_have_several_quants(tmp_path: Path) -> None:
    spec = own(
        tmp_path,
        'repo = "o/r"\ndefault_quant = "Q8_0"\n[model.quants]\nQ4_0 = {file = "a.gguf"}\nQ8_0 = {file = "b.gguf"}',
    )
    assert [quant.file for quant in spec.quants] == ["a.gguf", "b.gguf"]


def test_a_users_model_speaks_llama_3_2_unless_said(tmp_path: Path) -> None:
    assert own(tmp_path, HUB).family == "llama3.2"


def test_an_adapter_without_models_is_for_every_model(tmp_path: Path) -> None:
    found = load(tmp_path, '[[adapter]]\nname = "Tone"\npath = "tone.gguf"')
    expected = (catalog.Adapter("tone", tmp_path / "tone.gguf", 1.0),)
    assert all(spec.adapters == expected for spec in found.models)


def test_an_adapter_is_for_the_models_it_names(tmp_path: Path) -> None:
    found = load(tmp_path, '[[adapter]]\nname = "tone"\npath = "t.gguf"\nmodels = ["8b"]\nscale = 0.5')
    assert [len(spec.adapters) for spec in found.models] == [0, 0, 1]


def test_an_adapter_is_found_in_any_case(tmp_path: Path) -> None:
    found = load(tmp_path, '[[adapter]]\nname = "tone"\npath = "t.gguf"\nscale = 2')
    assert found.find("1b").spec.adapter("TONE").scale == 2.0


def test_an_unknown_adapter_is_refused_with_the_nearest(tmp_path: Path) -> None:
    found = load(tmp_path, '[[adapter]]\nname = "tone"\npath = "t.gguf"')
    with pytest.raises(UnknownAdapter, match=r"no LoRA adapter 'tune'\. Did you mean tone\?"):
        found.find("1b").spec.adapter("tune")


@pytest.mark.parametrize(
    "name", ["../t", "t.gguf", "/etc/passwd", "..\\t", "tone/../tone", "tone\0", "", "x" * 1_000_000]
)
def test_an_adapters_name_is_looked_up_and_never_joined_into_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.gguf").touch()
    found = load(tmp_path, '[[adapter]]\nname = "tone"\npath = "t.gguf"')
    with pytest.raises(UnknownAdapter):
        found.find("1b").spec.adapter(name)


def test_an_adapter_where_there_are_none_is_refused() -> None:
    with pytest.raises(UnknownAdapter, match="names none for this model"):
        BUILT_IN.models[0].adapter("tone")


MINE = '[[model]]\nid = "mine"\n'
LORA = '[[adapter]]\nname = "tone"\npath = "t.gguf"\n'


@pytest.mark.parametrize(
    ("content", "line", "complaint"),
    [
        ("[[model]\n", 1, "no valid TOML"),
        ("modle = 1", 1, "modle: is not a key known here. Did you mean model?"),
        ("[model]\nid = 'x'", 1, "model: is not accepted so"),
        (f"\n[[model]]\n{HUB}", 2, "model: the key id is missing"),
        (MINE, 1, "model: has no file"),
        (f"{MINE}file = 'a.gguf'", 1, "model: the key repo is missing"),
        (f"{MINE}{HUB}familiy = 'llama3.1'", 5, "model.familiy: is not a key known here. Did you mean family?"),
        (f"{MINE}{HUB}family = 'qwen2'", 5, "model.family: 'qwen2' is not accepted; it takes llama3.1 or llama3.2."),
        (f"{MINE}{HUB}size = -1", 5, "model.size: -1 is not accepted"),
        (f"{MINE}{HUB}size = '5'", 5, "model.size: '5' is not accepted"),
        (f"{MINE}{HUB}sha256 = 'abc'", 5, "model.sha256: 'abc' is not accepted; it takes 64 hexadecimal digits."),
        (f"{MINE}{HUB}context_window = true", 5, "model.context_window: True is not accepted"),
        (f"{MINE}{HUB}path = 'm.gguf'", 3, "model.repo: is not a key known here."),
        (f"{MINE}repo = 'o/r'\nfile = '../a.gguf'", 4, "model.file: '../a.gguf' is not accepted"),
        (f"{MINE}repo = 'o/r'\nfile = '/a.gguf'", 4, "model.file: '/a.gguf' is not accepted"),
        (f"{MINE}repo = 'o/r'\nfile = '-a.gguf'", 4, "model.file: '-a.gguf' is not accepted"),
        (f"{MINE}repo = '../r'\nfile = 'a.gguf'", 3, "model.repo: '../r' is not accepted"),
        (f"{MINE}repo = 'o/r; rm'\nfile = 'a.gguf'", 3, "model.repo: 'o/r; rm' is not accepted"),
        (f"{MINE}{HUB}revision = '../x'", 5, "model.revision: '../x' is not accepted"),
        (f"{MINE}path = ''", 3, "model.path: '' is not accepted"),
        (f"{MINE}{HUB}[[model]]\nid = 'a..b'\n{HUB}", 6, "model.id: 'a..b' is not accepted; it takes an id of"),
        (f"[[model]]\nid = 'a b'\n{HUB}", 2, "model.id: 'a b' is not accepted"),
        (f"[[model]]\nid = '.a'\n{HUB}", 2, "model.id: '.a' is not accepted"),
        (f"[[model]]\nid = '{'a' * 129}'\n{HUB}", 2, "model.id: 'aaa"),
        (f"{MINE}aliases = 'm'\n{HUB}", 3, "model.aliases: 'm' is not accepted"),
        (f"{MINE}aliases = ['1B']\n{HUB}", 3, "1b is a name of @cf/meta/llama-3.2-1b-instruct already"),
        (f"{MINE}aliases = ['mine']\n{HUB}", 3, "mine is a name of mine already"),
        (f"[[model]]\nid = 'llama-3.1-8b-instruct'\n{HUB}", 2, "is a name of @cf/meta/llama-3.1-8b-instruct already"),
        (f"{MINE}{HUB}\n[[model]]\nid = 'MINE'\n{HUB}", 7, "model.id: mine is a name of mine already"),
        (f"{MINE}repo = 'o/r'\n[model.quants]\nQ4_0 = {{file = 'a.gguf'}}", 1, "the key default_quant is missing"),
        (f"{MINE}repo = 'o/r'\ndefault_quant = 'Q4'\n[model.quants]\nQ8 = {{file = 'a.gguf'}}", 4, "'Q4' is not among"),
        (f"{MINE}repo = 'o/r'\ndefault_quant = 'Q4'\n[model.quants]\nQ4 = {{sise = 1}}", 6, "model.quants.Q4.sise: "),
        (f"{MINE}repo = 'o/r'\ndefault_quant = 'Q4'\nquants = 4", 5, "model.quants: 4 is not accepted"),
        ("[[adapter]]\nname = 'tone'", 1, "adapter: the key path is missing"),
        (f"{LORA}scale = nan", 4, "adapter.scale: nan is not accepted; it takes a number from -100 to 100."),
        (f"{LORA}scale = '1'", 4, "adapter.scale: '1' is not accepted"),
        (f"{LORA}models = ['9b']", 4, "adapter.models: There is no model '9b'."),
        (f"{LORA}{LORA}", 5, "adapter.name: tone is the name of another adapter already"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_key(tmp_path: Path, content: str, line: int, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, content)
    assert f"{tmp_path / 'mine.toml'} line {line}: " in str(raised.value)
    assert complaint in str(raised.value)


@pytest.mark.parametrize("name", ["{folder}/Some-Q8_0.gguf", "Some-Q8_0.gguf", "some-q8_0.GGUF", "Some-Q8_0.gguf:Q8_0"])
def test_a_file_answers_to_its_path_and_to_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "Some-Q8_0.gguf"
    found = BUILT_IN.with_files([path]).find(name.format(folder=tmp_path)).spec
    assert (found.id, found.path) == (str(path), path)


def test_a_file_does_not_answer_to_less_than_its_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        BUILT_IN.with_files([tmp_path / "some.gguf"]).find("some")


def test_a_users_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        catalog.load(tmp_path / "none.toml")


def test_loading_the_catalogue_imports_neither_llama_cpp_nor_the_hub() -> None:
    code = (
        "import sys, runtime.catalog, runtime.settings, runtime.machine, runtime.store; runtime.catalog.load();"
        "sys.exit(any(name in sys.modules for name in ('llama_cpp', 'huggingface_hub', 'psutil', 'platformdirs')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

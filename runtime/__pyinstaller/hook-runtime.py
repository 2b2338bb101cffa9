"""For PyInstaller: what this package loads without an import that can be seen."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

from runtime.catalog import data_file

datas = collect_data_files("runtime")  # the published schemas; models.toml and grammars of an installed package
datas += [(str(data_file("models.toml")), "runtime/data"), (str(data_file("grammars")), "runtime/data/grammars")]
# The names that `import runtime` loads when they are used, the engine's process, and the system's part of `machine`.
hiddenimports = ["runtime.aio", "runtime.session", "runtime.engine.child", *collect_submodules("runtime.machine")]

"""The house keeps its shape: who may import whom, and what may not occur anywhere."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kyros_spark"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# Packages from the door inwards: a package imports packages of its own floor or a floor below.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("__init__",),  # the public API, which loads on demand
    ("operations", "demo"),
    ("stages",),
    ("evaluation", "publishing"),
    ("registry",),
    ("scoring", "fitting", "runs"),
    ("delta", "transforms", "doctor"),
    ("spark", "tables", "storage"),
    ("model", "config"),
    ("kernels", "errors", "log", "digest", "environment", "profiler", "spark_version"),
)
FLOOR_OF = {package: number for number, floor in enumerate(FLOORS) for package in floor}
WITHOUT_JVM = [
    name
    for name in MODULES
    if name.split(".")[1:2] and name.split(".")[1] in ("kernels", "model", "scoring")
    and name not in ("kyros_spark.scoring.udf", "kyros_spark.scoring.host_report")
]  # fmt: skip


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path):
    """Return the modules of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in whole}
    return found


def ours(path):
    return {name for name in imports_of(path) if name.split(".")[0] == "kyros_spark"}


def test_every_package_has_a_floor():
    assert {room(name) for name in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "kyros_spark"])
def test_imports_go_one_way(name):
    for used in ours(MODULES[name]):
        assert FLOOR_OF[room(used)] >= FLOOR_OF[room(name)], f"{name} imports {used}"


def test_no_two_modules_import_each_other():
    edges = {name: ours(path) & set(MODULES) - {"kyros_spark"} for name, path in MODULES.items()}

    def walk(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in sound:
            for used in edges[name]:
                walk(used, [*path, name])
            sound.add(name)

    sound = set()
    for name in edges:
        if name != "kyros_spark":
            walk(name, [])


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) == "kernels"])
def test_kernels_import_numba_and_numpy_only(name):
    kernels = {used for used in ours(MODULES[name]) if room(used) not in ("kernels", "errors")}
    assert not kernels
    foreign = {used.split(".")[0] for used in imports_of(MODULES[name])} - set(
        sys.stdlib_module_names
    )
    assert foreign <= {"numba", "numpy", "llvmlite", "kyros_spark"}


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) == "transforms"])
def test_transforms_neither_read_nor_write(name):
    assert not {room(used) for used in ours(MODULES[name])} & {"delta", "spark", "runs", "stages"}
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(MODULES[name].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"cache", "persist", "collect", "toPandas", "save", "saveAsTable"}


def test_worker_side_modules_import_without_pyspark():
    block = "import sys; sys.modules['pyspark'] = None; sys.modules['py4j'] = None\n"
    code = block + "\n".join(f"import {name}" for name in WITHOUT_JVM)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert WITHOUT_JVM and done.returncode == 0, done.stderr


def test_only_delta_and_extract_read_tables_and_only_delta_writes():
    for name, path in MODULES.items():
        text = path.read_text()
        if name != "kyros_spark.delta.tables":
            for word in ('format("delta").mode', ".saveAsTable(", "MERGE INTO", "replaceWhere"):
                assert word not in text, f"{name} writes a table itself ({word})"


def test_nothing_imports_jobs_and_jobs_only_the_command_line():
    for path in [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]:
        assert not {name for name in imports_of(path) if name.split(".")[0] == "jobs"}
    for job in (ROOT / "jobs").glob("*.py"):
        lines = job.read_text().splitlines()
        assert len(lines) <= 50
        assert ours(job) == {"kyros_spark.cli.main"}
        assert job.stem not in sys.stdlib_module_names
        assert f"jobs/{job.name} --config" in ast.get_docstring(ast.parse(job.read_text()))


@pytest.mark.parametrize("name", list(MODULES))
def test_no_print_pickle_or_eval(name):
    tree = ast.parse(MODULES[name].read_text())
    called = {
        n.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
    assert not called & {"print", "eval", "exec", "compile", "__import__"}
    roots = {used.split(".")[0] for used in imports_of(MODULES[name])}
    assert not roots & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    loaders = [
        ast.unparse(n.args[1]) if len(n.args) > 1 else "none"
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "yaml.load"
    ]
    assert set(loaders) <= {"_UniqueKeys"}, "only a subclass of yaml.SafeLoader is safe"


def test_no_room_is_a_drawer_for_anything():
    names = {part for name in MODULES for part in name.split(".")}
    assert not names & {"utils", "helpers", "common", "core", "misc", "util"}


def test_every_error_class_tells_in_a_sentence_what_went_wrong():
    from kyros_spark import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(classes) > 20
    for one in classes:
        assert one.__doc__ and one.__doc__.endswith(".")
        assert one.exit_code in (1, 2, 3, 4)

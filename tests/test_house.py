"""The house keeps its shape: who may import whom, how long things are, what may occur nowhere."""

import ast
import subprocess
import sys
from functools import cache
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
    ("monitoring",),
    ("evaluation", "publishing"),
    ("runs",),
    ("registry",),
    ("explanation",),
    ("scoring", "fitting"),
    ("delta", "transforms", "doctor", "aggregates"),
    ("spark", "tables", "storage"),
    ("model", "config"),
    (
        "kernels",
        "errors",
        "foreign_errors",
        "log",
        "digest",
        "environment",
        "profiler",
        "spark_version",
    ),
)
FLOOR_OF = {package: number for number, floor in enumerate(FLOORS) for package in floor}
WITHOUT_JVM = [
    name
    for name in MODULES
    if name.split(".")[1:2] and name.split(".")[1] in ("kernels", "model", "scoring", "explanation")
    and name not in ("kyros_spark.scoring.udf", "kyros_spark.scoring.host_report")
]  # fmt: skip

# What opens a table, or any other data file, by Spark or Arrow, outside delta/: only these may.
OPENS = {
    ("stages.clean.extract", "read"): "the extract reader",
    ("stages.clean.source_files", "read"): "lists the extract's files",
    ("stages.clean.source_files", "sql"): "asks a Delta source for its version",
    ("config.predict", "read"): "the setting of this name",
    ("config.load", "read"): "settings lie at any address that Spark reads",
    ("storage.files", "read"): "a model file's bytes, from any address",
    ("model.importers.mllib_tables", "read_table"): "the Parquet inside a saved MLlib model",
    ("demo.story", "write"): "the demo's extract, as CSV",
    ("doctor.cluster", "read"): "a table that is not there, to see whether Delta answers",
    ("doctor.store", "read"): "the text that it has just written",
    ("doctor.store", "sql"): "a table on trial in a catalog's schema, dropped again",
    ("spark.warm_up", "read"): "data of its own, to have Spark load its classes",
    ("spark.warm_up", "write"): "the same, in a folder of its own",
    ("spark.warm_up", "sql"): "the same",
    ("cli.sql.answer", "sql"): "the user's own query",
    ("cli.sql.prompt", "sql"): "asks Spark for the names of its functions",
    ("operations.sql_function", "sql"): "makes a function of SQL",
}
NOT_NAMES = {"told", "found", "one"}  # they say nothing of what they hold


@cache
def tree_of(path):
    """Return a module's syntax tree, which several tests walk."""
    return ast.parse(path.read_text())


def package_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path):
    """Return the modules of ours that a file imports, wherever in it."""
    used = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            used |= {name if name in MODULES else str(node.module) for name in whole}
    return used


def ours(path):
    return {name for name in imports_of(path) if name.split(".")[0] == "kyros_spark"}


def test_every_package_has_a_floor():
    assert {package_of(name) for name in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "kyros_spark"])
def test_imports_go_one_way(name):
    for used in ours(MODULES[name]):
        assert FLOOR_OF[package_of(used)] >= FLOOR_OF[package_of(name)], f"{name} imports {used}"


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


@pytest.mark.parametrize("name", [name for name in MODULES if package_of(name) == "kernels"])
def test_kernels_import_numba_and_numpy_only(name):
    kernels = {
        used
        for used in ours(MODULES[name])
        if package_of(used) not in ("kernels", "errors", "foreign_errors")
    }
    assert not kernels
    foreign = {used.split(".")[0] for used in imports_of(MODULES[name])} - set(
        sys.stdlib_module_names
    )
    assert foreign <= {"numba", "numpy", "llvmlite", "kyros_spark"}


@pytest.mark.parametrize("name", [name for name in MODULES if package_of(name) == "transforms"])
def test_transforms_neither_read_nor_write(name):
    assert not {package_of(used) for used in ours(MODULES[name])} & {
        "delta",
        "spark",
        "runs",
        "stages",
    }
    called = {
        node.func.attr
        for node in ast.walk(tree_of(MODULES[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"cache", "persist", "collect", "toPandas", "save", "saveAsTable"}


def test_worker_side_modules_import_without_pyspark():
    block = "import sys; sys.modules['pyspark'] = None; sys.modules['py4j'] = None\n"
    code = block + "\n".join(f"import {name}" for name in WITHOUT_JVM)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert WITHOUT_JVM and done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MODULES)
def test_no_module_needs_py4j(name):
    """A pure client of Spark Connect has none."""
    assert not {used for used in imports_of(MODULES[name]) if used.split(".")[0] == "py4j"}


@pytest.mark.parametrize("name", MODULES)
def test_classes_of_java_are_looked_up_in_one_step(name):
    """`jvm.org.apache...` has Java search its whole class path for each part of the name."""
    reached = {
        node.value.attr
        for node in ast.walk(tree_of(MODULES[name]))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
    }
    primitives = {"kyros_spark.runs.resources"}  # of py4j, which are no classes: `jvm.double`
    assert "_jvm" not in reached or name in primitives, "use spark.java_class"


def openings(path):
    """Return what in a file opens a table or a data file: `read` for `spark.read.parquet(...)`."""
    nodes = list(ast.walk(tree_of(path)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    words = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and not any(node is function for function in called)
    } & {"read", "readStream", "write", "writeStream"}
    return words | (
        {function.attr for function in called if isinstance(function, ast.Attribute)}
        & {"sql", "table", "read_table", "writeTo", "forPath", "forName", "saveAsTable"}
    )


def test_only_delta_and_the_extract_reader_open_tables():
    opened = {
        (name.removeprefix("kyros_spark."), word)
        for name, path in MODULES.items()
        if package_of(name) != "delta"
        for word in openings(path)
    }
    assert not opened - set(OPENS), f"only delta/ opens tables, found {sorted(opened - set(OPENS))}"
    assert not set(OPENS) - opened, f"no exceptions any more: {sorted(set(OPENS) - opened)}"


WRITERS = {
    "kyros_spark.delta.frame_writer": (".saveAsTable(", "MERGE INTO", "replaceWhere"),
    "kyros_spark.delta.file_commit": ("transaction.commit(",),  # rows that the driver holds
    "kyros_spark.delta.staging": ("transaction.commit(",),  # publishes micro-batches
    "kyros_spark.spark.warm_up": ('format("delta").mode', "replaceWhere"),  # a throw-away table
}


def test_few_modules_write_rows_into_tables():
    words = {word for allowed in WRITERS.values() for word in allowed}
    for name, path in MODULES.items():
        text = path.read_text()
        for word in words - set(WRITERS.get(name, ())):
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
    tree = tree_of(MODULES[name])
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


def test_no_package_is_a_drawer_for_anything():
    names = {part for name in MODULES for part in name.split(".")}
    assert not names & {"utils", "helpers", "common", "core", "misc", "util"}


def test_every_error_class_tells_in_a_sentence_what_went_wrong():
    from kyros_spark import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(classes) > 20
    for error in classes:
        assert error.__doc__ and error.__doc__.endswith(".")
        assert error.exit_code in (1, 2, 3, 4)


def test_no_file_is_longer_than_250_lines():
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name: length for name, length in lengths.items() if length > 250} == {}


def test_no_function_is_longer_than_60_lines():
    lengths = {
        f"{name}, line {node.lineno}": node.end_lineno - node.lineno + 1
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_the_package_is_seen_at_one_look():
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 31
    assert len([path for path in entries if path.is_file()]) <= 9


def test_no_class_name_occurs_twice():
    homes = {}
    for name, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(name)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def names_of(tree):
    """Yield the variables and arguments of a file; a class's fields are no variables."""
    fields = {
        id(field.target)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if id(node) not in fields:
                yield node.id, node.lineno
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.lineno


@pytest.mark.parametrize("name", list(MODULES))
def test_names_say_what_they_hold(name):
    tree = tree_of(MODULES[name])
    words = [f"{word} (line {line})" for word, line in names_of(tree) if word in NOT_NAMES]
    assert not words, f"{name}: {', '.join(words)}"


def test_tests_lie_in_the_folder_of_what_they_test():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")}
    of_their_own = {Path("cluster"), Path("deploy")}
    assert [str(f) for f in sorted(folders - of_their_own) if not (PACKAGE / f).is_dir()] == []

"""What all tests share: one Spark session, one finished tiny portfolio, and where real data lie."""

import contextlib
import fcntl
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from portfolio import FIRST, SECOND, Portfolio, snapshot

# A cluster of its own, for the built wheel: `make test-cluster`.
collect_ignore = [] if "KYROS_WHEEL" in os.environ else ["cluster"]

# What needs an environment of its own is left out until its make target asks for it by name.
OWN_TARGET = {
    "airflow": "test-airflow",
    "asl": "test-asl",
    "grafana": "test-grafana",
    "monitor": "test-monitor",
    "pages": "test-pages",
    "s3": "test-s3",
    "wheel": "test-wheel",
}


def pytest_addoption(parser):
    parser.addoption(
        "--turn",
        metavar="K/N",
        help="of each function's slow cases only every N-th, from the K-th on; 1/1 is all",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(config, items):
    mark_repeats(items)
    asked, slow = config.getoption("-m"), turn_of(config.getoption("--turn"), items)
    left_out = [
        item
        for item in items
        if any(item.get_closest_marker(name) and name not in asked for name in OWN_TARGET)
        or (item.get_closest_marker("slow") and item not in slow)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def mark_repeats(items):
    """Leave the first case of a function marked `repeats` among the quick ones."""
    seen = set()
    for item in items:
        if item.get_closest_marker("repeats"):
            name = item.nodeid.partition("[")[0]
            if name in seen:
                item.add_marker("slow")
            seen.add(name)


def turn_of(turn, items):
    """Return the slow tests whose turn it is; those of one file come in turn one after another."""
    number, of = map(int, (turn or "1/1").split("/"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    return set(slow[number % of :: of])


# Commands that tests start must not go to a session that the developer keeps.
os.environ.setdefault("KYROS_SESSION", "off")

# Kyros would otherwise bind its log to the first test's captured stderr.
logging.getLogger("kyros_spark").addHandler(logging.NullHandler())


@pytest.fixture(scope="session")
def spark():
    """The one session of the test run, made by the package itself, for tables of a few rows."""
    from kyros_spark.config import SparkSettings
    from kyros_spark.spark.java_options import LATE_COMPILER
    from kyros_spark.spark.session import get_session

    session = get_session(
        SparkSettings(
            driver_memory="3g",
            conf={
                "spark.master": "local[2]",
                "spark.sql.shuffle.partitions": "2",
                "spark.databricks.delta.snapshotPartitions": "1",
                "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
                "spark.python.worker.idleTimeoutSeconds": "600",
                "spark.driver.defaultJavaOptions": LATE_COMPILER,
            },
        )
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def finished(spark, tmp_path_factory):
    """The tiny portfolio with every stage done on both batches. Read it only; spoil a copy.

    One of the processes that share a test run makes it, the others wait for it.
    """
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    told = place / "finished.json"
    with (place / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            shutil.rmtree(place / "finished", ignore_errors=True)
            portfolio = Portfolio(place / "finished").write_sources()
            line = portfolio.must(f"run --batch {FIRST} --batch {SECOND}")
            told.write_text(json.dumps({"line": line, "settings": portfolio.settings}))
    made = json.loads(told.read_text())
    portfolio = Portfolio(place / "finished", made["settings"])
    portfolio.line = made["line"]
    return portfolio


@pytest.fixture(scope="session")
def fits(finished, spark, tmp_path_factory):
    """What the libraries fit on the tiny portfolio: rows, features, settings, fit by model."""
    twin = finished.copy_to(tmp_path_factory.mktemp("fits"))
    for table in ("models", "relativities"):
        shutil.rmtree(twin.base / table)
    with kept_fits() as fits:
        twin.must(f"train --batch {FIRST} --set spark.local_rows=0")  # so that frames are fitted
    models = finished.settings["train"]["models"]
    plain = [name for name, one in models.items() if one["method"] != "composite"]
    return dict(zip(plain, fits, strict=True))


@contextlib.contextmanager
def kept_fits():
    """Keep what the libraries fitted, model by model, beside what the train stage makes of it."""
    from kyros_spark.fitting import train_model

    fits, solvers = [], (train_model.fit_glm, train_model.fit_boosting)

    def keeping(fit):
        def kept(rows, features, settings):
            made = fit(rows, features, settings)
            fits.append((rows.as_frame(), features, settings, made))
            return fits[-1][-1]

        return kept

    train_model.fit_glm, train_model.fit_boosting = map(keeping, solvers)
    try:
        yield fits
    finally:
        train_model.fit_glm, train_model.fit_boosting = solvers


@pytest.fixture
def portfolio(finished, tmp_path):
    """A copy of the finished portfolio that a test may spoil."""
    return finished.copy_to(tmp_path)


@pytest.fixture
def raw_portfolio(spark, tmp_path):
    """The tiny portfolio before its first run: sources and settings, no tables."""
    return Portfolio(tmp_path).write_sources()


@pytest.fixture
def tables_as_before():
    """Assert at the test's end that no table but `runs` changed since it was called."""
    kept = {}

    def take(base):
        kept[Path(base)] = snapshot(Path(base))

    yield take
    assert kept, "tables_as_before was never given a folder"
    for base, before in kept.items():
        assert snapshot(base) == before, f"tables under {base} changed"


@pytest.fixture(scope="session")
def real_data():
    """Return the folder of a real data set by name, or skip."""
    root = Path(os.environ.get("KYROS_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def folder(name):
        if not (root / name).is_dir():
            pytest.skip(f"no data set {name} under {root}: set KYROS_DATA")
        return root / name

    return folder

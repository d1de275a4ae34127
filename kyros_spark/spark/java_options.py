"""Choose the options of a local session's JVM: log, collector, compiler, archive."""

from __future__ import annotations

from importlib import resources

from kyros_spark.spark.archive import Installation, archive_options

OPTIONS = "spark.driver.extraJavaOptions"
# The first of Java's two compilers, alone: what runs for seconds never repays the second. Start,
# first query and first write take 18.7 CPU seconds instead of 28.3; with an archive, 12.5
# instead of 20.8.
FAST_COMPILER = "-XX:TieredStopAtLevel=1"

# For a series of small portfolios in one session, as tests and benchmarks have: the second compiler
# took half of the processor time, for code that soon is another. With four times its thresholds the
# series takes a fifth less; the demo, whose tables are larger, takes the same.
LATE_COMPILER = (
    "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=5000 "
    "-XX:Tier4CompileThreshold=40000 -XX:Tier4BackEdgeThreshold=200000"
)


def java_options(spark: Installation, short: bool) -> str:
    """Return a local session's options; `short` as in `get_session`."""
    chosen = [FAST_COMPILER] if short else []
    return " ".join([*plain_options(), *chosen, *archive_options(spark)])


def plain_options() -> list[str]:
    """Return the options that every local session has."""
    log4j = resources.files("kyros_spark.spark") / "log4j2.properties"
    # A concurrent collector competes with rows for two cores: 3 % of a small pipeline's time.
    return [f"-Dlog4j2.configurationFile={log4j}", "-XX:+UseParallelGC"]

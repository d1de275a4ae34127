"""kyros sql reads the tables and does nothing else, whatever a query is made to look like."""

from types import SimpleNamespace

import pytest
from pyspark.errors import ParseException

from benchmarks import fuzz_inputs_sql as sql
from kyros_spark.cli.sql.guard import _QUERY_NODES, SqlGuard, _plans
from kyros_spark.cli.sql.query import as_query, check_reads
from kyros_spark.errors import UsageError


@pytest.fixture(scope="module")
def world(spark, tmp_path_factory):
    """A guard over one table, where it is, and a path that only a harmful statement would make."""
    folder = tmp_path_factory.mktemp("guard")
    location = str(folder / "policies")
    rows = spark.range(5).selectExpr("id", "CAST(id AS STRING) AS batch_id")
    rows.write.format("delta").save(location)
    spark.read.format("delta").load(location).createOrReplaceTempView("policies")
    table = spark.table("policies")
    guard = SqlGuard(spark, {"policies": table}, [("delta", location)])
    yield SimpleNamespace(guard=guard, table=table, location=location, marker=folder / "marker")
    spark.catalog.dropTempView("policies")


def test_random_statements_of_every_form_are_judged_as_they_were_made(world, spark):
    ended, wrong = sql.fuzz(spark, world.table, world.location, str(world.marker), 50, seed=4)
    assert wrong == []
    assert ended["harmless: passed"] > 5 and ended["harmful: UsageError"] > 10
    assert not world.marker.exists()
    assert world.table.count() == 5


def harmful(world):
    """Return one statement with each harmful piece."""
    query = "SELECT {value} AS v FROM {relation}"
    yield from sql.COMMANDS
    yield from sql.PROGRAMS
    yield from (query.format(value="id", relation=foreign) for foreign in sql.FOREIGN)
    yield from (query.format(value=java, relation="policies") for java in sql.JAVA)


def test_each_command_program_call_and_foreign_file_is_refused_before_it_is_analysed(world):
    for text in harmful(world):
        query = text.format(marker=world.marker, table=f"delta.`{world.location}`")
        with pytest.raises((UsageError, ParseException)):
            world.guard.check_parsed(query, ())
            pytest.fail(f"let through: {query}")


def test_what_only_describes_the_tables_passes(world):
    for query in (
        "DESCRIBE policies", "DESCRIBE TABLE EXTENDED policies", "SHOW TBLPROPERTIES policies",
        f"DESCRIBE HISTORY delta.`{world.location}`", "SHOW TABLES", "SHOW COLUMNS IN policies",
        "DESCRIBE FUNCTION sum", "EXPLAIN SELECT * FROM policies", "DESC policies id",
        f"DESCRIBE DETAIL delta.`{world.location}`", "SHOW FUNCTIONS",
    ):  # fmt: skip
        assert world.guard.check_parsed(query, ()) is False, query


def test_the_wall_behind_sees_what_spark_would_read_and_call(world, spark):
    """As if the first wall, that of the names, had let these through."""
    (world.marker.parent / "secret.txt").write_text("geheim")
    for query in (f"SELECT * FROM text.`{world.marker.parent}/secret.txt`",
                  "SELECT reflect('java.lang.System', 'nanoTime') FROM policies"):  # fmt: skip
        with pytest.raises(UsageError, match="only reads"):
            world.guard.check_analysed(query)
    world.guard.check_analysed("TABLE policies")


def test_the_last_wall_sees_a_program_or_a_command_in_what_would_run(world, spark):
    program = spark.sql(f"SELECT TRANSFORM(id) USING 'touch {world.marker}' AS (x) FROM policies")
    shown = spark.sql("SHOW TABLES")
    for rows in (program, shown):
        with pytest.raises(UsageError, match="only reads"):
            world.guard.check_physical(rows)
    assert not world.marker.exists(), "a plan that is looked at does not run"


def test_sparks_grammar_takes_no_command_in_the_place_of_a_query(world, spark):
    """What holds on Spark Connect, where no plan can be seen."""
    parser = spark._jsparkSession.sessionState().sqlParser()
    for text in sql.COMMANDS:
        command = text.format(marker="/x", table="delta.`/x`")
        try:
            plan = parser.parsePlan(as_query(command))
        except ParseException:
            continue
        # CLEAR CACHE is then table CLEAR under the name CACHE.
        kinds = {node.getClass().getSimpleName() for node in _plans(plan)}
        assert kinds <= _QUERY_NODES, command
    parser.parsePlan(as_query("WITH a AS (SELECT 1) SELECT * FROM a ORDER BY 1 -- the end"))


def test_where_no_plan_can_be_seen_the_words_decide():
    for program in (*sql.PROGRAMS, *sql.COMMANDS[:-2]):
        if program.split()[0].lower() not in ("show", "describe", "explain"):
            with pytest.raises(UsageError, match="only reads"):
                check_reads(program)
    for value in sql.JAVA:
        if "default.f" not in value:
            with pytest.raises(UsageError, match="only reads"):
                check_reads(f"SELECT {value} FROM policies")
    for relation in ("text.`/x`", "csv . `/x`", "`json`.`/x`", "IDENTIFIER('x')"):
        with pytest.raises(UsageError, match="only reads"):
            check_reads(f"SELECT * FROM {relation}")
    check_reads("SELECT transform(array(1), x -> x + 1), map('a', 1) FROM policies")

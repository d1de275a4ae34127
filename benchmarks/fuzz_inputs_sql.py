"""Statements of the forms of Spark's grammar, each harmless or not by how it was made.

A harmless one is a query over the tables; a harmful one is the same with one piece that is not:
a foreign relation, a call of Java, a program, or a command, in any of several disguises.
"""

import random

from pyspark.errors import PySparkException

from kyros_spark.cli.sql.guard import SqlGuard
from kyros_spark.cli.sql.query import as_query
from kyros_spark.errors import UsageError

RELATIONS = (
    "policies", "`policies`", "POLICIES", "(SELECT * FROM policies)", "(TABLE policies)",
    "(VALUES (1, '2023')) AS v(id, batch_id)", "policies TABLESAMPLE (3 ROWS)",
    "(SELECT id, batch_id FROM policies UNION ALL SELECT id, batch_id FROM policies)",
    "(FROM policies SELECT id, batch_id)", "(SELECT /*+ REPARTITION(2) */ * FROM policies)",
)  # fmt: skip
FOREIGN = (
    "text.`{marker}`", "csv.`{marker}`", "parquet.`{marker}`", "delta.`{marker}`",
    "json.`{marker}`",
    "TEXT.`{marker}`", "`text`.`{marker}`", "other", "spark_catalog.default.other", "global_temp.x",
    "IDENTIFIER('policies')", "IDENTIFIER('text.`{marker}`')", "binaryFile.`{marker}`",
    "(SELECT * FROM orc.`{marker}`)", "delta.`{marker}` VERSION AS OF 0",
)  # fmt: skip
VALUES = (
    "id", "count(*) OVER ()", "upper(batch_id)", "CASE WHEN id > 1 THEN 'it''s' END", "id + 1",
    "(SELECT max(id) FROM policies)", "transform(array(id), x -> x + 1)[0]", "r'\\d'",
    "cast(id AS STRING)",
    "sum(id) OVER (PARTITION BY batch_id ORDER BY id)", "'-- DROP TABLE policies'", "id IN (1, 2)",
    "EXISTS (SELECT 1 FROM policies)", "'java_method(''a'', ''b'')'",
    "extract(YEAR FROM current_date())",
)  # fmt: skip
JAVA = (
    "java_method('java.lang.System', 'nanoTime')", "reflect('java.lang.System', 'nanoTime')",
    "Reflect('java.lang.System', 'nanoTime')", "`java_method`('java.lang.System', 'nanoTime')",
    "transform(array(1), x -> reflect('java.lang.System', 'nanoTime'))[0]",
    "(SELECT java_method('java.lang.System', 'nanoTime'))",
    "coalesce(NULL, java_method('java.lang.System', 'nanoTime'))",
    "IDENTIFIER('reflect')('java.lang.System', 'nanoTime')", "default.f(id)",
    "system.builtin.java_method('java.lang.System', 'nanoTime')",
)  # fmt: skip
QUERIES = (
    "SELECT {value} AS v FROM {relation}", "SELECT * FROM {relation} ORDER BY {value} LIMIT 3",
    "SELECT batch_id, count(*) FROM {relation} GROUP BY batch_id HAVING max({value}) IS NOT NULL",
    "WITH a AS (SELECT {value} AS v FROM {relation}) SELECT * FROM a",
    "FROM {relation} SELECT {value} AS v", "SELECT * FROM {relation} WHERE {value} IS NOT NULL",
    "SELECT 1 AS v UNION ALL SELECT id FROM {relation} WHERE {value} IS NULL",
    "SELECT * FROM policies WHERE id IN (SELECT id FROM {relation} WHERE {value} IS NOT NULL)",
    "SELECT * FROM {relation} LATERAL VIEW explode(array({value})) e AS v",
    "SELECT * FROM policies JOIN (SELECT id AS i FROM {relation}) r ON i = 1 AND {value} IS NULL",
    "(SELECT {value} AS v FROM {relation})",
    "SELECT * FROM (SELECT {value} AS v FROM {relation}) PIVOT"
    " (count(*) FOR v IN (1))", "EXPLAIN SELECT {value} AS v FROM {relation}",
    "DESCRIBE QUERY SELECT {value} AS v FROM {relation}",
    "SELECT * FROM policies, LATERAL (SELECT {value} AS v FROM {relation})",
)  # fmt: skip
PROGRAMS = (
    "SELECT TRANSFORM(id) USING 'touch {marker}' AS (x STRING) FROM policies",
    "MAP id USING 'touch {marker}' AS (x) FROM policies",
    "FROM policies REDUCE id USING 'touch {marker}' AS x",
    "WITH a AS (SELECT TRANSFORM(id) USING 'touch {marker}' AS (x) FROM policies) SELECT * FROM a",
    "SELECT * FROM (SELECT TRANSFORM(id) USING r'touch {marker}' AS (x) FROM policies)",
)  # fmt: skip
COMMANDS = (
    "ADD JAR '{marker}'", "ADD FILE '{marker}'", "ALTER TABLE policies ADD COLUMNS (x INT)",
    "ALTER VIEW policies AS SELECT 1", "ANALYZE TABLE policies COMPUTE STATISTICS",
    "CACHE TABLE policies",
    "CACHE TABLE c AS SELECT 1", "CLEAR CACHE", "COMMENT ON TABLE policies IS 'x'",
    "CREATE TABLE t USING csv LOCATION '{marker}' AS SELECT 1 AS x", "CREATE VIEW v AS SELECT 1",
    "CREATE OR REPLACE TEMPORARY VIEW policies AS SELECT 1",
    "CREATE DATABASE d LOCATION '{marker}'",
    "CREATE FUNCTION f AS 'x'", "CREATE TEMPORARY FUNCTION f() RETURNS INT RETURN 1",
    "DECLARE VARIABLE x INT", "DELETE FROM policies", "DELETE FROM {table}", "DROP TABLE policies",
    "DROP VIEW policies", "DROP DATABASE default CASCADE", "DROP FUNCTION f",
    "EXECUTE IMMEDIATE 'DELETE FROM {table}'", "BEGIN DELETE FROM {table}; END",
    "INSERT INTO {table} SELECT 1, '2023'", "INSERT OVERWRITE {table} SELECT 1, '2023'",
    "INSERT OVERWRITE DIRECTORY '{marker}' USING csv SELECT 1 AS x", "LIST JARS",
    "INSERT OVERWRITE LOCAL DIRECTORY '{marker}' USING csv SELECT 1 AS x",
    "FROM policies INSERT INTO {table} SELECT id, batch_id",
    "LOAD DATA INPATH '{marker}' INTO TABLE t",
    "WITH a AS (SELECT 1 AS id, '2023' AS batch_id) INSERT INTO {table} SELECT * FROM a",
    "MERGE INTO {table} t USING policies s ON t.id = s.id WHEN MATCHED THEN DELETE",
    "MSCK REPAIR TABLE t", "OPTIMIZE {table}", "REFRESH '{marker}'", "REFRESH TABLE policies",
    "RESET",
    "REPLACE TABLE t USING delta AS SELECT 1 AS x", "RESTORE TABLE {table} TO VERSION AS OF 0",
    "SET x = 1", "SET spark.sql.ansi.enabled = false", "SET VAR x = 1", "SET TIME ZONE 'UTC'",
    "SHOW TABLES IN other", "SHOW TBLPROPERTIES other", "TRUNCATE TABLE policies",
    "UNCACHE TABLE policies",
    "UPDATE {table} SET id = 0", "USE other", "VACUUM {table} RETAIN 0 HOURS",
    "DESCRIBE HISTORY '{marker}'",
    "DESCRIBE DETAIL '{marker}'", "DESCRIBE TABLE text.`{marker}`",
    "CREATE TABLE c SHALLOW CLONE {table}",
    "GENERATE symlink_format_manifest FOR TABLE {table}", "CONVERT TO DELTA parquet.`{marker}`",
    "CALL system.x()", "DESCRIBE DATABASE default", "SHOW DATABASES",
    "DESCRIBE CATALOG spark_catalog",
    "EXPLAIN DELETE FROM {table}", "EXPLAIN INSERT INTO {table} SELECT 1, '2023'",
)  # fmt: skip
DISGUISES = (
    "{}", "{};", "  {}", "/* SELECT */ {}", "-- SELECT\n{}", "-- SELECT\r{}",
    "/* a /* b */ c */ {}",
    "{} -- SELECT 1", "{} /* x */", "\t{}", "\u2028{}", "({})", "SELECT r'\\' ; {} --'",
    "EXPLAIN {}",
    "SELECT * FROM ({})", "WITH a AS ({}) SELECT * FROM a", "SELECT 1; {}", "{}\x00", "\ufeff{}",
)  # fmt: skip
_HARMLESS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # disguises that leave a query what it is


def statement(chance, marker, table):
    """Return a statement, and whether it is harmless."""
    kind = chance.random()
    if kind < 0.35:
        query = chance.choice(QUERIES).format(
            value=chance.choice(VALUES), relation=chance.choice(RELATIONS)
        )
        return DISGUISES[chance.choice(_HARMLESS)].format(query), True
    if kind < 0.5:
        query = chance.choice(QUERIES).format(
            value=chance.choice(VALUES), relation=chance.choice(FOREIGN)
        )
    elif kind < 0.65:
        query = chance.choice(QUERIES).format(
            value=chance.choice(JAVA), relation=chance.choice(RELATIONS)
        )
    elif kind < 0.75:
        query = chance.choice(PROGRAMS)
    else:
        query = chance.choice(COMMANDS)
    text = query.replace("{marker}", marker).replace("{table}", table)
    return chance.choice(DISGUISES).replace("{}", text), False


def judged(spark, guard, text):
    """Return whether the guard lets a statement through as far as Spark would then run it."""
    query = text.strip().rstrip(";")
    try:
        if guard.check_parsed(query, ()):
            guard.check_analysed(query)
            guard.check_physical(spark.sql(as_query(query)))
    except (UsageError, PySparkException) as error:
        return type(error).__name__, str(error)[:300]
    return "passed", ""


def fuzz(spark, rows, location, marker, count, seed=20):
    """Judge so many statements; return how they ended, and those judged wrongly.

    rows: of view policies, a Delta table of id and batch_id at ``location``. marker: a path where
    nothing is; a harmful statement that ran would read it or make it.
    """
    guard = SqlGuard(spark, {"policies": rows}, [("delta", location)])
    ended, wrong = {}, []
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        text, is_harmless = statement(chance, marker, f"delta.`{location}`")
        how, reason = judged(spark, guard, text)
        key = f"{'harmless' if is_harmless else 'harmful'}: {how}"
        ended[key] = ended.get(key, 0) + 1
        # Not everything that is put together so is a query to Spark itself, which then says so.
        if how == ("UsageError" if is_harmless else "passed"):
            wrong.append({"number": number, "text": text, "how": how, "reason": reason})
    return ended, wrong

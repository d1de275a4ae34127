"""Let a query through only if Spark's own parser and analyser see that it reads the tables alone.

A text can be read in other ways than it looks (raw strings, line ends in comments), and a SELECT
can start a program, call Java or read any file. So nothing is decided on the text: every node of
the parsed plan must be on a list, as must every relation and function that it names; the analysed
plan may read the portfolio's files only; and the physical plan, which is what would run, may hold
no command. Commands are analysed without being executed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark.errors import UsageError
from kyros_spark.spark.java_class import java_class

# What a query can be parsed into, in Spark 3.5 to 4.1. A node that is not here is refused.
_QUERY_NODES = frozenset({
    "Aggregate", "DataFrameDropColumns", "Distinct", "Except", "Expand", "Filter", "Generate",
    "GlobalLimit", "Intersect", "Join", "LateralJoin", "LocalLimit", "LocalRelation", "Offset",
    "OneRowRelation", "PipeOperator", "Pivot", "Project", "RelationTimeTravel",
    "RepartitionByExpression", "Sample", "Sort", "SubqueryAlias", "Union", "Unpivot",
    "UnresolvedHaving", "UnresolvedHint", "UnresolvedInlineTable", "UnresolvedRelation",
    "UnresolvedSubqueryColumnAliases", "UnresolvedTVFAliases", "UnresolvedTableValuedFunction",
    "UnresolvedWith", "Window", "WithWindowDefinition",
})  # fmt: skip
_CATALYST = "org.apache.spark.sql.catalyst"
# Commands that only describe, by the method that gives the query within, if there is one.
_DESCRIBING = {
    "DescribeColumn": None, "DescribeDeltaDetailCommand": None, "DescribeDeltaHistory": None,
    "DescribeFunction": None, "DescribeQueryCommand": "plan", "DescribeRelation": None,
    "ExplainCommand": "logicalPlan", "ShowColumns": None, "ShowFunctions": None,
    "ShowTableProperties": None, "ShowTables": None, "ShowViews": None,
}  # fmt: skip
_DESCRIBED = frozenset({"CurrentNamespace$", "UnresolvedFunctionName"})
_NAMES_A_TABLE = ("UnresolvedRelation", "UnresolvedTable", "UnresolvedTableOrView")
# Of Spark and of platforms: they call Java, or read what lies outside the tables.
_REACHING_OUT = frozenset({
    "ai_query", "from_avro", "from_protobuf", "http_request", "java_method", "read_files",
    "read_kafka", "reflect", "remote_query", "secret", "to_protobuf", "try_reflect", "try_secret",
})  # fmt: skip
_OF_FILES = "org.apache.spark.sql.execution.datasources.HadoopFsRelation"
_IN_MEMORY = ("LocalRelation", "OneRowRelation", "InMemoryRelation")
_NOT_PHYSICAL = ("Command", "ScriptTransformation", "WriteFiles")


class SqlGuard:
    """What the queries of one portfolio may name.

    tables: the portfolio's, by the name of their view. references: each of them as SQL names it
    outside views, in parts.
    """

    def __init__(
        self,
        spark: SparkSession,
        tables: Mapping[str, DataFrame],
        references: Collection[Sequence[str]],
    ) -> None:
        """Take the session, which must have a JVM, and the tables."""
        self._spark: Any = spark
        self._tables = tables
        self._references = {tuple(reference) for reference in references}
        self._references |= {(name,) for name in tables}

    def check_parsed(self, query: str, functions: Collection[str]) -> bool:
        """Refuse a query that names more than the tables; return whether it has rows of its own.

        functions: those that will be made for this query. A command that only describes has no
        further plan to check.

        Raises:
            UsageError: names what it would do.
            pyspark.errors.PySparkException: Spark cannot read it.
        """
        plan = self._parsed(query)
        if _kind(plan) not in _DESCRIBING:
            self._check_parsed(plan, functions)
            return True
        inner = _DESCRIBING[_kind(plan)]
        if inner is not None:
            self._check_parsed(getattr(plan, inner)(), functions)
            return False
        for node in _sequence(plan.children()):
            if _kind(node) in _NAMES_A_TABLE:
                self._check_table(_strings(node.multipartIdentifier()), ())
            elif _kind(node) not in _DESCRIBED:
                raise _refusal(f"{_kind(plan)} of {_kind(node)}")
        return False

    def check_analysed(self, query: str) -> None:
        """Refuse a query that reads other files than the tables', or calls Java.

        Spark analyses it without executing anything.

        Raises:
            UsageError, pyspark.errors.PySparkException: as for ``check_parsed``.
        """
        mode = java_class(self._spark, "org.apache.spark.sql.execution.CommandExecutionMode")
        skip = mode.SKIP()
        execution = self._spark._jsparkSession.sessionState().executePlan(self._parsed(query), skip)
        self._check_analysed(execution.analyzed())

    def _parsed(self, query: str) -> Any:
        return self._spark._jsparkSession.sessionState().sqlParser().parsePlan(query)

    def check_physical(self, rows: DataFrame) -> None:
        """Refuse what would run if it holds a command, whatever let it come so far.

        Raises:
            UsageError: names the command.
        """
        classic: Any = rows
        for node in _plans(classic._jdf.queryExecution().sparkPlan()):
            if any(word in _kind(node) for word in _NOT_PHYSICAL):
                raise _refusal(_kind(node))

    def _check_parsed(self, plan: Any, functions: Collection[str]) -> None:
        nodes = list(_plans(plan))
        for node in nodes:
            if _kind(node) not in _QUERY_NODES:
                raise _refusal(_kind(node))
        nodes += [node.relation() for node in nodes if _kind(node) == "RelationTimeTravel"]
        with_names = [name for node in nodes if _kind(node) == "UnresolvedWith"
                      for name in _with_names(node)]  # fmt: skip
        for node in nodes:
            if _kind(node) == "UnresolvedRelation":
                self._check_table(_strings(node.multipartIdentifier()), with_names)
            if _kind(node) == "UnresolvedTableValuedFunction":
                self._check_function(_strings(node.name()), functions)
            for expression in _expressions(node):
                if _kind(expression) == "UnresolvedFunction":
                    self._check_function(_strings(expression.nameParts()), functions)
                elif _kind(expression) == "UnresolvedGenerator":
                    self._check_function([str(expression.name().funcName())], functions)
                elif "UnresolvedIdentifier" in _kind(expression):
                    raise _refusal("IDENTIFIER(...)")

    def _check_table(self, parts: Sequence[str], with_names: Collection[str]) -> None:
        if len(parts) == 1 and parts[0].lower() in (*with_names, *self._tables):
            return
        if tuple(parts) not in self._references:
            tables = ", ".join(self._tables) or "none yet"
            raise _refusal(f"{'.'.join(parts)}, which is none of them ({tables})")

    def _check_function(self, parts: Sequence[str], functions: Collection[str]) -> None:
        name = parts[-1].lower()
        if len(parts) == 1 and name in functions:
            return
        identifier = java_class(self._spark, f"{_CATALYST}.FunctionIdentifier")(name)
        built_in = any(
            java_class(self._spark, f"{_CATALYST}.analysis.{registry}")
            .builtin()
            .functionExists(identifier)
            for registry in ("FunctionRegistry", "TableFunctionRegistry")
        )
        if len(parts) > 1 or name in _REACHING_OUT or not built_in:
            raise _refusal(f"function {'.'.join(parts)}")

    def _check_analysed(self, plan: Any) -> None:
        tables = map(_analysed, self._tables.values())
        allowed = {folder for table in tables for folder in self._folders(table)}
        for node in _plans(plan):
            for expression in _expressions(node):
                if _kind(expression) == "CallMethodViaReflection":
                    raise _refusal("a call of Java")
        if others := sorted(self._folders(plan) - allowed):
            raise _refusal(f"files of {others[0]}")

    def _folders(self, plan: Any) -> set[str]:
        """Return the folders of the files that an analysed plan reads."""
        thread = java_class(self._spark, "java.lang.Thread").currentThread()
        of_files = thread.getContextClassLoader().loadClass(_OF_FILES)
        folders = set()
        for node in _plans(plan):
            if _kind(node) == "LogicalRelation" and of_files.isInstance(node.relation()):
                folders |= set(_strings(node.relation().location().rootPaths()))
            elif _kind(node).endswith(("Relation", "RelationV2")) and _kind(node) not in _IN_MEMORY:
                raise _refusal(f"a source of kind {_kind(node)}")
        return folders


def _analysed(rows: DataFrame) -> Any:
    classic: Any = rows
    return classic._jdf.queryExecution().analyzed()


def _plans(plan: Any) -> Iterator[Any]:
    """Yield a plan's nodes, also those of subqueries and of WITH."""
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        yield node
        for below in (node.children(), node.innerChildren(), node.subqueries()):
            waiting += _sequence(below)


def _expressions(node: Any) -> Iterator[Any]:
    """Yield the expressions of a plan's node, without those of its subqueries."""
    waiting = _sequence(node.expressions())
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting += _sequence(expression.children())


def _with_names(node: Any) -> list[str]:
    return [str(pair._1()).lower() for pair in _sequence(node.cteRelations())]


def _sequence(values: Any) -> list[Any]:
    return [values.apply(n) for n in range(values.size())]


def _strings(values: Any) -> list[str]:
    return [str(value) if isinstance(value, str) else str(value.toString())
            for value in _sequence(values)]  # fmt: skip


def _kind(node: Any) -> str:
    return str(node.getClass().getSimpleName())


def _refusal(finding: str) -> UsageError:
    return UsageError(
        "SQL: expected a query that only reads the portfolio's tables (SELECT, WITH, FROM, VALUES, "
        f"TABLE, or DESCRIBE, SHOW and EXPLAIN of them), found {finding}; tables are written by "
        "the stages alone"
    )

"""What Hadoop says of a store or a name node that does not answer is named, by every command."""

import pytest

from kyros_spark.cli import commands
from kyros_spark.cli.main import run_here
from kyros_spark.errors import PlatformError
from kyros_spark.foreign_errors import unreachable
from kyros_spark.runs.failures import translate_failures
from kyros_spark.runs.run import Run

# As Spark 4.1 with Hadoop 3.4 words them, shortened in the stack.
WORDS = {
    "no name node": (
        "An error occurred while calling o68.text.\n: java.net.ConnectException: Call From h/10.0.0.1 "
        "to localhost:1 failed on connection exception: java.net.ConnectException: Connection refused\n"
        "\tat java.base/jdk.internal.reflect.X\nCaused by: java.net.ConnectException: Connection "
        "refused\n\tat java.base/sun.nio.ch.Net.pollConnect"),
    "no such host": (
        "An error occurred while calling o1.load.\n: java.lang.IllegalArgumentException: "
        "java.net.UnknownHostException: nowhere\n\tat org.apache.hadoop.security.X"),
    "no file system": (
        "An error occurred while calling o68.text.\n: java.lang.RuntimeException: "
        "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found\n"
        "\tat org.apache.hadoop.conf.Configuration.getClass"),
    "no such kind of address": (
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "nothing"'),
    "no route": ("x\n: java.net.NoRouteToHostException: No Route to Host from h to nn:8020"),
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS.values(), ids=list(WORDS))
def test_what_does_not_answer_is_named_by_commands_and_stages(words, capsys, monkeypatch):
    error = Exception(words)
    cause = unreachable(error)
    assert cause and "\n" not in cause and not cause.startswith("at ")

    def fail(arguments):
        raise error

    monkeypatch.setattr(commands, "run_models", fail)
    assert run_here(["models", "--config", "hdfs://nowhere/x"]) == PlatformError.exit_code
    assert '"PlatformError"' in capsys.readouterr().out
    reached = pytest.raises(PlatformError, match="expected its addresses to be reached")
    with reached, translate_failures(Run("clean", "2024", "r1")):
        raise error


def test_another_failure_is_not_taken_for_one():
    for words in ("java.lang.OutOfMemoryError", "[DIVIDE_BY_ZERO] x", "", "connection refused"):
        assert unreachable(Exception(words)) == ""

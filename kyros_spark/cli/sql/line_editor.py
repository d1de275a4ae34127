"""Read queries from the terminal: with history, completion and several lines where it can."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Columns = Mapping[str, Iterable[str]]  # by table
_KEPT_LINES = 1_000
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "JOIN", "LEFT JOIN",
    "USING", "ON", "AS", "AND", "OR", "NOT", "IN", "IS NULL", "BETWEEN", "LIKE", "CASE", "WHEN",
    "THEN", "ELSE", "END", "DISTINCT", "COUNT", "SUM", "AVG", "MIN", "MAX", "ROUND", "CAST", "WITH",
    "UNION ALL", "DESC", "DESCRIBE HISTORY", "VERSION AS OF", "TIMESTAMP AS OF", "SUMMARIZE",
)  # fmt: skip


def is_complete(text: str) -> bool:
    """Tell whether a text is to be answered: a query with its `;`, a `\\` command, or to leave."""
    text = text.strip()
    return text.endswith(";") or text.startswith("\\") or text.lower() in ("", "exit", "quit")


def history_file() -> Path | None:
    """Return where lines are kept, made for this user alone, or None if that cannot be.

    What was asked may name a policy, so nobody else may read it.
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(state, "kyros-spark", "sql_history")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        path.chmod(0o600)
    except OSError:
        return None
    return path


def line_editor(columns: Columns, functions: Callable[[], Iterable[str]]) -> Callable[[], str]:
    """Return what reads the next query; it raises EOFError at the input's end.

    columns: of each table, for completion. functions: names of SQL functions, asked for once, when
    something is completed. Without prompt_toolkit, or where the input is no terminal, lines are
    read as they are.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            return _toolkit(columns, functions)
    return _plain()


def _plain() -> Callable[[], str]:
    with contextlib.suppress(ImportError):
        import readline

        if sys.stdin.isatty() and (path := history_file()) is not None:
            with contextlib.suppress(OSError):
                readline.read_history_file(path)
            readline.set_history_length(_KEPT_LINES)

    def read() -> str:
        text = input("kyros> ") + "\n"
        while not is_complete(text):
            text += input("     > ") + "\n"
        if sys.stdin.isatty() and (path := history_file()) is not None:
            with contextlib.suppress(ImportError, OSError):
                import readline

                readline.write_history_file(path)
        return text

    return read


def _toolkit(columns: Columns, functions: Callable[[], Iterable[str]]) -> Callable[[], str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings

    path = history_file()
    session: Any = PromptSession(
        history=FileHistory(str(path)) if path is not None else InMemoryHistory(),
        completer=_completer(columns, functions),
        complete_while_typing=False,
        multiline=True,
        prompt_continuation="     > ",
        enable_history_search=True,
    )
    keys = KeyBindings()
    ends = Condition(lambda: is_complete(session.default_buffer.text))

    @keys.add("enter", filter=ends)
    def _answer(event: Any) -> None:
        event.current_buffer.validate_and_handle()

    session.key_bindings = keys
    return lambda: str(session.prompt("kyros> "))


def _completer(columns: Columns, functions: Callable[[], Iterable[str]]) -> Any:
    from prompt_toolkit.completion import Completer, Completion

    class SqlCompleter(Completer):
        def get_completions(self, document: Any, complete_event: Any) -> Iterator[Any]:
            word = document.get_word_before_cursor(WORD=False)
            for candidate in candidates(word, document.text_before_cursor, columns, functions):
                yield Completion(candidate, start_position=-len(word))

    return SqlCompleter()


def candidates(
    word: str, before: str, columns: Columns, functions: Callable[[], Iterable[str]]
) -> list[str]:
    """Return what a word may become, the likeliest first.

    Columns of the tables that the text names come first, then tables, words of SQL, functions.
    After a table's name and a dot there are only its columns.

    before: the text up to the cursor, the word included.
    """
    stem = before[: len(before) - len(word)]
    if stem.endswith("."):
        table = stem[:-1].split()[-1].lower() if stem[:-1].split() else ""
        return [name for name in columns.get(table, ()) if name.startswith(word)]
    named = {text.strip("(),;").lower() for text in before.split()}
    of_named = [name for table in columns if table in named for name in columns[table]]
    pool = [*of_named, *columns, *KEYWORDS, *(functions() if word else ())]
    matching = [text for text in pool if word and text.lower().startswith(word.lower())]
    return list(dict.fromkeys(matching))

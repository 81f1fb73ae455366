"""The prompt of `lazsl sql`: statements of several lines, history, and completion of names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from lazsl.cli.app import Terminated, err, out
from lazsl.cli.console import harmless
from lazsl.cli.sql_answers import show, show_schema
from lazsl.errors import UserError
from lazsl.warehouse.catalog import Relation, read_catalog
from lazsl.warehouse.interruption import interruptible
from lazsl.warehouse.sqlfiles import Connection
from lazsl.warehouse.statements import answers

HELP = """\
A statement ends with a semicolon, or with an empty line. Tab completes names; Up brings back
earlier statements. .schema lists tables, views and macros, .schema NAME the columns of one,
.quit (or Ctrl-D) leaves."""

KEYWORDS = (
    *("select", "from", "where", "group by", "order by", "having", "limit", "join", "left join"),
    *("on", "using", "and", "or", "not", "in", "is null", "is not null", "as", "distinct", "with"),
    *("count(*)", "avg(", "sum(", "min(", "max(", "list(", "case", "when", "then", "else", "end"),
    *("desc", "union all", "describe", "summarize", "show tables", "pivot", "qualify", "like"),
)
_WORD = re.compile(r"[A-Za-z_][\w]*$")
_AFTER_FROM = re.compile(r"\b(from|join|describe|summarize|\.schema)\s+\w*$", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


class Names(Completer):
    """Completes tables, views, macros, columns, keys of runs and keywords.

    After `from` and the like there are only relations; elsewhere the columns of the relations that
    the statement names come first.
    """

    def __init__(self, relations: list[Relation], runs: list[str]) -> None:
        self._relations = relations
        self._runs = runs

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        before = document.text_before_cursor
        quoted = re.search(r"'([^']*)$", before)
        if quoted and before.count("'") % 2:
            begun = quoted[1]
            for key in self._runs:
                if key.startswith(begun):
                    yield _completion(key, begun, "run", "")
            return
        word = _WORD.search(before)
        begun = word[0] if word else ""
        seen: set[str] = set()
        for text, kind, meaning in self._offers(document.text, before):
            if text not in seen and text.lower().startswith(begun.lower()):
                seen.add(text)
                yield _completion(text, begun, kind, meaning)

    def _offers(self, text: str, before: str) -> Iterator[tuple[str, str, str]]:
        """What may stand here, with its kind and its meaning."""
        if _AFTER_FROM.search(before):
            for relation in self._relations:
                opened = "" if relation.arguments is None else "("
                yield _quoted(relation.name) + opened, relation.kind, relation.comment
            return
        words = {word.lower() for word in re.findall(r"\w+", text)}
        for relation in self._relations:
            if relation.name.lower() in words:
                for column in relation.columns:
                    yield _quoted(column.name), column.type.lower(), column.comment
        for relation in self._relations:
            yield _quoted(relation.name), relation.kind, relation.comment
        for keyword in KEYWORDS:
            yield keyword, "", ""


def _quoted(name: str) -> str:
    """A name as SQL takes it."""
    if _PLAIN.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _completion(text: str, begun: str, kind: str, meaning: str) -> Completion:
    about = f"{kind}  {meaning}" if meaning else kind
    shown = harmless(text), harmless(about.replace("\n", " "))
    return Completion(text, -len(begun), display=shown[0], display_meta=shown[1])


def is_whole(text: str) -> bool:
    """True when a statement ends here: with a semicolon, an empty line, or as a dot command."""
    lines = text.strip()
    return not lines or lines.startswith(".") or lines.endswith(";") or text.endswith("\n")


def converse(
    connection: Connection, path: Path, rows: int, session: PromptSession[str] | None = None
) -> None:
    """Answer statements until the person leaves; an error ends a statement and not the prompt.

    Args:
        connection: of the warehouse, whose settings are locked.
        path: the warehouse, to say which.
        rows: printed of every answer.
        session: where statements are read from, instead of the terminal.
    """
    session = session or _session(connection)
    out.print(f"{path}, read-only. .help says more.", markup=False, highlight=False)
    while True:
        try:
            text = session.prompt().strip()
        except Terminated:
            raise
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text in (".quit", ".exit", "\\q"):
            return
        try:
            with interruptible():
                _carry_out(connection, text, rows)
        except UserError as error:
            err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        except Terminated:
            raise
        except KeyboardInterrupt:
            err.print("stopped")


def _carry_out(connection: Connection, text: str, rows: int) -> None:
    if text.startswith("."):
        command, _, name = text.rstrip(";").partition(" ")
        if command not in (".schema", ".tables"):
            return out.print(HELP, markup=False, highlight=False)
        return show_schema(connection, name.strip() or None)
    if text:
        for answer in answers(connection, text):
            show(answer, "table", rows)


def _session(connection: Connection) -> PromptSession[str]:
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    runs = [str(row[0]) for row in connection.sql("from runs select run").fetchall()]
    return PromptSession(
        "lazsl> ",
        multiline=True,
        prompt_continuation=lambda width, line, wrapped: "   ... ",
        lexer=PygmentsLexer(SqlLexer),
        completer=Names(read_catalog(connection), runs),
        complete_while_typing=True,
        history=_history(),
        key_bindings=keys,
    )


def _history() -> History:
    """Earlier statements, in a file that only this user reads; of this prompt alone elsewhere."""
    file = Path(typer.get_app_dir("lazsl")) / "sql-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(file)

"""The `lazsl` application: its commands in order, errors in words, and how it is stopped."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperGroup

from lazsl import __version__
from lazsl.cli.console import SafeConsole
from lazsl.errors import UserError
from lazsl.warehouse.interruption import interruptible

_ORDER = (
    *("estimate", "label", "relabel", "status", "runs", "load", "check", "sql"),
    *("explain", "find", "report", "export", "audit", "evaluate"),
    *("labels", "datasets", "settings", "serve"),
)


class _InOrder(TyperGroup):
    """Lists commands as they are used, those of an archive first, whatever was imported first."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda n: _ORDER.index(n) if n in _ORDER else len(_ORDER))


app = typer.Typer(
    name="lazsl",
    cls=_InOrder,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"lazsl {__version__}")
        raise typer.Exit


@app.callback()
def _lazsl(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Label large image archives without training and without annotation, and keep the evidence."""


def reflowed(text: str | None) -> str | None:
    """A docstring with one line per paragraph, so that a terminal of any width can wrap it."""
    if text is None:
        return None
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))


out = SafeConsole()
err = SafeConsole(stderr=True)

P = ParamSpec("P")
R = TypeVar("R")


class Terminated(KeyboardInterrupt):
    """SIGTERM ends the command, and not only what a prompt is at, as Ctrl-C does."""


_terminated: list[int] = []
"""SIGTERM, once it ended this command."""
_REMINDER = 10.0
"""Seconds after which a command that goes on is ended again."""


def terminate(number: int, frame: object) -> None:
    """Handle SIGTERM, which ends a command as Ctrl-C does.

    Python drops what a handler raises while an object is deleted, and a library may: as long as the
    command goes on, it is reminded.
    """
    _terminated.append(signal.SIGTERM)
    signal.signal(signal.SIGALRM, terminate)
    signal.setitimer(signal.ITIMER_REAL, _REMINDER)
    raise Terminated


class _Notes(logging.Handler):
    """Shows what the library has to say besides, such as what was damaged and is made anew."""

    def emit(self, record: logging.LogRecord) -> None:
        err.note(record.getMessage())


_notes = _Notes(logging.WARNING)


def in_words(function: Callable[P, R]) -> Callable[P, R]:
    """The command, with a UserError as one sentence on standard error and exit code 2."""

    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> R:
        notes = logging.getLogger("lazsl")
        notes.setLevel(_notes.level)  # Prefect is told to be quiet, and tells every logger
        notes.addHandler(_notes)
        try:
            with interruptible():
                return function(*args, **kwargs)
        except UserError as error:
            raise _refused(str(error)) from None
        except ModuleNotFoundError as error:
            library = (error.name or "").partition(".")[0]
            if library in ("", "lazsl", "lazsl_flows"):
                raise
            raise _refused(
                f"this needs {library}, which is not installed here; `pip install lazsl` installs "
                "all of it"
            ) from None
        except Exception as error:
            sentence = _of_damaged_warehouse(error)
            if sentence is None:
                raise
            raise _refused(sentence) from None
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            err.print("[bold red]lazsl:[/] stopped; run the same command again to go on from here")
            raise typer.Exit(128 + (_terminated or [signal.SIGINT])[0]) from None

    command.__doc__ = reflowed(function.__doc__)
    return command


def _refused(sentence: str) -> typer.Exit:
    """The end of a command that cannot be done, once it is said why."""
    err.say(f"[bold red]lazsl:[/] {escape(sentence)}", markup=True)
    return typer.Exit(2)


def _of_damaged_warehouse(error: Exception) -> str | None:
    """The sentence on an error that comes of a damaged warehouse; None for every other error."""
    if "duckdb" not in type(error).__module__:
        return None
    from lazsl.warehouse.opening import hint
    from lazsl.warehouse.sqlfiles import first_line

    advice = hint(error)
    return f"{first_line(error)}{advice}" if advice else None

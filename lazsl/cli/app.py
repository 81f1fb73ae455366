"""The `lazsl` application and what all of its commands share: options, and errors in words."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable
from functools import wraps
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperGroup

from lazsl import __version__
from lazsl.cli.console import SafeConsole
from lazsl.errors import UserError
from lazsl.settings import Job, make_job
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


def meaning(setting: str) -> str:
    """The sentence that `lazsl.settings` has about a setting, such as `scoring.theta`."""
    *sections, name = setting.split(".")
    model: Any = Job
    for section in sections:
        model = model.model_fields[section].annotation
    return str(model.model_fields[name].description)


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


Workspace = Annotated[
    str,
    typer.Option("--workspace", "-w", help=meaning("workspace")),
]
WarehouseFile = Annotated[Path | None, typer.Option("--warehouse", help=meaning("warehouse"))]
LakeFolder = Annotated[
    Path | None,
    typer.Option(
        "--lake",
        help="Lake in place of the warehouse: a folder of Parquet files, for many millions of "
        "images. --warehouse takes it too, in every command.",
    ),
]
Archive = Annotated[
    str | None,
    typer.Option(
        "--archive",
        help="Where the warehouse says that its pictures lie, if you have not labelled them "
        "yourself: they are read from no place that you have not named.",
    ),
]
Labels = Annotated[str | None, typer.Option("--labels", "-l", help=meaning("labels"))]
Only = Annotated[
    str | None,
    typer.Option("--only", help=meaning("only")),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help=f"{meaning('exclude')} Repeatable."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")]
Truth = Annotated[
    str | None,
    typer.Option(
        "--truth",
        help=meaning("truth"),
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting (see `lazsl settings`); repeatable."
    ),
]
Theta = Annotated[float | None, typer.Option(help=meaning("scoring.theta"))]
Epsilon = Annotated[float | None, typer.Option(help=meaning("scoring.epsilon"))]
Gamma = Annotated[float | None, typer.Option(help=meaning("scoring.gamma"))]
RuleName = Annotated[str | None, typer.Option("--rule", help=meaning("scoring.rule"))]
OpenSet = Annotated[
    bool,
    typer.Option("--open-set", help=meaning("open_set")),
]
TrustFile = Annotated[
    str | None,
    typer.Option(
        "--trust",
        help="Abstain below the confidence threshold in this trust.json of `lazsl evaluate`.",
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"{meaning('preset')} Default: paper; of --sample: parts.",
    ),
]
AlignerName = Annotated[
    str | None,
    typer.Option(
        "--aligner",
        help=meaning("scoring.aligner"),
    ),
]
TopK = Annotated[int | None, typer.Option(help=meaning("scoring.top_k"))]


def warehouse_of(workspace: str, warehouse: Path | None, lake: Path | None = None) -> Path:
    """The DuckDB file or lake a command reads: the one that was named, or the workspace's own.

    Raises:
        UserError: both were named, or a URL.
    """
    from lazsl.warehouse.warehouse_presence import check_on_disk

    if lake is not None and warehouse is not None:
        raise UserError("--warehouse and --lake exclude each other; give one")
    named = lake or warehouse
    if named is not None:
        check_on_disk(named)
        return named
    return make_job(archive="-", labels="-", workspace=workspace).warehouse_path


def present_warehouse(workspace: str, warehouse: Path | None, lake: Path | None = None) -> Path:
    """The same where it has to be there. Ask it before DuckDB is imported.

    Raises:
        UserError: there is no such file or lake, or both were named.
    """
    from lazsl.warehouse.warehouse_presence import check_present

    path = warehouse_of(workspace, warehouse, lake)
    check_present(path)
    return path


def assigned(given: list[str] | None, option: str, example: str) -> dict[str, Any]:
    """Values by name, as an option NAME=VALUE gave them: what reads as JSON is, the rest is text.

    Raises:
        UserError: one is not NAME=VALUE.
    """
    values: dict[str, Any] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"{option} {pair!r} is not NAME=VALUE, such as {example}")
        try:
            values[name] = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or a number or a list beyond all measure
            values[name] = value
    return values


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted name as sections: `scoring.theta` becomes `scoring: {theta: ...}`.

    Raises:
        UserError: a section is given both whole and in part, so that one would hide the other.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, _, field = name.rpartition(".")
        if section in values or any(other.startswith(f"{name}.") for other in values):
            whole = section if section in values else name
            raise UserError(
                f"{whole} is set as a whole and by its fields; set its fields alone, such as "
                "--set scoring.plans=3"
            )
        (nested.setdefault(section, {}) if section else nested)[field] = value
    return nested

"""What is printed once a run is labelled: its counts, a few labels, and what to do next."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import out
from lazsl.cli.warehouse import show_status
from lazsl.settings import Job


def show_labelled(run: Any) -> None:
    from lazsl.run.embed_step import count_copies
    from lazsl.run.status import run_status
    from lazsl.warehouse import sqlfiles
    from lazsl.warehouse.opening import open_warehouse

    path = run.job.warehouse_path
    status = run_status(run.workspace, run.key, path)
    show_status(status)
    if copies := count_copies(run):
        out.print(f"{copies:,} images found by content: embedded before, no forward pass needed")
    with closing(open_warehouse(path)) as connection:
        rows = sqlfiles.run(connection, "few_predictions.sql", run=run.key, how_many=5).fetchall()
    if rows:
        table = Table(title="a few predictions")
        for name in ("image", "called", "margin", "truth", "because of"):
            table.add_column(name, overflow="fold")
        for key, label_, best_guess, _score, margin, truth, strongest in rows:
            judged = truth is not None and label_ is not None
            right = ("[green]✓[/] " if truth == label_ else "[red]✗[/] ") if judged else ""
            table.add_row(
                escape(key),
                escape(label_ or f"abstained (nearest: {best_guess})"),
                "" if margin is None else f"{margin:.3f}",
                right + escape(truth or ""),
                escape("; ".join(strongest)),
            )
        out.print(table)
    image = rows[0][0] if rows else "KEY"
    started = Path(sys.argv[0])
    command = str(started) if started.name == "lazsl" and started.parts[0] == ".venv" else "lazsl"
    default = str(path) == "workspace/warehouse.duckdb"
    option = "" if default else f" --warehouse {shlex.quote(str(path))}"
    out.print("\nSee why: explain one image, or build a report of all of them:\n")
    for arguments in (["explain", image], ["report"]):
        line = shlex.join([*arguments, *_where(run.job)])
        out.say(f"  {command} {line}")
    out.print(f"\nThe warehouse is [bold]{escape(str(path))}[/]. Three queries to try:\n")
    for query in (
        "select label, count(*) as images, round(avg(margin), 3) as margin "
        "from predictions group by label order by images desc limit 10",
        f"select attribute, contribution, share, box from why('{run.key}', '{_quoted(image)}')",
        f"select * from close_calls('{run.key}', 0.005) limit 10",
    ):
        line = f"{command} sql{option} {_word(query)}"
        out.say(f"  {line}")


def _word(text: str) -> str:
    """A text as one word of a command line: between double quotes where that is easier to read and
    a shell finds nothing to replace in it."""
    return f'"{text}"' if "'" in text and not set(text) & set('"$`\\!') else shlex.quote(text)


def _where(job: Job) -> list[str]:
    """Options by which other commands find a job's workspace and warehouse; none by default."""
    options = [] if job.workspace == "workspace" else ["--workspace", job.workspace]
    if job.warehouse is not None:
        options += ["--warehouse", job.warehouse]
    return options


def _quoted(text: str) -> str:
    return text.replace("'", "''")

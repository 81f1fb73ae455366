"""`lazsl labels describe`: attributes by a language model, for a person to read and correct."""

from __future__ import annotations

import shlex
from itertools import count
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lazsl.cli.app import err, in_words, out
from lazsl.cli.labels import counted, is_there, labels_app, note
from lazsl.cli.options import assigned
from lazsl.errors import UserError
from lazsl.visible_text import short, visible

if TYPE_CHECKING:
    from lazsl.labelset.describing.asking import Asking
    from lazsl.labelset.describing.describe import Described, Work
    from lazsl.labelset.describing.endpoint import Endpoint
    from lazsl.labelset.labels import LabelSet


@labels_app.command(
    epilog='Example: lazsl labels describe names.txt --output birds.yaml --about "garden birds"'
)
@in_words
def describe(
    file: Annotated[
        str,
        typer.Argument(
            help="List of class names, or any label set: path or URL.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Draft to write for review: .yaml or .json."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            envvar="LAZSL_DESCRIBE_MODEL",
            help="Model name, as the endpoint knows it.",
        ),
    ] = None,
    about: Annotated[
        str,
        typer.Option(
            help="What the classes are, in a few words, such as garden birds.",
        ),
    ] = "",
    least: Annotated[int, typer.Option(help="Minimum number of attributes per class.")] = 4,
    most: Annotated[int, typer.Option(help="Maximum number of attributes per class.")] = 8,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the prompt and the number of tokens, and ask nothing.",
        ),
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Requests in flight at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 60.0,
    retries: Annotated[
        int, typer.Option(min=0, max=20, help="Retries when the endpoint is busy or unreachable.")
    ] = 5,
    request: Annotated[
        list[str] | None,
        typer.Option(
            "--request",
            metavar="NAME=VALUE",
            help="Extra field for every request, such as temperature=0.2; repeatable.",
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Folder to cache answers in (default: lazsl/described in the user's cache).",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ignore cached answers and ask again.")
    ] = False,
) -> None:
    """Draft attributes with a language model, for classes that have none.

    Set OPENAI_BASE_URL and OPENAI_API_KEY to choose the endpoint; any that speaks OpenAI's protocol
    will do. Classes already in the output are kept, so the same command resumes where it stopped.
    Exit code 1 if a class is still without attributes.
    """
    from rich import progress as rich_progress

    from lazsl.labelset.describing import asking as asking_module
    from lazsl.labelset.describing import cached_answers as answers_module
    from lazsl.labelset.describing import describe as describe_module
    from lazsl.labelset.describing import endpoint as endpoint_module
    from lazsl.labelset.formats import import_labels

    if model is None:
        raise UserError(
            "no model is named; pass --model NAME, or set LAZSL_DESCRIBE_MODEL, as the endpoint "
            "calls it"
        )
    fields = assigned(request, "--request", "temperature=0.2")
    asking = asking_module.Asking(model, about, least, most, fields)
    endpoint = endpoint_module.find_endpoint(needed=not dry_run)
    answers = answers_module.Answers(cache or answers_module.default_folder())
    source, _, notes = import_labels(file)
    note(notes)
    before = _before(output)
    work = describe_module.plan(source, before, asking, endpoint, None if fresh else answers)
    if dry_run:
        _show_plan(work, asking, endpoint)
        return
    columns = (
        rich_progress.TextColumn("describing classes"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[trouble]}", style="yellow"),
        rich_progress.TimeRemainingColumn(),
    )
    hidden = not err.is_terminal
    bars = rich_progress.Progress(*columns, console=err, transient=True, disable=hidden)
    with bars as progress:
        bar = progress.add_task("", total=len(work.ask), trouble="")
        failed = 0

        def done(_label: str, failure: str | None) -> None:
            nonlocal failed
            failed += failure is not None
            progress.update(bar, advance=1, trouble=f"{failed} failed" if failed else "")

        described = describe_module.describe(
            work, asking, endpoint, answers, parallel, timeout, retries, done
        )
    if before is None and not described.written and described.failures:
        _show_failures(described)
        raise typer.Exit(1)
    _publish(described.labels, before, output)
    _show(described, work, output)
    if described.failures:
        raise typer.Exit(1)


def _before(output: str) -> LabelSet | None:
    """What the output holds already; a person may have corrected it."""
    from lazsl.labelset.reading import load_labelset

    if not output.lower().endswith((".yaml", ".yml", ".json")):
        raise UserError(f"--output {output!r} must end in .yaml or .json; YAML reads best")
    return load_labelset(output) if is_there(output) else None


def _publish(labels: LabelSet, before: LabelSet | None, output: str) -> None:
    """Write what is new; the text that a person may have edited stays beside it."""
    from lazsl.labelset.reading import read_text, write_labels, write_text

    if labels == before:
        return
    if before is not None:
        copies = (f"{output}.{number}.bak" for number in count(1))
        copy = next(url for url in copies if not is_there(url))
        write_text(read_text(output), copy)
        note([f"{visible(output)} as it was is kept in {visible(copy)}"])
    write_labels(labels, output)


def _show_plan(work: Work, asking: Asking, endpoint: Endpoint) -> None:
    from lazsl.labelset.describing.asking import Estimate, estimate

    guess = estimate(asking, work.labels, work.ask)
    rows = {
        "endpoint": f"{endpoint.shown}, model {asking.model}",
        "classes": f"{len(work.labels):,}, of which {len(work.ask):,} to ask about, "
        f"{len(work.kept):,} answered before",
        "requests": f"{guess.requests:,}",
        "prompt tokens": f"about {guess.prompt_tokens:,}",
        "answer tokens": f"about {guess.answer_tokens:,}",
        "reckoned as": Estimate.HOW,
    }
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in rows.items():
        table.add_row(Text(name, "dim"), Text(visible(value)))
    out.print(table)
    if work.ask:
        out.print("\nWhat is asked about the first class:\n", style="dim")
        for message in asking.messages(work.labels, work.ask[0]):
            for line in message["content"].splitlines():
                out.print(Text(visible(line)), soft_wrap=True)
            out.print()
    out.print("Nothing was asked.")


def _show(described: Described, work: Work, output: str) -> None:
    tokens = f"{described.prompt_tokens:,} prompt and {described.answer_tokens:,} answer tokens"
    counts = [counted(described.written, "class")]
    if work.kept:
        counts.append(f"{len(work.kept):,} of them from answers kept before")
    if described.prompt_tokens or described.answer_tokens:
        counts.append(tokens)
    if described.written or described.failures:
        out.print(f"described {', '.join(counts)}", highlight=False)
    else:
        out.print("there was nothing to describe", highlight=False)
    where = escape(visible(output))
    if described.labels.review == "pending":
        out.say(
            f"[bold]{where}[/] is to be reviewed: read and correct it, set review to reviewed, "
            f"then run\n  lazsl labels check {escape(shlex.quote(visible(output)))}",
            markup=True,
        )
    _show_failures(described)


def _show_failures(described: Described) -> None:
    """Classes without attributes, and why. All of it may be somebody else's text: no markup."""
    if not described.failures:
        return
    err.say(
        f"[bold red]{counted(len(described.failures), 'class')} failed[/]; run the same command "
        "again to ask only about what is missing",
        markup=True,
    )
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for failure in described.failures:
        table.add_row(Text(f"  {short(failure.label, 32)}", "bold"), Text(visible(failure.reason)))
    err.print(table)
    if described.unasked:
        err.say(
            f"{counted(len(described.unasked), 'class')} not asked about, because no question had "
            "an answer",
            markup=True,
        )

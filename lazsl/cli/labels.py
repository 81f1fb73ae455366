"""`lazsl labels`: label sets, read critically, and exchanged with the published formats."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lazsl.cli.app import app, err, in_words, out
from lazsl.cli.options import Force, meaning
from lazsl.errors import UserError
from lazsl.secret_names import without_signature
from lazsl.visible_text import visible

if TYPE_CHECKING:
    from lazsl.labelset.finding import Finding
    from lazsl.labelset.labels import LabelSet
    from lazsl.labelset.native_form import Read

labels_app = typer.Typer(
    help="Check, import, export and describe label sets.", no_args_is_help=True
)
app.add_typer(labels_app, name="labels")


@labels_app.command(
    "import",
    epilog="Example: lazsl labels import descriptors_cub.json --from dclip --output birds.yaml",
)
@in_words
def import_(
    file: Annotated[
        str, typer.Argument(help="File to read: path or URL (clip-benchmark: a folder).")
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Label set to write: path or URL of a .yaml or .json file."
        ),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--from",
            help="Format: dclip, cupl, names, clip-benchmark or native; auto detects it.",
        ),
    ] = "auto",
    force: Force = False,
) -> None:
    """Convert a published format into a label set."""
    from lazsl.labelset.formats import import_labels
    from lazsl.labelset.reading import write_labels

    keep(output, force)
    labels, form_read, notes = import_labels(file, form)
    write_labels(labels, output)
    note([*notes, *filter(None, [labels.spoken_note()])])
    out.print(f"read {escape(visible(file))} as {form_read}: {_size(labels)}", highlight=False)
    out.say(f"wrote [bold]{escape(visible(output))}[/]", markup=True)


@labels_app.command(
    epilog="Example: lazsl labels export birds.yaml --to dclip --output descriptors.json"
)
@in_words
def export(
    file: Annotated[
        str, typer.Argument(help="Label set: path or URL of a JSON, YAML, CSV or text file.")
    ],
    form: Annotated[
        str, typer.Option("--to", help="Format: dclip, cupl, names, clip-benchmark or native.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write (clip-benchmark: a folder).")
    ],
    force: Force = False,
) -> None:
    """Convert a label set into a published format, and report what is lost."""
    from lazsl.labelset.formats import export_labels
    from lazsl.labelset.reading import FOLDER_NAMES, load_labelset

    labels = load_labelset(file)
    keep(f"{output.rstrip('/')}/{FOLDER_NAMES}" if form == "clip-benchmark" else output, force)
    lost = export_labels(labels, form, output)
    if lost:
        note([f"{form} cannot hold {', '.join(lost)}; {visible(file)} still does"])
    out.say(
        f"wrote [bold]{escape(visible(output))}[/] as {form}: {counted(len(labels), 'class')}",
        markup=True,
    )


@labels_app.command(epilog="Example: lazsl labels check birds.yaml --model fieldguide")
@in_words
def check(
    file: Annotated[
        str, typer.Argument(help="Label set: path or URL of a JSON, YAML, CSV or text file.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Also report sentences too long for this model, and classes it cannot tell apart.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help=meaning("device"))] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Print a line per kind of finding, with an example.")
    ] = False,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind of finding; repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Findings printed at most; 0 prints all of them.")
    ] = 100,
    fix: Annotated[
        str | None,
        typer.Option(
            "--fix",
            metavar="FILE",
            help="Write a copy without mechanical mistakes to this .yaml or .json file.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Check a label set for mistakes. Exit code 1 if there are findings."""
    from lazsl.labelset.finding import KINDS
    from lazsl.labelset.reading import read_labels

    if strangers := [name for name in kind or () if name not in KINDS]:
        raise UserError(
            f"there is no kind of finding {strangers[0]!r}; there are {', '.join(KINDS)}"
        )
    read = read_labels(file)
    if fix is not None:
        read = _mend(read, fix, force)
    all_findings = _findings(read, model, device)
    findings = [finding for finding in all_findings if not kind or finding.kind in kind]
    if as_json:
        document = {
            "file": without_signature(file if fix is None else fix),
            "classes": len(read.labels),
            "sentences": sum(read.labels.sizes),
            "form": read.form,
            "notes": list(read.labels.notes),
            "said": dict(read.labels.spoken_names),
            "findings": [finding.to_json() for finding in findings],
        }
        typer.echo(json.dumps(document, indent=1, ensure_ascii=True))
    else:
        note([*read.labels.notes, *filter(None, [read.labels.spoken_note()])])
        if summary:
            out.print(_kinds(findings))
        elif findings:
            out.print(_table(findings[: limit or None]))
            if limit and len(findings) > limit:
                note([f"{len(findings) - limit:,} more; --limit 0 prints all, --summary counts"])
        out.say(_summary(read.labels, findings), markup=True)
        if fix is None and (easy := sum(finding.mended is not None for finding in findings)):
            note([f"{easy:,} of them can be put right by --fix FILE"])
    if findings:
        raise typer.Exit(1)


def _findings(read: Read, model: str | None, device: str) -> list[Finding]:
    from lazsl.labelset.checks import check as check_labels
    from lazsl.labelset.checks import in_order

    return check_labels(read) if model is None else in_order(_by_model(read, model, device))


def _mend(read: Read, url: str, force: bool) -> Read:
    """The label set as it was put right and written; what is left of its problems."""
    from lazsl.labelset.mending import mend
    from lazsl.labelset.reading import read_labels, write_labels

    if not url.lower().endswith((".yaml", ".yml", ".json")):
        raise UserError(f"--fix {url!r} must end in .yaml or .json; YAML reads best")
    keep(url, force)
    mended = mend(read)
    if mended.read.problems:
        problem = mended.read.problems[0]
        raise UserError(f"nothing was written: {problem.reason}; {problem.suggestion}")
    write_labels(mended.labels, url)
    err.say(
        f"put right {len(mended.changes):,} texts; wrote [bold]{escape(visible(url))}[/]",
        markup=True,
    )
    return read_labels(url)


def _kinds(findings: list[Finding]) -> Table:
    """One row per kind of finding: how many, and the first."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("findings", justify="right", no_wrap=True)
    table.add_column("kind", style="yellow", no_wrap=True)
    table.add_column("such as", overflow="fold")
    kinds = Counter(finding.kind for finding in findings)
    for name, count in kinds.most_common():
        first = next(finding for finding in findings if finding.kind == name)
        table.add_row(f"{count:,}", name, Text(visible(first.reason)))
    return table


def _by_model(read: Read, model: str, device: str) -> list[Finding]:
    """All findings: those of reading, and those of a model's tokenizer and text tower."""
    from lazsl.labelset.checks import check as check_labels
    from lazsl.labelset.checks import look_alikes
    from lazsl.model.checkpoints import find_model
    from lazsl.model.encoder import choose_device, load_encoder

    source = find_model(model, "float32")
    note([source.note] if source.note else [])
    encoder = load_encoder(source, choose_device(device), "text")
    prompts = [prompt for prompts in read.labels.prompts for prompt in prompts]
    tokens = dict(zip(prompts, encoder.count_tokens(prompts), strict=True))
    with err.status(f"embedding {len(prompts):,} sentences"):
        vectors = encoder.encode_sentences(prompts).numpy()
    findings = check_labels(read, tokens, encoder.tokenizer.context_length)
    return [*findings, *look_alikes(read, vectors)]


def _table(findings: list[Finding]) -> Table:
    """One row per finding: its line, its kind, and what is wrong above what to do.

    All text goes in as plain `Text`: nothing of a label set is read as markup or reaches the
    terminal as a control sequence.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("line", justify="right", style="cyan", no_wrap=True)
    table.add_column("kind", style="yellow", no_wrap=True)
    table.add_column("what is wrong, and what to do", overflow="fold")
    for finding in findings:
        reason = Text(visible(finding.reason)).append(f"\n→ {visible(finding.suggestion)}", "dim")
        table.add_row("" if finding.line is None else str(finding.line), finding.kind, reason)
    return table


def _summary(labels: LabelSet, findings: list[Finding]) -> str:
    kinds = Counter(finding.kind for finding in findings)
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    summary = f"{_size(labels)}, {counted(len(findings), 'finding')}"
    return f"{summary}: {parts}" if parts else summary


def _size(labels: LabelSet) -> str:
    return f"{counted(len(labels), 'class')}, {counted(sum(labels.sizes), 'sentence')}"


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the singular or the plural."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def note(notes: Sequence[str]) -> None:
    """What a person should know, on standard error."""
    for note in notes:
        err.note(note)


def is_there(url: str) -> bool:
    """True when there is such a file."""
    from lazsl.store.folder import Folder
    from lazsl.store.urls import split_url

    folder, name = split_url(url)
    return Folder(folder).exists(name)


def keep(url: str, force: bool) -> None:
    """Refuse to replace a file that somebody may have edited."""

    if not force and is_there(url):
        raise UserError(
            f"{url!r} already exists; choose another --output, or pass --force to overwrite it"
        )

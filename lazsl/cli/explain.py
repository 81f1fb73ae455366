"""`lazsl explain`: one picture, and why it was called what it was called."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, err, in_words, out
from lazsl.cli.completing import RunOption, class_names, image_keys
from lazsl.cli.options import Archive, WarehouseFile, Workspace, present_warehouse
from lazsl.errors import UserError
from lazsl.visible_text import short, visible

if TYPE_CHECKING:
    from lazsl.explain.explanation import Explanation
    from lazsl.explain.lookup import Image, RunOfImage
    from lazsl.explain.side_by_side import Spoken
    from lazsl.explain.whatif import Scored, WhatIf

_WIDE = 110  # characters of a terminal that has room for the regions' corners, too


@app.command(
    epilog="Example: lazsl explain plate-012.jpg --what-if 'drop a white head'\n\n"
    "Edits for --what-if are applied in order: 'drop crest' (an attribute of the label, by its "
    "number or any words that only it has), 'add Wren: a cocked tail', 'rewrite a red head => a "
    "ruby head', 'drop class Wren', 'add class Roller: blue wings; a stout bill'."
)
@in_words
def explain(
    image: Annotated[
        str,
        typer.Argument(
            help="Key of the image in the archive, part of it if no other has it, or image_id.",
            autocompletion=image_keys,
        ),
    ],
    run: RunOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Compare the label with this class instead of the runner-up.",
            autocompletion=class_names,
        ),
    ] = None,
    edits: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="EDIT",
            help="Score again with an edited label set (see below); repeatable.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="PNG to write (default: explanation-NAME.png in the current folder).",
        ),
    ] = None,
    archive: Archive = None,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
) -> None:
    """Explain the label of one image, beside the runner-up: a table and a picture.

    With --what-if, print what the label would be with an edited label set; no picture is drawn.
    """
    if edits and (against is not None or output is not None):
        raise UserError(
            "--what-if prints and draws no picture; leave --against and --output out, or ask twice"
        )
    if output is not None and output.suffix.lower() != ".png":
        raise UserError(f"the picture is a PNG file, not {output.name!r}; name it so, as in a.png")
    path = present_warehouse(workspace, warehouse)

    from lazsl.archive.named_archives import note
    from lazsl.explain.lookup import find_image, find_run
    from lazsl.warehouse.opening import open_warehouse

    if archive is not None:
        note(archive)
    with closing(open_warehouse(path)) as connection:
        run_of_image = find_run(connection, run, workspace)
        image_of_run = find_image(connection, run_of_image.key, image)
        if not edits:
            # Imported where the image is known: it brings PyTorch, and a wrong key should be quick.
            from lazsl.explain.explanation import explain as explain_image

            explanation = explain_image(connection, run_of_image, image_of_run, against)
    if edits:
        _show_what_if(_what_if(run_of_image, image_of_run, edits), image_of_run)
    else:
        _show(explanation)
        _draw(explanation, output)


def _draw(explanation: Explanation, output: Path | None) -> None:
    from lazsl.explain.file_names import picture_name
    from lazsl.explain.picture.draw import draw
    from lazsl.explain.pixels import read_pixels
    from lazsl.store.folder import Folder

    image = explanation.image
    pixels = read_pixels(image, explanation.run.job.max_pixels)
    if isinstance(pixels, str):
        err.note(f"drawn without the image, which cannot be read: {pixels}")
    picture = draw(explanation, None if isinstance(pixels, str) else pixels)
    output = output or picture_name(image.key)
    Folder(str(output.parent)).write_bytes(output.name, picture)
    out.say(f"\ndrawn: [bold]{escape(str(output))}[/]", markup=True)


def _show(explanation: Explanation) -> None:
    from lazsl.explain.side_by_side import pair
    from lazsl.explain.words import because, facts, headline, signed

    this, other = explanation.this, explanation.other
    pairs = pair(this, other)
    out.print(f"[bold]{escape(headline(explanation))}[/]", highlight=False)
    out.print(escape(" · ".join(facts(explanation))), highlight=False, style="dim")
    out.print(escape(because(explanation, pairs)), highlight=False)
    table = Table(show_footer=True)
    table.add_column(escape(short(this.label)), "score", overflow="fold")
    table.add_column("adds", signed(this.score), justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    with_regions = out.width >= _WIDE
    if with_regions:
        table.add_column("best region", no_wrap=True)
    if other is not None:
        table.add_column(escape(short(other.label)), "score", overflow="fold")
        table.add_column("adds", signed(other.score), justify="right", no_wrap=True)
        ahead = signed(explanation.margin or 0.0)
        table.add_column("ahead", ahead, justify="right", no_wrap=True)
    for attribute_pair in pairs:
        cells = _cells(attribute_pair.this)[: 4 if with_regions else 3]
        if other is not None:
            text, adds, *_ = _cells(attribute_pair.other)
            cells += [
                "[dim]the same[/]" if attribute_pair.shared else text,
                adds,
                signed(attribute_pair.difference),
            ]
        table.add_row(*cells)
    out.print(table)


def _cells(attribute: Spoken | None) -> list[str]:
    from lazsl.explain.words import percent, signed

    if attribute is None:
        return ["", "", "", ""]
    left, top, right, bottom = attribute.box
    return [
        escape(visible(attribute.text)),
        signed(attribute.contribution),
        percent(attribute.share),
        f"{left},{top}–{right},{bottom}",
    ]


def _what_if(run: RunOfImage, image: Image, edits: list[str]) -> WhatIf:
    import torch

    from lazsl.explain.recomputed import read_attributes, read_stored
    from lazsl.explain.whatif import stored_labelset, what_if
    from lazsl.model.checkpoints import find_recorded_model
    from lazsl.model.encoder import choose_device, load_encoder

    def embed(sentences: list[str]) -> torch.Tensor:
        source = find_recorded_model(run.job.model, run.job.precision)
        if source.key != run.encoder:
            raise UserError(
                f"model {run.job.model!r} is now {source.key}, but run {run.key} was made by "
                f"{run.encoder}; edits that need no new words still work"
            )
        return load_encoder(source, choose_device("auto"), "text").encode_sentences(sentences)

    embedded = read_attributes(run)
    stored = read_stored(run, image)
    unseen = run.job.regions.count + 1 - stored.regions.num_rows
    if unseen:
        err.note(
            f"{unseen} crops of this image were not embedded, because its own "
            "label was settled (regions.doubt); with other words they may count"
        )
    return what_if(
        stored,
        embedded,
        stored_labelset(embedded, run.labels),
        edits,
        run.job.scoring,
        embed,
        run.job.scoring_memory,
    )


def _show_what_if(answer: WhatIf, image: Image) -> None:
    from lazsl.explain.words import signed

    before, after = answer.before, answer.after
    same = before.top[0][0] == after.top[0][0]
    outcome = (
        f"still {_called(after)}" if same else f"{_called(after)} instead of {_called(before)}"
    )
    out.print(f"[bold]{escape(short(image.key, 96))}: {outcome}[/]", highlight=False)
    table = Table("best classes", "before", "after", "")
    for place in range(max(len(before.top), len(after.top))):
        row = [str(place + 1)]
        for side in (before, after):
            name, score = side.top[place] if place < len(side.top) else ("", None)
            row.append("" if score is None else f"{escape(short(name))}  {score:.4f}")
        table.add_row(*row)
    table.add_section()
    if before.margin is not None and after.margin is not None:
        change = signed(after.margin - before.margin)
        table.add_row("margin", f"{before.margin:.4f}", f"{after.margin:.4f}", change)
    if before.confidence is not None and after.confidence is not None:
        table.add_row("confidence", f"{before.confidence:.0%}", f"{after.confidence:.0%}")
    out.print(table)
    moves = Table("what every attribute contributed", "before", "after", "change")
    for label in dict.fromkeys(move.label for move in answer.moved):
        moves_of_label = [move for move in answer.moved if move.label == label]
        moves.add_section()
        sums = [
            _total([move.before for move in moves_of_label]),
            _total([move.after for move in moves_of_label]),
        ]
        sums.append(sum(move.change for move in moves_of_label))
        moves.add_row(f"[bold]{escape(short(label))}[/]", *map(_signed, sums))
        for move in moves_of_label:
            numbers = map(_signed, [move.before, move.after, move.change])
            moves.add_row(f"  {escape(visible(move.attribute))}", *numbers)
    out.print(moves)


def _total(contributions: list[float | None]) -> float | None:
    """A class's score; None where the class is not there."""
    values = [value for value in contributions if value is not None]
    return sum(values) if values else None


def _signed(value: float | None) -> str:
    from lazsl.explain.words import signed

    return "" if value is None else signed(value)


def _called(side: Scored) -> str:
    name = short(side.top[0][0])
    return name if side.label is not None else f"no label (best guess: {name})"

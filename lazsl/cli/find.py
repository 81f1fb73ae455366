"""`lazsl find`: the images and regions most like a sentence."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from lazsl.cli.app import app, err, in_words, out
from lazsl.cli.completing import RunOption
from lazsl.cli.options import WarehouseFile, Workspace, present_warehouse
from lazsl.errors import UserError
from lazsl.visible_text import visible


@app.command(epilog='Example: lazsl find "a red crest" --count 50 --output crests.csv')
@in_words
def find(
    sentence: Annotated[str, typer.Argument(help="What to look for, in a few words.")],
    run: RunOption = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of images.")] = 20,
    by: Annotated[
        str,
        typer.Option(
            help="Rank images by their most similar region (region) or as a whole (image)."
        ),
    ] = "region",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the answer to a .csv, .parquet or .json file (`lazsl label --only` takes "
            "it), or draw the images on a sheet, a .png file.",
        ),
    ] = None,
    index: Annotated[
        bool,
        typer.Option(
            "--index",
            help="Search an index, which takes seconds for a million images; it is built or "
            "updated first. A few of the last images of the exact answer may be missing.",
        ),
    ] = False,
    workspace: Workspace = "workspace",
    warehouse: WarehouseFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the images and regions most like a sentence, over a run's stored embeddings.

    No image is read, unless a sheet is drawn. Every region is compared, so the answer is exact;
    many images are faster with --index. In SQL: `lazsl sql --find crests="a red crest" "from
    crests"`.
    """
    if by not in ("region", "image"):
        raise UserError(f"--by {by!r} is not region or image")
    path = present_warehouse(workspace, warehouse)

    from lazsl.explain.lookup import find_run
    from lazsl.store.folder import Folder
    from lazsl.warehouse import query_results
    from lazsl.warehouse.opening import open_warehouse

    compared: Literal["region", "image"] = "region" if by == "region" else "image"
    suffixes = (*query_results.SUFFIXES, ".png")
    if output is not None and output.suffix.lower() not in suffixes:
        raise UserError(f"--output {output} must end in {', '.join(suffixes)}")
    with closing(open_warehouse(path)) as connection:
        about = find_run(connection, run, workspace)
        # Imported where the run is known: PyTorch comes with it, and a wrong key should be quick.
        from lazsl.explain.similar import answer_table, embed_sentence, find_similar

        vector = embed_sentence(about, sentence)
        matches = find_similar(connection, about, vector, count, compared, _say if index else None)
    if as_json:
        import sys

        query_results.write_json(answer_table(matches).to_reader(), sys.stdout)
    else:
        table = Table(title=f"similarity to {escape(repr(sentence))}", title_justify="left")
        for heading in ("", "key", "label", "region", "whole", "where"):
            table.add_column(heading, overflow="fold")
        for place, match in enumerate(matches, start=1):
            where = "whole image" if match.region == 0 else "{},{}–{},{}".format(*match.box)
            table.add_row(
                str(place),
                escape(visible(match.image.key)),
                "[dim]none[/]" if match.label is None else escape(visible(match.label)),
                f"{match.similarity:.3f}",
                f"{match.whole:.3f}",
                where,
            )
        out.print(table)
    if output is None:
        return
    if output.suffix.lower() == ".png":
        from lazsl.explain.sheet import draw_sheet

        sheet, missing = draw_sheet(matches, about.job.max_pixels)
        Folder(str(output.parent)).write_bytes(output.name, sheet)
        if missing:
            err.note(f"{missing} images cannot be read now")
    else:
        query_results.write_result(answer_table(matches).to_reader(), output)
    err.say(f"written: {output}")


def _say(done: int, of: int) -> None:
    """Progress of the index, now and then."""
    if done == of or done % 64 == 0:
        err.print(f"lazsl: index: {done:,} of {of:,} shards", highlight=False)

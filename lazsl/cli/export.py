"""`lazsl export`: embeddings for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from lazsl.cli.app import app, in_words, out
from lazsl.cli.completing import RunKey
from lazsl.cli.options import Workspace


@app.command(epilog="Example: lazsl export --output vectors")
@in_words
def export(
    run: RunKey = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="Folder to write: path or URL.")
    ] = "embeddings",
    form: Annotated[
        str,
        typer.Option(
            "--format", help="Format: parquet (float32 lists) or npy (matrices beside Parquet)."
        ),
    ] = "parquet",
    crops: Annotated[
        bool, typer.Option("--crops", help="Also write a vector for every crop.")
    ] = False,
    workspace: Workspace = "workspace",
) -> None:
    """Write a run's embeddings for Spark, pandas, polars, NumPy and vector stores."""
    from lazsl.store.folder import Folder
    from lazsl.store.paths import read_run_record

    folder = Folder(workspace)
    record = read_run_record(folder, run)
    from lazsl.embedding.exported_embeddings import export_embeddings

    images, vectors = export_embeddings(folder, record, Folder(output), form, crops)
    out.say(f"{vectors:,} vectors of {images:,} images written to {output}")

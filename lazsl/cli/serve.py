"""`lazsl serve`: the whole service on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazsl.cli.app import app, in_words


@app.command(epilog="Example: lazsl serve --port 4200")
@in_words
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server.")] = 4200,
    workers: Annotated[int, typer.Option(min=1, help="Processes that label batches.")] = 1,
    home: Annotated[
        Path, typer.Option(help="Folder of the service's database, logs and API key.")
    ] = Path(".prefect"),
) -> None:
    """Run the labelling service here: Prefect's pages, workers and deployments; Ctrl-C stops it.

    The deployments label the archive that LAZSL_ARCHIVE names in the environment (with
    LAZSL_LABELS, LAZSL_MODEL and LAZSL_WORKSPACE), or the embedded sample. The service listens on
    this machine alone and asks for the key that it writes into its home.
    """
    from lazsl_flows import serve as service

    raise typer.Exit(service.serve(port, workers, home))

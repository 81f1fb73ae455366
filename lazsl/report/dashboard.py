"""What an operator wants to see of a run at a glance: from the warehouse, and a few pictures."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image as Pixels

from lazsl.store.folder import Folder
from lazsl.warehouse import run_keys, sqlfiles
from lazsl.warehouse.opening import open_warehouse


@dataclass(frozen=True)
class Dashboard:
    """status: as `run_keys.status`. cost: what this run fetched and encoded itself. labels: the
    most frequent ones. shards: the slowest ones. against_last: what changed against the run before
    it over the same archive, as `dashboard/against_last.sql`; None for the first."""

    status: dict[str, Any]
    cost: dict[str, Any]
    labels: list[dict[str, Any]]
    shards: list[dict[str, Any]]
    against_last: dict[str, Any] | None


def read_dashboard(path: Path, run: str, labels: int = 20, shards: int = 500) -> Dashboard:
    """The dashboard of one run.

    Raises:
        UserError: there is no such warehouse, or no such run in it.
    """
    status = run_keys.status(path, run)
    with closing(open_warehouse(path)) as connection:

        def rows(name: str, **how_many: int) -> list[dict[str, Any]]:
            return sqlfiles.rows(connection, f"dashboard/{name}.sql", run=run, **how_many)

        return Dashboard(
            status,
            rows("cost")[0],
            rows("labels", how_many=labels),
            rows("shards", how_many=shards),
            next(iter(rows("against_last")), None),
        )


def news(dashboard: Dashboard) -> str:
    """What was labelled, and what changed against the last run, in two sentences for a notice."""
    status = dashboard.status
    sentence = f"{status['labelled']:,} of {status['listed']:,} images labelled, "
    sentence += f"{status['rejected']:,} rejected."
    before = dashboard.against_last
    if before is None:
        return f"{sentence} It is the first run over this archive."
    images = before["images"]
    changed = f"{before['changed']:,} of {images:,} images" if images else "no image in common"
    drift = [
        f"{name} {before[f'{column}_before']:{form}} -> {before[column]:{form}}"
        for name, column, form in (
            ("rejected", "rejected", ".1%"),
            ("mean confidence", "confidence", ".3f"),
            ("mean margin", "margin", ".4f"),
        )
        if before[f"{column}_before"] is not None and before[column] is not None
    ]
    return (
        f"{sentence} Against {before['last_run']}: another label for {changed}; {', '.join(drift)}."
    )


@dataclass(frozen=True)
class Picture:
    """name: why this image was chosen: surest, usual or closest. title: key and label of the
    image. webp: the drawn explanation."""

    name: str
    title: str
    webp: bytes


def draw_evidence(path: Path, run: str, workspace: str) -> list[Picture]:
    """Why a few images of a run were called what they were called; empty when none was.

    Every picture fetches its image from the archive once more; where that cannot be had, the maps
    are drawn without it.

    Args:
        path: the warehouse.
        run: run key.
        workspace: where the run's embeddings are.

    Raises:
        UserError: a plan has to be made anew, and the embeddings are not in the workspace.
    """
    # Matplotlib and PyTorch: seconds of every start-up, and most loads draw nothing.
    from lazsl.explain.explanation import explain
    from lazsl.explain.lookup import find_image, find_run
    from lazsl.explain.picture.draw import draw
    from lazsl.explain.pixels import read_pixels
    from lazsl.explain.words import headline

    pictures = []
    with closing(open_warehouse(path)) as connection:
        about = find_run(connection, run, workspace)
        chosen = sqlfiles.run(connection, "dashboard/evidence.sql", run=run).fetchall()
        for name, image_id in chosen:
            explained = explain(connection, about, find_image(connection, run, image_id))
            pixels = read_pixels(explained.image, about.job.max_pixels)
            drawn = draw(explained, None if isinstance(pixels, str) else pixels)
            title = f"{explained.image.key}: {headline(explained)}"
            pictures.append(Picture(name, title, _webp(drawn)))
    return pictures


def report_of(workspace: str, run: str) -> str | None:
    """Where the report of a run is, seen from the workspace; None when none was made there."""
    page = f"reports/{run}/index.html"
    return page if Folder(workspace).exists(page) else None


def _webp(png: bytes) -> bytes:
    """A tenth of the size."""
    smaller = io.BytesIO()
    Pixels.open(io.BytesIO(png)).convert("RGB").save(smaller, "WEBP", quality=80)
    return smaller.getvalue()

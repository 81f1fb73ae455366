"""A random sample of a run's images, drawn for a person to judge.

The sample is stratified: every image belongs to one stratum (its best class, the band of its
margin, or both), and of every stratum a simple random sample is drawn. Allocation is proportional:
every image is drawn with about the same probability, however many classes there are. Classes and
bands too small for two images of their own share strata with others as small. The probability of
every image to be drawn, drawn / population of its stratum, is stored with the sample.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from lazsl.errors import UserError
from lazsl.store import keys, paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.run_keys import find_run
from lazsl.warehouse.sqlfiles import Connection

STRATA = ("label", "margin")
"""What strata can be made by: the run's best class, and four bands of its margin."""
LEAST = 2
"""Images drawn from a stratum at least: with one, nothing is known of how much it varies."""


def draw_sample(
    workspace: Folder,
    path: Path,
    run: str,
    images: int,
    by: Sequence[str] = STRATA[:1],
    seed: int = 0,
) -> pa.Table:
    """The drawn images, `schemas.SAMPLES`, published in the workspace under the sample's name.

    The same run, size, strata and seed draw the same images. A larger sample of the same strata
    contains the smaller one.

    Args:
        workspace: where the sample is kept.
        path: the warehouse that has the run.
        run: its key.
        images: how many to draw; all of them where there are fewer.
        by: of `STRATA`; with none of them the sample is a simple random one.
        seed: another seed draws other images.

    Raises:
        UserError: nothing to draw from, fewer than two images asked for, or unknown strata.
    """
    if strange := [name for name in by if name not in STRATA]:
        raise UserError(f"strata cannot be made by {strange[0]!r}; make them by label or margin")
    if images < LEAST:
        raise UserError(f"a sample of {images} images is too small; draw {LEAST} at least")
    parameters = {"run": run, "by_label": "label" in by, "by_margin": "margin" in by}
    with closing(open_warehouse(path)) as connection:
        archive = archive_of(connection, run)
        cells = sqlfiles.table(connection, "audit/cells.sql", **parameters)
        if not cells.num_rows:
            raise UserError(f"run {run} has no labelled image that is still listed; load it first")
        plan = _allocated(cells, images)
        with sqlfiles.registered(connection, {"new_cells": plan}):
            drawn = sqlfiles.table(connection, "audit/draw.sql", **parameters, seed=seed)
    strata = " ".join(name for name in STRATA if name in by)
    name = keys.digest("sample", run, strata, seed, drawn["image_id"].to_pylist())
    same = {"sample": name, "archive": archive, "run": run, "strata": strata, "seed": seed}
    rows = [{**row, **same} for row in drawn.to_pylist()]
    sample = pa.Table.from_pylist(rows, schema=schemas.SAMPLES)
    file = paths.audit_table("samples", archive, name)
    if not workspace.exists(file):
        workspace.write_table(file, sample)
    return sample


def shown(path: Path, sample: pa.Table) -> pa.Table:
    """What a person is told of a sample's images, a row each in the order of their keys.

    Columns sample, run, image_id, key, uri, label, score, margin, runner_up, strongest (the three
    attributes that speak most for the label) and weight (images that the drawn one stands for).
    """
    run = sample["run"][0].as_py()
    with (
        closing(open_warehouse(path)) as connection,
        sqlfiles.registered(connection, {"new_samples": sample}),
    ):
        return sqlfiles.table(connection, "audit/shown.sql", run=run)


def archive_of(connection: Connection, run: str) -> str:
    """Archive key of a run.

    Raises:
        UserError: the run is not in the warehouse.
    """
    rows = sqlfiles.run(connection, "runs.sql").fetchall()
    return str({row[0]: row[1] for row in rows}[find_run(connection, run)])


def allocate(sizes: Sequence[int], images: int) -> list[int]:
    """Images to draw from each stratum, as many as asked for or all there are.

    `LEAST` from each (or all of a smaller one), the others one by one to the stratum with the
    largest quotient size / (2 x drawn + 1): Webster's method, which is proportional and never takes
    an image away when more are drawn. The strata of `pooled` all have
    `LEAST` by their size alone.

    Args:
        sizes: images in each stratum; `LEAST` x strata must not exceed `images`.
        images: how many to draw altogether.
    """
    drawn = [min(size, LEAST) for size in sizes]
    heap = [
        (-size / (2 * n + 1), at) for at, (size, n) in enumerate(zip(sizes, drawn, strict=True))
    ]
    heapq.heapify(heap)
    for _ in range(min(images, sum(sizes)) - sum(drawn)):
        while True:
            _, at = heapq.heappop(heap)
            if drawn[at] < sizes[at]:
                break
        drawn[at] += 1
        heapq.heappush(heap, (-sizes[at] / (2 * drawn[at] + 1), at))
    return drawn


def pooled(sizes: Sequence[int], images: int) -> list[int]:
    """Stratum of every cell, 0, 1, ...: its own where `LEAST` images or more fall to it.

    Smaller cells are put together, neighbours with neighbours, until `LEAST` images fall to them
    too. So no stratum is drawn from more, or less, than its size says.

    Args:
        sizes: images in each cell; cells that are alike stand side by side.
        images: how many will be drawn of all cells.
    """
    enough = LEAST * sum(sizes)
    strata = [[at] for at, size in enumerate(sizes) if size * images >= enough]
    shared: list[int] = []
    for at, size in enumerate(sizes):
        if size * images >= enough:
            continue
        shared.append(at)
        if sum(sizes[i] for i in shared) * images >= enough:
            strata.append(shared)
            shared = []
    if shared and strata:
        strata[-1].extend(shared)
    elif shared:
        strata.append(shared)
    stratum = [0] * len(sizes)
    for number, cells in enumerate(strata):
        for at in cells:
            stratum[at] = number
    return stratum


def _allocated(cells: pa.Table, images: int) -> pa.Table:
    """The cells with their stratum, its population and what is drawn of it."""
    sizes = [row["images"] for row in cells.to_pylist()]
    images = min(images, sum(sizes))
    stratum = pooled(sizes, images)
    population = [0] * (max(stratum) + 1)
    for number, size in zip(stratum, sizes, strict=True):
        population[number] += size
    drawn = allocate(population, images)
    return (
        cells.drop_columns("images")
        .append_column("stratum", pa.array(stratum, pa.int32()))
        .append_column("population", pa.array([population[s] for s in stratum], pa.int64()))
        .append_column("drawn", pa.array([drawn[s] for s in stratum], pa.int64()))
    )

"""Which image is meant, what its run called it, and the evidence of two classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from lazsl.errors import UserError
from lazsl.settings import Job, make_job
from lazsl.store.folder import Folder
from lazsl.warehouse import run_keys, sqlfiles
from lazsl.warehouse.sqlfiles import Connection


@dataclass(frozen=True)
class RunOfImage:
    """A run as the warehouse knows it: its keys and its job."""

    key: str
    encoder: str
    regions: str
    labels: str
    job: Job

    @cached_property
    def workspace(self) -> Folder:
        """Where the run's artifacts live."""
        return Folder(self.job.workspace)


@dataclass(frozen=True)
class Image:
    """A labelled image of a run: as listed, and its pixels after EXIF orientation."""

    shard: str
    image_id: str
    key: str
    uri: str
    size: int | None
    version: str
    width: int
    height: int


@dataclass(frozen=True)
class Verdict:
    """What a run said of an image.

    Attributes:
        label: the best class, also where the run abstained.
        score, margin: of the label; the margin is None when there is one class.
        truth: what is really shown, where that is known.
        confidence: chance of being right, where the run was given a temperature.
        abstained: the run gave no label.
    """

    label: str
    score: float
    runner_up: str | None
    margin: float | None
    truth: str | None
    confidence: float | None
    abstained: bool

    @property
    def right(self) -> bool | None:
        """Whether the best class is the true one; None where truth is unknown."""
        return None if self.truth is None else self.label == self.truth


def find_run(connection: Connection, run: str | None, workspace: str) -> RunOfImage:
    """A run by its key or the beginning of it; None means the latest.

    Raises:
        UserError: the warehouse has no such run, or several that begin so.
    """
    key = run_keys.find_run(connection, run)
    rows = sqlfiles.run(connection, "explain/run.sql", run=key).fetchall()
    encoder, regions, labels, job = rows[0]
    return RunOfImage(
        key,
        encoder,
        regions,
        labels,
        make_job(**{**json.loads(job), "workspace": workspace}),
    )


def find_image(connection: Connection, run: str, image: str) -> Image:
    """The image that is meant by its key, its image_id, or a part of its key that no other has.

    Raises:
        UserError: there is none, there are several, or the run rejected it.
    """
    rows = sqlfiles.rows(connection, "explain/which.sql", run=run, image=image) if image else []
    listed = ", ".join(repr(row["key"]) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
    if not rows:
        raise UserError(
            f"run {run} has no image {image!r}; give its key below the archive's root, a part of "
            "it, or its image_id"
        )
    if len(rows) > 1:
        raise UserError(f"{image!r} may be any of {listed}; give more of the key")
    row = rows[0]
    if row["reason"] is not None:
        raise UserError(
            f"{row['key']!r} was rejected by run {run} ({row['reason']}: {row['detail']}), so "
            "there is nothing to explain; lazsl status counts the rejects"
        )
    return Image(**{name: row[name] for name in Image.__annotations__})


def read_verdict(connection: Connection, run: str, image: Image) -> Verdict:
    """What the run called the image."""
    values = {"run": run, "shard": image.shard, "image": image.image_id}
    return Verdict(**sqlfiles.rows(connection, "explain/verdict.sql", **values)[0])

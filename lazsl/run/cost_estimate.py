"""What a job will cost, from a few of its own pictures: a small real run in a temporary folder.

The archive is listed, some pictures spread evenly over its keys are fetched, embedded and scored
by the very steps that label, and what they took is multiplied. Nothing is written elsewhere.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from lazsl.archive.listing import list_archive
from lazsl.archive.selection import select
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staging import stage
from lazsl.images.budget import largest_file
from lazsl.images.reasons import Reject
from lazsl.run import embed_step, label_set_step, score_step, stage_step
from lazsl.run.run import open_run
from lazsl.settings import Job
from lazsl.store.scratch import scratch_folder

WAREHOUSE_BYTES = 6700
"""Of one image and run in the warehouse, as measured over a million images (docs/research)."""


@dataclass(frozen=True)
class Listed:
    """What an archive holds.

    images: files that count as images. bytes: their size in all. kinds: how many have each suffix,
    the most frequent first.
    """

    images: int
    bytes: int
    kinds: dict[str, int]


@dataclass(frozen=True)
class Cost:
    """What one image costs in the mean, measured on this machine.

    tried, rejected: pictures. passes: through the model. fetch, embed, score: seconds; the three
    overlap in a run, so the longest decides. embeddings: bytes stored.
    """

    tried: int
    rejected: int
    passes: float
    fetch: float
    embed: float
    score: float
    embeddings: float

    @property
    def seconds(self) -> float:
        """Of one image in a long run: embedding and scoring share the processor, fetching waits."""
        return max(self.fetch, self.embed + self.score)


def look(job: Job) -> tuple[Listed, pa.Table]:
    """What the job's archive holds, and its listing.

    Raises:
        UserError: as `list_archive`.
    """
    listing = list_archive(job.archive, job.suffixes, select(job.only), job.links, job.exclude)
    suffixes = (PurePosixPath(str(key)).suffix.lower() for key in listing["key"].to_pylist())
    size = sum(int(size or 0) for size in listing["size"].to_pylist())
    return Listed(len(listing), size, dict(Counter(suffixes).most_common())), listing


def fetch_some(job: Job, listing: pa.Table, pictures: int, folder: Path) -> float:
    """Seconds that fetching a picture took; they are put into the folder, without those that the
    store does not give, or that are links out of the archive.

    Args:
        listing: as `look` returns it; the pictures are spread evenly over it.
    """
    rows = np.unique(np.linspace(0, len(listing) - 1, min(pictures, len(listing))).astype(int))
    folder.mkdir(parents=True)
    chosen = listing.take(pa.array(rows))
    chosen = chosen.append_column("image_id", pa.array([f"{row:032x}" for row in rows]))
    started = time.perf_counter()
    largest = largest_file(job.max_pixels)
    place = folder.with_name("staged")
    staged = stage(chosen, job.archive, place, 1, links=job.links, largest=largest)
    for number, key in enumerate(chosen["key"].to_pylist()):
        data = staged.read(number)
        if not isinstance(data, Reject):
            (folder / f"{number:05}{PurePosixPath(str(key)).suffix}").write_bytes(data)
    # A run fetches this many at a time.
    return (time.perf_counter() - started) / len(rows) / min(job.fetchers, len(rows))


def measure(job: Job, pictures: Path, scratch: Path, fetch: float) -> Cost:
    """What the pictures in a folder cost with the settings of a job.

    Args:
        job: as for a run; its archive, workspace and truth are not touched.
        pictures: a folder of images.
        scratch: a folder that does not exist yet.
        fetch: seconds that fetching one took.

    Raises:
        UserError: the label set or the model is not usable.
    """
    scratch.mkdir()
    nothing = {"truth": None, "only": None, "warehouse": None, "reject_ceiling": 1.0}
    small = {"archive": str(pictures), "workspace": str(scratch / "workspace"), **nothing}
    run = open_run(job.model_copy(update=small))
    plan = plan_shards(
        run.workspace, run.job.archive, job.suffixes, job.shard_size, links=job.links
    )
    label_set_step.embed_attributes(run)
    markers = []
    for shard in plan.shards:
        for _ in range(2):  # the first time the model and its libraries are still warming up
            embed_step.embed_shard(run, shard, stage_step.stage_shard(run, shard, scratch / shard))
        markers.append(score_step.score_shard(run, shard))
    listed = sum(marker["listed"] for marker in markers)
    stored = run.workspace.details(f"embeddings/{run.encoder}/{run.regions}")
    return Cost(
        tried=listed,
        rejected=sum(marker["rejected"] for marker in markers),
        passes=sum(marker["crops"] for marker in markers) / listed,
        fetch=fetch,
        embed=sum(marker["seconds"]["embed"] for marker in markers) / listed,
        score=sum(marker["seconds"]["score"] for marker in markers) / listed,
        embeddings=sum(info["size"] for info in stored.values()) / listed,
    )


def estimate(jobs: Sequence[Job], pictures: int) -> tuple[Listed, list[Cost]]:
    """What the archive of some jobs holds, and what each job costs per image.

    Args:
        jobs: the same archive with different settings.
        pictures: how many of its pictures to try.

    Raises:
        UserError: the archive, the label set or the model is not usable.
    """
    listed, listing = look(jobs[0])
    with scratch_folder(f"estimate-{uuid.uuid4().hex}") as scratch:
        fetch = fetch_some(jobs[0], listing, pictures, scratch / "pictures")
        costs = [
            measure(job, scratch / "pictures", scratch / str(number), fetch)
            for number, job in enumerate(jobs)
        ]
    return listed, costs

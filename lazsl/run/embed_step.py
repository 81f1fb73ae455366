"""A shard's pictures are embedded: its embeddings are written, then its images, which mark it as
embedded.

The step is done when its artifacts are there, so it can be killed, repeated or skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lazsl.archive.staged_images import Staged
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.shard import Embedded, embed_images, replace_images
from lazsl.errors import UserError
from lazsl.images.reasons import UNREACHABLE
from lazsl.model.encoder import choose_device
from lazsl.run import by_content, momentary_rejects, recoloured
from lazsl.run.changed_looks import changed_rows
from lazsl.run.label_set_step import embed_attributes
from lazsl.run.models import load_model
from lazsl.run.run import Run
from lazsl.run.stage_step import StagedShard
from lazsl.run.stored_embeddings import read_embeddings, spent_on
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import device_defaults
from lazsl.store import paths


def is_embedded(run: Run, shard: str) -> bool:
    """True when a shard's embeddings are there, by this run or another one."""
    return run.workspace.exists(paths.images(run.encoder, run.regions, shard))


def count_copies(run: Run) -> int:
    """Images that this process embedded without a forward pass, because it had been made before."""
    return by_content.count_copies((run.workspace, run.encoder, run.regions), run.key)


def older_colours(run: Run, shards: Sequence[str]) -> str | None:
    """What is to be said where the oldest of the shards was embedded in other colours."""
    if not shards or run.job.recolour:
        return None
    older = recoloured.is_older(run.workspace, run.encoder, run.regions, shards[0])
    return recoloured.NOTICE if older else None


def embed_shard(
    run: Run,
    shard: str,
    staged: StagedShard,
    stage_seconds: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the shard's embeddings, then its images and rejects, which mark it as embedded.

    Raises:
        UserError: more of its images were rejected than the job allows; nothing is written.
    """
    where = (run.workspace, run.encoder, run.regions)
    older = run.job.recolour and recoloured.is_older(*where, shard)
    pictures = _recoloured(run, shard, staged) if older else staged
    if not len(pictures.table):
        return
    known = by_content.known_content(where, run.key)

    def embed(new: Staged) -> Embedded:
        return embed_pictures(run, new, progress)

    embedded, copies = by_content.embed_once(where, known, shard, pictures, embed)
    spent = {
        "run": run.key,
        "crops": embedded.crops,
        "bytes": embedded.bytes,
        "stage": stage_seconds,
        "embed": embedded.seconds,
        "model": embedded.model_seconds,
    }
    images, regions = embedded.images, embedded.regions
    if older or not staged.is_whole:
        stored, vectors = read_embeddings(run, shard)
        kept = recoloured.with_notes(stored)
        if older:
            kept = recoloured.as_now(kept, staged.images["image_id"])
        images, regions = replace_images((kept, vectors), (images, regions))
        if images.equals(kept.replace_schema_metadata()):
            return
        spent = _added(spent, spent_on(stored))
        momentary_rejects.forget_scores(run.workspace, run.encoder, run.regions, [shard])
    _check_rejects(shard, images, staged.listed, run.job.reject_ceiling)
    run.workspace.write_table(paths.region_embeddings(run.encoder, run.regions, shard), regions)
    momentary_rejects.note(run.workspace, run.encoder, run.regions, shard, images)
    images = images.replace_schema_metadata({"spent": json.dumps(spent)})
    run.workspace.write_table(paths.images(run.encoder, run.regions, shard), images)
    known.add(shard, images)
    known.copies += copies
    if not momentary_rejects.of_the_moment(images):
        run.workspace.remove(paths.again(run.encoder, run.regions, shard))


def _recoloured(run: Run, shard: str, staged: Staged) -> Staged:
    """Those of a shard's images that an older lazsl embedded in other colours.

    Where there are none, it is written down that the shard is as it would be now.
    """
    before = recoloured.with_notes(read_embeddings(run, shard)[0])
    job = run.job
    rows = changed_rows(before, staged, job.max_pixels, job.decoders)
    if not rows:
        name = paths.images(run.encoder, run.regions, shard)
        run.workspace.write_table(name, recoloured.as_now(before, staged.images["image_id"]))
    return staged.take(rows)


def embed_pictures(
    run: Run, staged: Staged, progress: Callable[[int], None] | None = None
) -> Embedded:
    """The embeddings of staged images as the job says."""
    job = run.job
    encoder = load_model(run, "vision")
    defaults = device_defaults(encoder.device)
    return embed_images(
        staged.images,
        staged.read,
        encoder,
        job.regions,
        size=staged.size,
        batch_size=job.batch_size or defaults.batch_size,
        decoders=job.decoders,
        max_pixels=job.max_pixels,
        cut_on=job.cut_on or defaults.cut_on,
        stopping=_stopping(run),
        progress=progress,
    )


def _added(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """What a run spent twice on a shard."""
    if before.get("run") != now["run"]:
        return now
    return now | {name: now[name] + before.get(name, 0) for name in now if name != "run"}


def _stopping(run: Run) -> Stopping | None:
    """When an image has been seen enough for this run's label set; None where all of it counts."""
    regions = run.job.regions
    if regions.doubt is None:
        return None
    embed_attributes(run, "text")
    device = choose_device(run.job.device)
    labels = EmbeddedLabels.from_table(
        run.workspace.read_table(paths.attributes(run.encoder, run.labels)),
        device if device.startswith("cuda") else "cpu",
    )
    return Stopping(labels.packed, run.job.scoring, regions.count, regions.doubt)


def _check_rejects(shard: str, images: pa.Table, listed: set[str], ceiling: float) -> None:
    """Raise UserError if too many of the images that are still listed are rejects. A host that is
    gone says nothing of the archive: a list may name all of its pictures in one place."""
    columns = (images[name].to_pylist() for name in ("image_id", "reason", "detail"))
    unusable = [
        row[1:]
        for row in zip(*columns, strict=True)
        if row[1] and row[1] != UNREACHABLE and row[0] in listed
    ]
    reasons = Counter(reason for reason, _ in unusable)
    if reasons.total() > ceiling * len(listed):
        why = ", ".join(f"{times} {reason}" for reason, times in reasons.most_common(4))
        raise UserError(
            f"{reasons.total()} of the {len(listed)} images of shard {shard} cannot be used "
            f"({why}; such as: {unusable[0][1]}), more than the share of {ceiling:g} that "
            "reject_ceiling allows: check the archive, or raise it"
        )

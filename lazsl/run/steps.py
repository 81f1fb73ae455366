"""The three steps every shard goes through: stage, embed, score.

Each is done when its artifact is there, so any of them can be killed, repeated or skipped."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive.manifest import Plan, plan_shards, read_manifest, shard_images
from lazsl.archive.selection import select
from lazsl.archive.staging import Staged, stage
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.label_set import Remembering, embed_labels, embedded_before
from lazsl.embedding.shard import embed_images
from lazsl.errors import DamagedError, UserError
from lazsl.model.encoder import choose_device, count_tokens, load_tokenizer
from lazsl.model.towers import Towers
from lazsl.run.into_warehouse import check_folders
from lazsl.run.models import load_model
from lazsl.run.run import Run, now
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import device_defaults
from lazsl.store import paths
from lazsl.store.folder import Folder
from lazsl.store.urls import masked


def plan_archive(run: Run) -> Plan:
    """List the archive and cut what is new into shards.

    Raises:
        UserError: as `plan_shards` and `check_folders`; or the file of keys was changed meanwhile.
    """
    job = run.job
    only = select(job.only)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size, only, job.links)
    if plan.archive != run.archive:
        raise UserError(f"the keys in {job.only} were changed while the run began; run it again")
    check_folders(run.workspace, job, run.labelset, run.archive)
    return plan


def archive_shards(run: Run) -> list[str]:
    """Shards of the archive as last planned that hold a listed image, oldest first."""
    manifest = read_manifest(run.workspace, run.archive)
    listed = manifest.filter(pc.equal(manifest["event"], pa.scalar("added")))
    return [str(shard) for shard in listed["shard"].unique().to_pylist()]


def count_images(run: Run, shards: list[str]) -> int:
    """Images in these shards of the manifest."""
    manifest = read_manifest(run.workspace, run.archive)
    inside = pc.is_in(manifest["shard"], value_set=pa.array(shards, pa.string()))
    return manifest.filter(inside).num_rows


def missing_shards(run: Run, shards: list[str]) -> list[str]:
    """Those of the shards that this run has not finished, in order."""
    done = set(paths.done_shards(run.workspace, run.key))
    return [shard for shard in shards if shard not in done]


def is_embedded(run: Run, shard: str) -> bool:
    """True when a shard's embeddings are there, by this run or another one."""
    return run.workspace.exists(paths.images(run.encoder, run.regions, shard))


def attributes_embedded(run: Run) -> bool:
    """True when the label set was embedded before, by this run or another one."""
    return run.workspace.exists(paths.attributes(run.encoder, run.labels))


def embed_attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless that was done before; True when it had to be done."""
    if attributes_embedded(run):
        return False
    name = paths.attributes(run.encoder, run.labels)
    known = embedded_before(run.workspace, run.encoder, run.labelset)
    encoder = Remembering(lambda: load_model(run, towers), known)
    run.workspace.write_table(name, embed_labels(run.labelset, encoder))
    return True


def cut_sentences(run: Run) -> str | None:
    """Which sentences the model's tokenizer would cut, in a sentence; None where there are none, or
    where the label set was embedded before."""
    if attributes_embedded(run):
        return None
    tokenizer = load_tokenizer(run.source)
    context = int(tokenizer.context_length)
    # A token stands for a byte at least, and two mark the ends.
    sentences = dict.fromkeys(
        sentence
        for sentences in run.labelset.prompts
        for sentence in sentences
        if len(sentence.encode()) > context - 2
    )
    if not sentences:
        return None
    counts = count_tokens(tokenizer, list(sentences))
    long = [text for text, count in zip(sentences, counts, strict=True) if count > context]
    if not long:
        return None
    shown = long[0] if len(long[0]) <= 200 else f"{long[0][:200]}..."
    return (
        f"{len(long):,} of {sum(run.labelset.sizes):,} sentences are longer than the {context} "
        f"tokens that the model reads, and their ends are cut, such as {shown!r}; lazsl labels "
        "check --model lists them"
    )


def stage_shard(run: Run, shard: str, directory: Path) -> Staged:
    """The shard's images on the local disk, with their rows of the manifest.

    Raises:
        UserError: the store kept failing.
    """
    rows = shard_images(run.workspace, run.archive, shard)
    return stage(rows, run.job.archive, directory, run.job.fetchers, links=run.job.links)


def embed_shard(
    run: Run,
    shard: str,
    staged: Staged,
    stage_seconds: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the shard's embeddings, then its images and rejects, which mark it as embedded.

    Raises:
        UserError: more of its images were rejected than the job allows; nothing is written.
    """
    job = run.job
    encoder = load_model(run, "vision")
    defaults = device_defaults(encoder.device)
    embedded = embed_images(
        staged.images,
        staged.read,
        encoder,
        job.regions,
        batch_size=job.batch_size or defaults.batch_size,
        decoders=job.decoders,
        max_pixels=job.max_pixels,
        cut_on=job.cut_on or defaults.cut_on,
        stopping=_stopping(run),
        progress=progress,
    )
    _check_rejects(shard, embedded.images, job.reject_ceiling)
    spent = {
        "run": run.key,
        "crops": embedded.crops,
        "bytes": embedded.bytes,
        "stage": stage_seconds,
        "embed": embedded.seconds,
        "model": embedded.model_seconds,
    }
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    run.workspace.write_table(regions, embedded.regions)
    images = embedded.images.replace_schema_metadata({"spent": json.dumps(spent)})
    run.workspace.write_table(paths.images(run.encoder, run.regions, shard), images)


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


def score_shard(run: Run, shard: str) -> dict[str, Any]:
    """The shard's completion marker: its tables are written first, the marker last.

    Raises:
        UserError: the shard was never embedded, or its embeddings are damaged.
    """
    started = time.perf_counter()
    workspace = run.workspace
    if not is_embedded(run, shard):
        raise UserError(f"shard {shard} has no embeddings yet; label the archive to make them")
    images, regions = _read_embeddings(run, shard)
    labels = embedded_labels(workspace, run.encoder, run.labels)
    settings = run.job.regions
    count = None if settings.doubt is None else settings.count
    tables = score_table(regions, labels, run.job.scoring, run.job.scoring_memory, count, run.tree)
    counts = _reconcile(shard, images, tables["predictions"])
    files = {
        name: workspace.write_table(name, table)
        for name, table in (
            (paths.run_table(run.key, kind, shard), table) for kind, table in tables.items()
        )
    }
    spent = json.loads((images.schema.metadata or {}).get(b"spent", b"{}"))
    mine = spent if spent.get("run") == run.key else {}
    marker = {
        "run": run.key,
        "shard": shard,
        **counts,
        "crops": mine.get("crops", 0),
        "bytes": mine.get("bytes", 0),
        "seconds": {
            "stage": mine.get("stage", 0.0),
            "embed": mine.get("embed", 0.0),
            "score": time.perf_counter() - started,
        },
        "finished": now(),
        "files": files,
    }
    workspace.write_json(paths.marker(run.key, shard), marker)
    return marker


def _read_embeddings(run: Run, shard: str) -> tuple[pa.Table, pa.Table]:
    """A shard's images and its regions."""
    marker = paths.images(run.encoder, run.regions, shard)
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    try:
        return run.workspace.read_table(marker), run.workspace.read_table(regions)
    except (DamagedError, FileNotFoundError):
        raise DamagedError(
            f"the embeddings of shard {shard} are damaged or not all there; delete "
            f"{masked(run.workspace.path(marker))} and label the archive again, and they are made "
            "anew"
        ) from None


@lru_cache(maxsize=2)
def embedded_labels(folder: Folder, encoder: str, labels: str) -> EmbeddedLabels:
    """A workspace's embedded label set, read and packed once for all shards that are scored."""
    return EmbeddedLabels.from_table(folder.read_table(paths.attributes(encoder, labels)))


def _check_rejects(shard: str, images: pa.Table, ceiling: float) -> None:
    reasons = Counter(images["reason"].drop_null().to_pylist())
    if reasons.total() > ceiling * images.num_rows:
        why = ", ".join(f"{times} {reason}" for reason, times in reasons.most_common(4))
        raise UserError(
            f"{reasons.total()} of the {images.num_rows} images of shard {shard} cannot be used "
            f"({why}), more than the share of {ceiling:g} that reject_ceiling "
            "allows: check the archive, or raise it"
        )


def _reconcile(shard: str, images: pa.Table, predictions: pa.Table) -> dict[str, int]:
    usable = images.filter(pc.is_null(images["reason"]))["image_id"]
    if usable.to_pylist() != predictions["image_id"].to_pylist():
        raise UserError(
            f"shard {shard} has {len(usable)} embedded images but {predictions.num_rows} "
            "predictions; its embeddings are damaged: delete them and label the archive again"
        )
    listed, labelled = images.num_rows, predictions.num_rows
    return {"listed": listed, "labelled": labelled, "rejected": listed - labelled}

"""The three steps every shard goes through: stage, embed, score.

Each is done when its artifact is there, so any of them can be killed, repeated or skipped."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lazsl.archive import named_archives
from lazsl.archive.manifest import count_images as count_shard_images
from lazsl.archive.manifest import shard_images
from lazsl.archive.mended_manifest import mend_manifest
from lazsl.archive.selection import select
from lazsl.archive.shard_planning import Plan, plan_shards
from lazsl.archive.staged_images import Staged
from lazsl.archive.staging import stage
from lazsl.embedding.doubt import Stopping
from lazsl.embedding.label_set import Remembering, embed_labels, embedded_before
from lazsl.embedding.shard import Embedded, embed_images, replace_images
from lazsl.errors import DamagedError, UserError
from lazsl.images.budget import largest_file
from lazsl.images.reasons import UNREACHABLE
from lazsl.model.encoder import choose_device, count_tokens, load_tokenizer
from lazsl.model.towers import Towers
from lazsl.run import by_content, recoloured, rejects
from lazsl.run.changed_looks import changed_rows
from lazsl.run.into_warehouse import check_folders
from lazsl.run.models import load_model
from lazsl.run.run import Run, now
from lazsl.run.staged_shard import StagedShard
from lazsl.run.todo import ToDo
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.scoring.tables import score_table
from lazsl.settings import device_defaults
from lazsl.store import damage, paths
from lazsl.store.folder import Folder


def plan_archive(run: Run) -> Plan:
    """List the archive and cut what is new into shards.

    Raises:
        UserError: as `plan_shards` and `check_folders`; or the file of keys was changed meanwhile.
    """
    job = run.job
    only = select(job.only)
    ceiling = job.loss_ceiling
    named_archives.note(job.archive)
    plan = plan_shards(
        *(run.workspace, job.archive, job.suffixes, job.shard_size, only, job.links, ceiling),
        exclude=job.exclude,
    )
    if plan.archive != run.archive:
        raise UserError(f"the keys in {job.only} were changed while the run began; run it again")
    check_folders(run.workspace, job, run.labelset, run.archive)
    return plan


def archive_shards(run: Run) -> list[str]:
    """Shards of the archive as last planned that hold a listed image, oldest first.

    A manifest that is damaged is mended first.
    """
    return mend_manifest(run.workspace, run.archive)


def count_images(run: Run, shards: list[str]) -> int:
    """Images in these shards of the manifest."""
    return count_shard_images(run.workspace, run.archive, shards)


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


def attributes_embedded(run: Run) -> bool:
    """True when the label set was embedded before, by this run or another one."""
    return run.workspace.exists(paths.attributes(run.encoder, run.labels))


def embed_attributes(run: Run, towers: Towers = "both") -> bool:
    """Embed the label set, unless that was done before; True when it had to be done."""
    name = paths.attributes(run.encoder, run.labels)
    if attributes_embedded(run):
        try:
            run.workspace.read_table(name)
            return False
        except DamagedError as error:
            damage.set_aside(run.workspace, error)
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


def stage_shard(run: Run, shard: str, directory: Path, again: Sequence[str] = ()) -> StagedShard:
    """The shard's images on the local disk, with its rows of the manifest.

    Args:
        run: the run.
        shard: the shard.
        directory: where to.
        again: rejects that are tried again; none: all of the shard's images.

    Raises:
        UserError: the store kept failing.
    """
    rows = shard_images(run.workspace, run.archive, shard)
    wanted = rows
    if again:
        wanted = rows.filter(pc.is_in(rows["image_id"], value_set=pa.array(again, pa.string())))
    job = run.job
    largest = largest_file(job.max_pixels)
    staged = stage(wanted, job.archive, directory, job.fetchers, links=job.links, largest=largest)
    return StagedShard(staged.directory, staged.table, rows)


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
        stored, vectors = _read_embeddings(run, shard)
        kept = recoloured.with_notes(stored)
        if older:
            kept = recoloured.as_now(kept, staged.images["image_id"])
        images, regions = replace_images((kept, vectors), (images, regions))
        if images.equals(kept.replace_schema_metadata()):
            return
        spent = _added(spent, _spent(stored))
        rejects.forget_scores(run.workspace, run.encoder, run.regions, [shard])
    _check_rejects(shard, images, staged.listed, run.job.reject_ceiling)
    run.workspace.write_table(paths.region_embeddings(run.encoder, run.regions, shard), regions)
    rejects.note(run.workspace, run.encoder, run.regions, shard, images)
    images = images.replace_schema_metadata({"spent": json.dumps(spent)})
    run.workspace.write_table(paths.images(run.encoder, run.regions, shard), images)
    known.add(shard, images)
    known.copies += copies
    if not rejects.of_the_moment(images):
        run.workspace.remove(paths.again(run.encoder, run.regions, shard))


def _recoloured(run: Run, shard: str, staged: Staged) -> Staged:
    """Those of a shard's images that an older lazsl embedded in other colours.

    Where there are none, it is written down that the shard is as it would be now.
    """
    before = recoloured.with_notes(_read_embeddings(run, shard)[0])
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


def _spent(images: pa.Table) -> dict[str, Any]:
    """What embedding a shard took, and which run spent it."""
    spent: dict[str, Any] = json.loads((images.schema.metadata or {}).get(b"spent", b"{}"))
    return spent


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


def finished(run: Run, shard: str) -> dict[str, Any] | None:
    """A shard's completion marker; None while this run has not finished it, or it is damaged."""
    try:
        name = paths.marker(run.key, shard)
        return run.workspace.read_record(name, paths.MARKER_FIELDS)
    except (FileNotFoundError, DamagedError):
        return None


def score_embedded(run: Run, work: ToDo) -> dict[str, Any]:
    """The completion marker of a shard that was worked on. Where rejects were tried again and
    nothing came of it, the scores are those that there are.

    Raises:
        UserError: as `score_shard`.
    """
    marker = finished(run, work.shard) if work.again else None
    return marker or score_shard(run, work.shard)


def score_shard(run: Run, shard: str) -> dict[str, Any]:
    """The shard's completion marker: its tables are written first, the marker last.

    Raises:
        UserError: the shard was never embedded, or its embeddings are damaged.
    """
    started = time.perf_counter()
    workspace = run.workspace
    images, regions = _read_embeddings(run, shard)
    labels = embedded_labels(workspace, run.encoder, run.labels)
    settings = run.job.regions
    count = None if settings.doubt is None else settings.count
    tables = score_table(regions, labels, run.job.scoring, run.job.scoring_memory, count, run.tree)
    counts = _reconcile(run, shard, images, tables["predictions"])
    _check_finite(run, shard, tables)
    files = {
        name: workspace.write_table(name, table)
        for name, table in (
            (paths.run_table(run.key, kind, shard), table) for kind, table in tables.items()
        )
    }
    spent = _spent(images)
    of_run = spent if spent.get("run") == run.key else {}
    marker = {
        "run": run.key,
        "shard": shard,
        **counts,
        "crops": of_run.get("crops", 0),
        "bytes": of_run.get("bytes", 0),
        "seconds": {
            "stage": of_run.get("stage", 0.0),
            "embed": of_run.get("embed", 0.0),
            "score": time.perf_counter() - started,
        },
        "finished": now(),
        "files": files,
    }
    workspace.write_record(paths.marker(run.key, shard), marker)
    return marker


def _read_embeddings(run: Run, shard: str) -> tuple[pa.Table, pa.Table]:
    """A shard's images and its regions."""
    marker = paths.images(run.encoder, run.regions, shard)
    regions = paths.region_embeddings(run.encoder, run.regions, shard)
    name = marker
    try:
        images = run.workspace.read_table(name)
        name = regions
        return images, run.workspace.read_table(name)
    except DamagedError as error:
        damaged = error
    except FileNotFoundError:
        if name == marker:
            raise UserError(
                f"shard {shard} has no embeddings; label the archive to make them"
            ) from None
        damaged = DamagedError("", regions, "missing")
    damage.set_aside(run.workspace, damaged)
    raise _damaged(shard, damaged)


def _damaged(shard: str, error: DamagedError) -> DamagedError:
    """What is said of embeddings that were set aside."""
    return DamagedError(
        f"the embeddings of shard {shard} were damaged ({error.name}: {error.why}) and are set "
        "aside; lazsl label makes them anew from the archive",
        *(error.name, error.why),
    )


@lru_cache(maxsize=2)
def embedded_labels(folder: Folder, encoder: str, labels: str) -> EmbeddedLabels:
    """A workspace's embedded label set, read and packed once for all shards that are scored."""
    return EmbeddedLabels.from_table(folder.read_table(paths.attributes(encoder, labels)))


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


def _reconcile(run: Run, shard: str, images: pa.Table, predictions: pa.Table) -> dict[str, int]:
    usable = images.filter(pc.is_null(images["reason"]))["image_id"]
    if usable.to_pylist() != predictions["image_id"].to_pylist():
        name = paths.images(run.encoder, run.regions, shard)
        why = f"{len(usable)} images for the embeddings of {predictions.num_rows}"
        damaged = DamagedError("", name, why)
        damage.set_aside(run.workspace, damaged)
        raise _damaged(shard, damaged)
    listed, labelled = images.num_rows, predictions.num_rows
    return {"listed": listed, "labelled": labelled, "rejected": listed - labelled}


def _check_finite(run: Run, shard: str, tables: dict[str, pa.Table]) -> None:
    """Raise UserError if a score is no number: nothing of the shard is written then."""
    for name, table in tables.items():
        for field in table.schema:
            if pa.types.is_floating(field.type):
                finite: Any = pc.all(pc.is_finite(table[field.name]))
                if finite.as_py() is False:
                    raise UserError(
                        f"column {field.name} of the {name} of shard {shard} is not a number "
                        "everywhere, so nothing of it was written; check the settings of scoring "
                        f"and the label set of run {run.key}"
                    )

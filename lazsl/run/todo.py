"""What of a run is still to be done, seen from what lies in the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lazsl.run import momentary_rejects
from lazsl.run.run import Run
from lazsl.store import paths


@dataclass(frozen=True)
class ToDo:
    """What is to be done for a shard: it is scored, and before that perhaps embedded.

    embeds: images are staged and embedded. again: which ones, where the others are embedded
    already; empty: all of the shard's.
    """

    shard: str
    embeds: bool = False
    again: tuple[str, ...] = ()


def missing_shards(run: Run, shards: Sequence[str]) -> list[str]:
    """Those of the shards that this run has not finished, in order."""
    done = set(paths.done_shards(run.workspace, run.key))
    return [shard for shard in shards if shard not in done]


def to_score(run: Run, shards: Sequence[str]) -> list[ToDo]:
    """What there is to do for those of the shards that this run has not finished, in order, where
    nothing is embedded."""
    return [ToDo(shard) for shard in missing_shards(run, shards)]


def to_label(run: Run, shards: Sequence[str]) -> list[ToDo]:
    """What there is to do for those of the shards, in order, that are not finished, whose
    embeddings are not there, or that have images to be tried again.

    What was scored from embeddings that are lost is forgotten, by whichever run.
    """
    where = (run.archive, run.encoder, run.regions)
    stored = momentary_rejects.Embeddings(
        run.workspace, *where, run.job.retry_rejects, run.job.recolour
    )
    unfinished = set(missing_shards(run, shards))
    unembedded = set(shards) - stored.shards
    if unembedded:
        aside = paths.set_aside_shards(run.workspace, run.encoder, run.regions)
        lost = {shard for shard in unembedded if shard in aside or shard not in unfinished}
        momentary_rejects.forget_scores(run.workspace, run.encoder, run.regions, lost)
    again = stored.again(set(shards) - unembedded)
    return [
        ToDo(shard, shard in unembedded or shard in again, again.get(shard, ()))
        for shard in shards
        if shard in unfinished or shard in unembedded or shard in again
    ]

"""All that is known of why one image was called what it was called."""

from __future__ import annotations

from dataclasses import dataclass

from lazsl.errors import UserError
from lazsl.explain.evidence import Evidence, read_shard_evidence
from lazsl.explain.lookup import Image, RunOfImage, Verdict, read_verdict
from lazsl.explain.recomputed import align, read_attributes, read_stored
from lazsl.nearest_names import nearest
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection


@dataclass(frozen=True)
class Explanation:
    """The evidence of the best class beside that of another one.

    Attributes:
        run, image, verdict: which run, which image, what was said.
        this: the best class.
        other: the class it is held against, by default the runner-up; None where there is none.
    """

    run: RunOfImage
    image: Image
    verdict: Verdict
    this: Evidence
    other: Evidence | None

    @property
    def margin(self) -> float | None:
        """Score of the best class minus that of the other one."""
        return None if self.other is None else self.this.score - self.other.score


def explain(
    connection: Connection, run: RunOfImage, image: Image, against: str | None = None
) -> Explanation:
    """Why the image was called what it was called.

    Plans that the warehouse keeps are read; others are made anew from the stored embeddings in the
    run's workspace, without image and model.

    Args:
        connection: an open warehouse.
        run, image: as found in it.
        against: a class of the run's label set to hold against the best one; None: the runner-up.

    Raises:
        UserError: there is no such class, or it is the best one itself; or embeddings are needed
            that are not in the workspace (any more).
    """
    verdict = read_verdict(connection, run.key, image)
    other = verdict.runner_up if against is None else _class(connection, run, against)
    if other == verdict.label:
        raise UserError(
            f"{image.key!r} was called {other!r} itself; name another class after --against"
        )
    wanted = [name for name in (verdict.label, other) if name is not None]
    kept = read_shard_evidence(connection, run.key, image.shard, [image.image_id])
    evidence = {plan.label: plan for plan in kept}
    missing = [name for name in wanted if name not in evidence]
    if missing:
        labels = EmbeddedLabels.from_table(read_attributes(run))
        stored = read_stored(run, image)
        made = align(stored, labels, run.job.scoring, missing, run.job.scoring_memory)
        evidence.update({plan.label: plan for plan in made})
    rival = None if other is None else evidence[other]
    return Explanation(run, image, verdict, evidence[verdict.label], rival)


def _class(connection: Connection, run: RunOfImage, name: str) -> str:
    rows = sqlfiles.run(connection, "explain/classes.sql", labels=run.labels).fetchall()
    return find_class([row[0] for row in rows], name)


def find_class(classes: list[str], name: str) -> str:
    """The class that is meant: exactly, or in other letter case where only one reads so.

    Raises:
        UserError: there is none; the sentence gives the nearest names.
    """
    if name in classes:
        return name
    alike = [
        name_of_class
        for name_of_class in classes
        if name_of_class.casefold() == name.strip().casefold()
    ]
    if len(alike) == 1:
        return alike[0]
    hint = nearest(name, classes)
    raise UserError(f"the label set has no class {name!r} among its {len(classes)}{hint}")

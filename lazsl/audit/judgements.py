"""Judgements of people: from a file into the workspace, and from there into the warehouse.

What was imported together is one immutable artifact, named by the content of the file. So importing
a file twice changes nothing, a warehouse that is built anew has all judgements again, and no run
and no import ever replaces one: of one reviewer's answers on one image the latest counts (the view
`reviewed`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from lazsl.audit.judging_files import NONE, read_judgements
from lazsl.audit.sample import archive_of
from lazsl.errors import UserError
from lazsl.nearest_names import nearest
from lazsl.store import keys, paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.named_files import read_given
from lazsl.warehouse import loading, opening, sqlfiles
from lazsl.warehouse.sqlfiles import Connection


@dataclass(frozen=True)
class Imported:
    """What an import brought in."""

    batch: str
    """Name of these judgements."""
    sample: str | None
    judgements: int
    verdicts: dict[str, int]
    """Judgements by verdict: right, wrong, none."""
    new: bool
    """False: this file had been imported before, and nothing changed."""


def import_judgements(
    workspace: Folder,
    path: Path,
    url: str,
    *,
    run: str | None = None,
    sample: str | None = None,
    reviewer: str | None = None,
) -> Imported:
    """What was brought in from a file; it is in the workspace and in the warehouse.

    Args:
        workspace: where the judgements are kept.
        path: the warehouse.
        url: the file, in any of `annotators.FORMATS`.
        run: whose labels were judged, where neither a sample nor the file says so.
        sample: the sample that the file belongs to, where it does not say.
        reviewer: who judged, where the file does not say.

    Raises:
        UserError: the file cannot be read or has no answer in it; an image, a class or the sample
            is unknown; nobody is said to have judged; two answers of one person contradict.
    """
    where = repr(url)
    data = read_given(url, f"what was judged in {url!r}", "pass the file you filled in")
    kind, judgements = read_judgements(data, url)
    if not judgements:
        raise UserError(f"{where} has no answer in it; fill in judged_label and import it again")
    if any(judgement.reviewer is None for judgement in judgements) and reviewer is None:
        raise UserError(f"{where} does not say who judged; add --reviewer NAME")
    loading.load(workspace, path, runs=[])  # a sample that was just drawn
    with closing(opening.open_warehouse(path)) as connection:
        sample_name = _same(
            [judgement.sample or sample for judgement in judgements], "sample", where
        )
        judged_run = run or _same([judgement.run for judgement in judgements], "run", where)
        run, archive = _drawn_from(connection, sample_name, judged_run)
        classes = classes_of(connection, run)
        images = _images(
            connection, run, sample_name, [judgement.image for judgement in judgements], where
        )
    batch = keys.digest(
        "reviews", archive, sample_name, reviewer, hashlib.sha256(data).hexdigest(), length=16
    )
    moment = datetime.now(UTC).replace(tzinfo=None)
    rows = []
    for judgement, image in zip(judgements, images, strict=True):
        judged = _class_of(judgement.answer, classes, where)
        verdict = "none" if judged is None else "right" if judged == image["label"] else "wrong"
        rows.append(
            {
                **image,
                "batch": batch,
                "archive": archive,
                "judged_label": judged,
                "verdict": verdict,
                "reviewer": judgement.reviewer or reviewer,
                "judged_at": judgement.judged_at or moment,
                "comment": judgement.comment,
                "source": kind,
                "run": run,
                "sample": sample_name,
            }
        )
    _check_contradictions(rows, where)
    file = paths.audit_table("reviews", archive, batch)
    new = not workspace.exists(file)
    if new:
        workspace.write_table(file, pa.Table.from_pylist(rows, schema=schemas.REVIEWS))
    loading.load(workspace, path, runs=[])
    verdicts = {v: sum(row["verdict"] == v for row in rows) for v in ("right", "wrong", "none")}
    return Imported(batch, sample_name, len(rows), verdicts, new)


def classes_of(connection: Connection, run: str) -> list[str]:
    """Class names of a run's label set, in its order."""
    return [row[0] for row in sqlfiles.run(connection, "audit/classes.sql", run=run).fetchall()]


def _same(names: Sequence[str | None], kind: str, where: str) -> str | None:
    """The sample or run that all answers are of."""
    different = sorted({str(name) for name in names})
    if len(different) > 1:
        raise UserError(
            f"{where} mixes images of {kind}s {', '.join(different)}; split it by {kind}"
        )
    return names[0]


def _drawn_from(connection: Connection, sample: str | None, run: str | None) -> tuple[str, str]:
    """The run whose labels were judged, and its archive."""
    if sample is None:
        if run is None:
            raise UserError("the file names no sample; say whose labels were judged with --run RUN")
        return run, archive_of(connection, run)
    samples = sqlfiles.run(connection, "audit/sample.sql", sample=sample).fetchall()
    if not samples:
        raise UserError(f"sample {sample!r} was not drawn in this workspace; name the one it was")
    return str(samples[0][0]), str(samples[0][1])


def _images(
    connection: Connection,
    run: str,
    sample: str | None,
    names: Sequence[str],
    where: str,
) -> list[dict[str, str]]:
    """Of every named image its image_id, key, digest and the label that was shown."""
    if sample is not None:
        known = sqlfiles.table(connection, "audit/sample_images.sql", sample=sample)
        place = f"sample {sample}"
    else:
        with sqlfiles.registered(connection, {"new_names": pa.table({"name": list(names)})}):
            known = sqlfiles.table(connection, "audit/named_images.sql", run=run)
        place = f"run {run}"
    rows = known.to_pylist()
    exact = {row[column]: row for row in rows for column in ("key", "image_id")}
    ends = defaultdict(list)
    for row in rows:
        for end in _ends(row["key"]):
            ends[end].append(row)
    matched = []
    for name in names:
        matching = [exact[name]] if name in exact else ends[name]
        if not matching:
            hint = nearest(name, [row["key"] for row in rows])
            raise UserError(f"{where} judges {name!r}, which is no image of {place}{hint}")
        if len(matching) > 1:
            several = ", ".join(row["key"] for row in matching[:3])
            raise UserError(f"{where} judges {name!r}, which may be {several}; give the whole key")
        matched.append(matching[0])
    return matched


def _ends(key: str) -> list[str]:
    """What FiftyOne may call a file: its path or an end of it, without the suffix."""
    parts = PurePosixPath(key).with_suffix("").parts if PurePosixPath(key).name else ()
    return ["/".join(parts[at:]) for at in range(len(parts))]


def _class_of(answer: str, classes: Sequence[str], where: str) -> str | None:
    """The class that an answer names; None for none of them."""
    for name in (answer, answer.strip()):
        if name in classes:
            return name
    if answer.strip() == NONE:
        return None
    raise UserError(
        f"{where} answers {answer!r}, which is neither a class of the label set nor {NONE!r}"
        f"{nearest(answer, classes)}"
    )


def _check_contradictions(rows: Sequence[dict[str, Any]], where: str) -> None:
    """Raise if one person gave two answers on one image at one time.

    Raises:
        UserError: which image.
    """
    answers: dict[Any, str | None] = {}
    for row in rows:
        judged = (row["image_id"], row["reviewer"], row["judged_at"])
        if answers.setdefault(judged, row["judged_label"]) != row["judged_label"]:
            raise UserError(
                f"{where} has two answers of {row['reviewer']!r} on {row['key']!r}: "
                f"{answers[judged] or NONE!r} and {row['judged_label'] or NONE!r}; keep one"
            )

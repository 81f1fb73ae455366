"""What of a recorded job is taken over: a workspace is often shared, and its records a stranger's.

A record never decides where a command writes. It names a model only among those that are published,
and a label set only with the content it was made with: all else is loaded when the person names it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.reading import load_labelset
from lazsl.settings import make_job
from lazsl.store import paths
from lazsl.store.folder import Folder

MEASURED = ("temperature", "abstain_below", "abstain_by", "floor", "parents_above")
"""Settings of scoring that a trust file brings."""

_OF_THE_MACHINE = ("scratch", "warehouse", "workspace")


def taken_over(
    record: Mapping[str, Any], workspace: Folder, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of the job of a record, with what a person gave in their place.

    Args:
        record: from `paths.read_run_record`.
        workspace: the one it is in, as the caller reaches it.
        given: fields of the Job; `warehouse` may be None, which means the workspace's own.

    Raises:
        UserError: the record names another warehouse than the workspace's own, and none was given.
    """
    kept = {k: v for k, v in record["job"].items() if k not in _OF_THE_MACHINE}
    fields = {**kept, "workspace": workspace.url, **given}
    if "labels" not in given:
        fields["labels"] = _labels(record, workspace)
    recorded = record["job"].get("warehouse")
    if given.get("warehouse") is None and recorded is not None:
        _check_warehouse(record["run"], str(recorded), make_job(**fields).warehouse_path)
    return fields


def _labels(record: Mapping[str, Any], workspace: Folder) -> str:
    """The label set of a run: its file or, where that is no longer there, the workspace's copy."""
    labels = str(record["job"].get("labels"))
    if "://" in labels or os.path.exists(labels.partition("#")[0]):
        return labels
    name = paths.kept_labels(str(record["labels"]))
    return f"{workspace.url}/{name}" if workspace.exists(name) else labels


def check_model(record: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise UserError when a model would be loaded because a record names it."""
    if given.get("model") is None:
        from lazsl.model.checkpoints import check_recorded_model

        check_recorded_model(str(record["job"].get("model")))


def check_labels(record: Mapping[str, Any], workspace: Folder, given: Mapping[str, Any]) -> None:
    """Raise UserError unless the label set that a record names, or the workspace's copy of it, is
    the one that the run was made with.

    What is labelled with goes into the workspace, where others read it; any text is a label set.
    """
    place = _labels(record, workspace)
    if given.get("labels") is None and load_labelset(place).key != record["labels"]:
        raise UserError(
            f"{place!r} is not the label set that run {record['run']} was made with: it was "
            "changed since, or the record was, which may be anybody's who can write to the "
            f"workspace; to label with it, name it: --labels {shlex.quote(place)}"
        )


def uncalibrated(scoring: dict[str, Any]) -> dict[str, Any]:
    """Scoring settings without what was measured for one label set and one way of scoring."""
    return {k: v for k, v in scoring.items() if k not in MEASURED}


def rescoring(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Scoring settings of another run with changes. What belonged to the aligner or the stopping
    rule that is changed is left out, and so is what was measured for the way of scoring before."""
    kept = uncalibrated(before)
    aligner = changes.get("aligner") or kept.get("aligner") or "paper"
    if aligner != (kept.get("aligner") or "paper"):
        kept = {k: v for k, v in kept.items() if k in ("top_k", "plans")}
    elif changes.get("rule", kept.get("rule")) != kept.get("rule"):
        kept = {k: v for k, v in kept.items() if k not in ("max_iterations", "tolerance")}
    return {**kept, **changes}


def _check_warehouse(run: str, recorded: str, expected: Path) -> None:
    if os.path.realpath(recorded) != os.path.realpath(expected):
        raise UserError(
            f"run {run} was loaded into {recorded}, and its record may be anybody's who can write "
            f"to the workspace; say where to write: --warehouse {shlex.quote(recorded)}, or "
            f"--warehouse {shlex.quote(str(expected))}"
        )

"""What a load needs of a workspace besides finished shards: records, listings, truth.

All of it lies in the workspace, so that a warehouse can be made anew from it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import pyarrow as pa

from lazsl.archive.still_listed import Rows, listed_tables, waiting
from lazsl.errors import DamagedError, UserError
from lazsl.store import damage, paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse.not_loaded import News

IDS = pa.schema([schemas.MANIFEST.field("image_id")])


def gather(
    workspace: Folder, runs: Sequence[str] | None, listed: Mapping[str, pa.Table], scratch: Path
) -> News:
    """What a load brings in.

    Args:
        workspace: where the runs are.
        runs: run keys; None: all.
        listed: what is listed now, by archive; of other archives their manifests say it.
        scratch: a folder in which long listings wait, until the load is done.

    Raises:
        UserError: a run is not in the workspace.
    """
    known = paths.runs(workspace)
    if strangers := sorted(set(runs or []) - set(known)):
        raise UserError(
            f"there is no run {strangers[0]!r} in {workspace.url}; "
            f"there are {', '.join(known) or 'none'}"
        )
    damaged: list[str] = []
    records = {}
    for run in known if runs is None else sorted(set(runs)):
        try:
            records[run] = paths.read_record(workspace, run)
        except UserError as error:
            damaged.append(str(error))
    for run in paths.runs_without_record(workspace) if runs is None else []:
        damaged.append(
            f"the record of run {run} is gone, so its finished shards cannot be loaded; label, or "
            "relabel, with the same options, and it is written anew"
        )
    listings: dict[str, Rows] = dict(listed)
    truth = {}
    archives = {str(record["archive"]) for record in records.values()}
    judged = {name.split("/")[1].removesuffix(".parquet") for name in workspace.names("truth")}
    for number, archive in enumerate(sorted(archives | judged)):
        try:
            if archive in archives and archive not in listings:
                place = scratch / str(number)
                images = listed_tables(workspace, archive, IDS.names, place)
                first = next(images, None)  # where nothing was ever listed, nothing is gone
                if first is not None:
                    listings[archive] = waiting(chain([first], images), IDS, place / "listed")
        except DamagedError as error:
            damaged.append(str(error))
        try:
            truth[archive] = workspace.read_table(paths.truth(archive))
        except FileNotFoundError:
            pass
        except DamagedError as error:
            damaged.append(str(error))
    return News(workspace, records, listings, truth, damaged)


def keep_truth(workspace: Folder, archive: str, truth: pa.Table) -> None:
    """Write down what the images of an archive show, where the workspace says something else."""
    plain = truth.select(schemas.TRUTH.names).cast(schemas.TRUTH).drop_null()
    kept = plain.group_by(schemas.TRUTH.names).aggregate([]).sort_by("key")
    kept = kept.select(schemas.TRUTH.names).cast(schemas.TRUTH)
    try:
        if workspace.read_table(paths.truth(archive)).equals(kept):
            return
    except DamagedError as error:
        damage.set_aside(workspace, error)
    except FileNotFoundError:
        pass
    workspace.write_table(paths.truth(archive), kept)

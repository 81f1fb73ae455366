"""What a load needs of a workspace besides finished shards: records, listings, truth.

All of it lies in the workspace, so that a warehouse can be made anew from it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from lazsl.archive.manifest import read_manifest, still_listed
from lazsl.errors import DamagedError, UserError
from lazsl.store import damage, paths, schemas
from lazsl.store.folder import Folder
from lazsl.warehouse.not_loaded import News


def gather(workspace: Folder, runs: Sequence[str] | None, listed: Mapping[str, pa.Table]) -> News:
    """What a load brings in.

    Args:
        workspace: where the runs are.
        runs: run keys; None: all.
        listed: what is listed now, by archive; of other archives their manifests say it.

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
    listings, truth = dict(listed), {}
    archives = {str(record["archive"]) for record in records.values()}
    judged = {name.split("/")[1].removesuffix(".parquet") for name in workspace.names("truth")}
    for archive in sorted(archives | judged):
        try:
            if archive in archives and archive not in listings:
                manifest = read_manifest(workspace, archive, ["image_id", "event"])
                if len(manifest):
                    listings[archive] = still_listed(manifest).select(["image_id"])
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

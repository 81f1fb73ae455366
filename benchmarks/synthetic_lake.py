"""A lake of any size: some thousand images that the real loader brought in, many times over.

A copy of an image differs in the names of image and shard and in nothing else, so all that a lake
has is there: large files of every table, row groups, rows in the order of their shards. To be small
and quick, only the best class has evidence, an image has ten boxes, and one image in a hundred has
its plans. Of the two runs the first is over a tenth of the images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import synthetic
from figures import file_bytes

from lazsl.store import paths, schemas
from lazsl.store.folder import Folder
from lazsl.store.keys import shard_id
from lazsl.warehouse import lake_files, loading
from lazsl.warehouse.lake import LARGE, file_of, read_lake, write_lake

CLASSES, SHARD = 1000, 256
BASE, NEW = 20, 3
"""Shards that are copied, and shards that are finished and not loaded."""

_IN_A_FILE = 1 << 17  # images of a manifest
_COPIES_IN_A_FILE = 160
"""So that files are not small, as loads leave them: of many small ones they make one."""

_SHARD = "case when {k} = 0 then shard else left(md5(shard || {k}), 16) end as shard"
_IMAGE = "case when {k} = 0 then image_id else md5(image_id || {k}) end as image_id"
_SMALLER = {
    "evidence": "select * replace ((best_region % 10)::smallint as best_region) where rank = 1",
    "regions": "select * replace (boxes[:10] as boxes)",
    "plans": "select * where hash(image_id) % 100 = 0",
}


def make(folder: Path, images: int) -> dict[str, int]:
    """How many images `folder/a.lake` has, so many or a little more, and its bytes.

    `folder/workspace` has what a load of it looks at: records, manifest, completion markers; of the
    new shards everything. Their markers are put in their place by `finish_new`.
    """
    workspace = folder / "workspace"
    synthetic.write_runs(workspace, (BASE + NEW) * SHARD, CLASSES, SHARD)
    for marker in list(_new_markers(workspace)):
        aside = folder / "new" / marker.relative_to(workspace)
        aside.parent.mkdir(parents=True, exist_ok=True)
        marker.rename(aside)
    loading.load(Folder(str(workspace)), folder / "base.lake")
    copies = -(-images // (BASE * SHARD))
    with closing(duckdb.connect(config={"memory_limit": "6GB"})) as connection:
        _multiply(connection, folder / "base.lake", folder / "a.lake", copies)
        for run, shard, like in connection.table("markers").fetchall():
            text = (workspace / paths.marker(run, like)).read_text(encoding="utf-8")
            synthetic.write_json(
                workspace, paths.marker(run, shard), {**json.loads(text), "shard": shard}
            )
    shutil.rmtree(folder / "base.lake")
    _write_manifest(folder)
    return {"images": copies * BASE * SHARD, "bytes": file_bytes(folder / "a.lake")}


def finish_new(folder: Path) -> None:
    """From now on the new shards are finished."""
    shutil.copytree(folder / "new", folder / "workspace", dirs_exist_ok=True)


def unfinish_new(folder: Path) -> None:
    """From now on they are not."""
    for marker in list(_new_markers(folder / "workspace")):
        marker.unlink(missing_ok=True)


def _new_markers(workspace: Path) -> Iterator[Path]:
    for number in range(BASE, BASE + NEW):
        for run in synthetic.RUNS:
            yield workspace / paths.marker(run, _shard(number)[0])


def _shard(number: int) -> tuple[str, pa.Table]:
    images = synthetic.images_table(number, SHARD, SHARD)
    return shard_id(synthetic.ARCHIVE, images["image_id"].to_pylist()), images


def _multiply(connection: duckdb.DuckDBPyConnection, base: Path, path: Path, copies: int) -> None:
    """A lake with so many copies of what another one has; `markers` has the names of its shards."""
    lake = read_lake(base)
    names = {table: list(known) for table, known in lake.names.items()}
    path.mkdir()
    for table in LARGE:
        files = [str(file_of(base, table, name)) for name in lake.names[table]]
        smaller = _SMALLER.get(table, "select *")
        connection.execute(f"create table {table} as from read_parquet({files}) {smaller}")
        names[table] = []
        for begin in range(0, copies, _COPIES_IN_A_FILE):
            number = begin // _COPIES_IN_A_FILE + 1
            names[table].append(f"load-{number:06d}")
            rows = " union all ".join(
                _copy(table, k, copies)
                for k in range(begin, min(copies, begin + _COPIES_IN_A_FILE))
            )
            file = file_of(path, table, names[table][-1])
            form = f"compression zstd, row_group_size {lake_files.ROW_GROUPS.get(table, 122_880)}"
            ordered = f"select * from ({rows}) order by shard"
            connection.execute(f"copy ({ordered}) to '{file}' (format parquet, {form})")
    for table in (table for table in lake.names if table not in LARGE):
        for name in lake.names[table]:
            shutil.copyfile(file_of(base, table, name), file_of(path, table, name))
    shards = [str(file_of(base, "shards", name)) for name in lake.names["shards"]]
    rows = ", ".join(
        f"(select count(*) from {table} as t where t.run = s.run and t.shard = s.shard) as {rows}"
        for table, rows in (("evidence", "evidence_rows"), ("plans", "plan_rows"))
    )
    connection.execute(
        f"create table shards as select s.* replace ({rows}, {_SHARD.format(k='k')}), "
        f"s.shard as original, k from read_parquet({shards}) as s, range({copies}) as copies (k) "
        f"where {_has('k', copies)}"
    )
    connection.execute(
        "create view markers as select run, shard, original from shards where shard <> original"
    )
    file = file_of(path, "shards", names["shards"][-1])
    connection.execute(f"copy (select * exclude (original, k) from shards) to '{file}'")
    write_lake(path, replace(lake, names=names, loads=lake.loads + copies, digests={}))


def _copy(table: str, k: int, copies: int) -> str:
    """The rows of one copy."""
    names = f"{_SHARD.format(k=k)}, {_IMAGE.format(k=k)}"
    if table == "images":
        names += f", '{k:05d}/' || key as key, replace(uri, key, '{k:05d}/' || key) as uri"
    of_run = _has(str(k), copies) if table not in ("images", "regions") else "true"
    return f"(select * replace ({names}) from {table} where {of_run})"


def _has(k: str, copies: int) -> str:
    """Which rows a copy has: the first run is over some of them."""
    return f"(run = '{synthetic.RUNS[1]}' or {k} <= {copies} // 10)"


def _write_manifest(folder: Path) -> None:
    """The manifest of all images of the lake and of the new shards."""
    workspace, schema = Folder(str(folder / "workspace")), schemas.MANIFEST
    columns = ", ".join(name for name in schema.names if name != "event")
    with closing(duckdb.connect(config={"memory_limit": "1GB"})) as connection:
        files = f"{folder}/a.lake/images.*.parquet"
        rows = connection.sql(
            f"select {columns}, 'added' as event from read_parquet('{files}')"
        ).to_arrow_reader(_IN_A_FILE)
        waiting = schema.empty_table()
        number = 1
        for batch in rows:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch]).cast(schema)])
            while len(waiting) >= _IN_A_FILE:
                part = waiting.slice(0, _IN_A_FILE).combine_chunks()
                workspace.create_table(_generation(number), part)
                waiting, number = waiting.slice(_IN_A_FILE), number + 1
    for shard in range(BASE, BASE + NEW):
        name, images = _shard(shard)
        columns_of = {n: images[n] for n in schema.names if n in images.column_names}
        columns_of |= {"shard": pa.repeat(name, SHARD), "event": pa.repeat("added", SHARD)}
        new = pa.table([columns_of[n] for n in schema.names], schema=schema)
        waiting = pa.concat_tables([waiting, new])
    workspace.create_table(_generation(number), waiting.combine_chunks())


def _generation(number: int) -> str:
    return f"{paths.manifests(synthetic.ARCHIVE)}/{number:06d}.parquet"

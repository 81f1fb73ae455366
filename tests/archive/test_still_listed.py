"""What the last listing has, of a manifest whose files are read one after the other."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lazsl.archive import known_images, still_listed
from lazsl.archive.manifest import read_listed
from lazsl.store import schemas
from lazsl.store.folder import Folder

ARCHIVE = "archive-1"
COLUMNS = ["image_id", "shard"]
SCHEMA = pa.schema([schemas.MANIFEST.field(name) for name in COLUMNS])


def publish(workspace: Folder, generations: list[list[tuple[int, str]]]) -> None:
    """Write generations of (image, event); five images are a shard."""
    for number, events in enumerate(generations, start=1):
        rows = [
            {
                **{"image_id": f"{image:032x}", "key": f"{image}.jpg", "uri": f"/a/{image}.jpg"},
                **{"size": 1, "version": "1", "shard": f"{image // 5:016x}", "event": event},
            }
            for image, event in events
        ]
        table = pa.Table.from_pylist(rows, schema=schemas.MANIFEST)
        workspace.create_table(f"manifests/{ARCHIVE}/{number:06d}.parquet", table)


ADDED = [[(image, "added") for image in range(begin, begin + 20)] for begin in (0, 20, 40)]
CHANGED = [[(3, "removed"), (21, "removed"), (41, "removed")], [(21, "added")], [(2, "removed")]]


@pytest.mark.parametrize("changes", [[], CHANGED])
@pytest.mark.parametrize("few", [1 << 20, 7])
def test_what_waits_on_the_disk_is_what_a_whole_manifest_says(
    changes: list[list[tuple[int, str]]], few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Folder(str(tmp_path))
    publish(workspace, ADDED + changes)
    monkeypatch.setattr(still_listed, "_IN_MEMORY", few)
    monkeypatch.setattr(known_images, "_IN_MEMORY", few)
    place = tmp_path / "scratch"
    tables = still_listed.listed_tables(workspace, ARCHIVE, COLUMNS, place)
    rows = still_listed.waiting(tables, SCHEMA, place / "rows")
    assert isinstance(rows, pa.Table) == (few > 7)
    with duckdb.connect() as connection:
        connection.register("listed", rows)
        for _ in range(2):  # a file is read as often as it is asked for
            answer = connection.sql("from listed order by image_id").to_arrow_table()
            assert answer.num_rows == (57 if changes else 60)
    expected = read_listed(workspace, ARCHIVE, COLUMNS).sort_by("image_id")
    assert answer.cast(SCHEMA).equals(expected.combine_chunks())


def test_no_manifest_has_no_images(tmp_path: Path) -> None:
    tables = still_listed.listed_tables(Folder(str(tmp_path)), ARCHIVE, COLUMNS, tmp_path / "x")
    assert len(still_listed.waiting(tables, SCHEMA, tmp_path / "rows")) == 0

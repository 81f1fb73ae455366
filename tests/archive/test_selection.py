"""Claims about labelling some images of an archive, named by a file of keys."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lazsl_flows.shards import plan
from sample import copy_sample, label_plainly, small_job

from lazsl import fieldguide
from lazsl.archive.listing import list_archive
from lazsl.archive.manifest import read_manifest
from lazsl.archive.selection import Selection, read_selection
from lazsl.archive.shard_planning import plan_shards
from lazsl.errors import UserError
from lazsl.run import plan_step
from lazsl.run.run import Run, open_relabelling, open_run
from lazsl.store import keys as identity
from lazsl.store.folder import Folder
from lazsl.warehouse.opening import open_warehouse

SUFFIXES = (".jpg",)
KEYS = {"a/1.jpg", "007", "a\u2028b.jpg", "b c,d.jpg", "ü.jpg", "NULL"}


def written(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture
def archive(place: str) -> str:
    """Nine small objects in three folders; what they hold does not matter."""
    folder = Folder(place)
    for name in (f"{part}/{number}.jpg" for part in "abc" for number in range(3)):
        folder.write_bytes(name, name.encode())
    folder.write_bytes("readme.txt", b"")
    return place


def test_keys_are_read_from_a_table_or_a_text_and_count_once(tmp_path: Path) -> None:
    lines = sorted(KEYS)
    csv = "".join(f'{i},"{key}"\n' for i, key in enumerate([*lines, lines[0]]))
    ways = [
        written(tmp_path / "keys.csv", f"label,key\n{csv}"),
        written(tmp_path / "keys.txt", "\ufeff" + "\r\n".join([*reversed(lines), "", lines[0]])),
        str(tmp_path / "keys.parquet"),
    ]
    pq.write_table(pa.table({"n": range(len(lines)), "key": lines}), ways[2])
    selections = [read_selection(way) for way in ways]
    assert [selection.keys for selection in selections] == [KEYS] * 3
    assert len({selection.digest for selection in selections}) == 1


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("k.csv", "name,label\na,b\n", "key"),
        ("k.csv", "key\n", "names no key"),
        ("k.txt", "\n\n", "names no key"),
        ("k.csv", "", "cannot be read"),
        ("k.parquet", "key\na\n", "cannot be read"),
        ("missing.csv", None, "no such file"),
    ],
)
def test_a_file_that_names_no_keys_is_refused_in_one_sentence(
    tmp_path: Path, name: str, text: str | None, sentence: str
) -> None:
    if text is not None:
        written(tmp_path / name, text)
    with pytest.raises(UserError) as caught:
        read_selection(str(tmp_path / name))
    message = str(caught.value)
    assert sentence in message and name in message and "a column key" in message
    assert "\n" not in message


def test_only_the_selected_images_are_listed(archive: str) -> None:
    only = Selection("a test", frozenset({"c/2.jpg", "a/0.jpg"}))
    assert list_archive(archive, SUFFIXES, only)["key"].to_pylist() == ["a/0.jpg", "c/2.jpg"]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("images/b/1.jpg", "'b/1.jpg'"), ("b/l.jpg", "'b/1.jpg'"), ("readme.txt", "")],
)
def test_a_key_that_is_no_image_of_the_archive_is_told_with_the_nearest(
    archive: str, key: str, nearest: str
) -> None:
    with pytest.raises(UserError) as caught:
        list_archive(archive, SUFFIXES, Selection("'keys.txt'", frozenset({"a/0.jpg", key})))
    message = str(caught.value)
    assert f"1 of the 2 keys of 'keys.txt' are no images of archive {archive}" in message
    assert repr(key) in message and nearest in message


def test_a_selection_is_an_archive_of_its_own_and_removes_nothing(
    archive: str, tmp_path: Path
) -> None:
    workspace = Folder(str(tmp_path / "workspace"))
    only = Selection("a test", frozenset({"a/0.jpg", "b/1.jpg"}))
    other = Selection("a test", frozenset({"a/0.jpg"}))
    whole = plan_shards(workspace, archive, SUFFIXES, 4)
    part = plan_shards(workspace, archive, SUFFIXES, 4, only)
    plan_shards(workspace, archive, SUFFIXES, 4, other)
    again = [
        plan_shards(workspace, archive, SUFFIXES, 4),
        plan_shards(workspace, archive, SUFFIXES, 4, only),
    ]
    assert (part.listed, part.removed) == (2, 0) and part.archive != whole.archive
    assert [(plan.added, plan.removed) for plan in again] == [(0, 0)] * 2
    assert [plan.shards for plan in again] == [whole.shards, part.shards]
    assert set(read_manifest(workspace, part.archive)["event"].to_pylist()) == {"added"}
    assert len(read_manifest(workspace, whole.archive)) == 9


def test_the_whole_archive_keeps_the_key_it_had() -> None:
    assert identity.archive_key("s3://bucket/photos") == "photos-" + identity.digest(
        "archive", "s3://bucket/photos"
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Ten birds, and four of them selected by their truth file, in one workspace."""
    home = tmp_path_factory.mktemp("selection")
    copied = copy_sample(home / "archive", 10, odd=False)
    truth = fieldguide.TRUTH_FILE.read_text().splitlines()
    birds = [line for line in truth if (copied / line.split(",")[0]).is_file()]
    few = written(home / "few.csv", "\n".join(["key,label", *birds[2:6]]) + "\n")
    whole = label_plainly(small_job(copied, home / "workspace"), home / "scratch")
    job = small_job(copied, home / "workspace", only=few, truth=few)
    return whole, label_plainly(job, home / "scratch")


def test_a_run_labels_what_is_selected_and_nothing_else(both: tuple[Run, Run]) -> None:
    whole, part = both
    only = read_selection(str(part.job.only))
    assert part.archive != whole.archive and part.key != whole.key
    with closing(open_warehouse(part.job.warehouse_path)) as connection:
        counts = connection.execute("select run, count(*) from predictions group by 1").fetchall()
        keys = connection.execute(
            "select key from predictions join images using (image_id, shard) where run = ?",
            [part.key],
        ).fetchall()
    assert dict(counts) == {whole.key: 10, part.key: 4}
    assert {key for (key,) in keys} == only.keys


def test_the_selection_is_scored_anew_without_its_file(both: tuple[Run, Run]) -> None:
    _, part = both
    Path(str(part.job.only)).unlink()
    changes = {"scoring": {"theta": 0.5}}
    again = open_relabelling(part.workspace, part.key, changes)
    assert again.archive == part.archive and again.key != part.key
    assert plan_step.archive_shards(again) == plan_step.archive_shards(part)
    with pytest.raises(UserError, match="no such file"):
        open_run(part.job)


def test_keys_that_are_changed_while_a_run_begins_stop_it(tmp_path: Path) -> None:
    copied = copy_sample(tmp_path / "archive", 2, odd=False)
    first, other = list_archive(str(copied), SUFFIXES)["key"].to_pylist()
    keys = tmp_path / "keys.txt"
    run = open_run(small_job(copied, tmp_path / "workspace", only=written(keys, str(first))))
    written(keys, str(other))
    state: Any = plan.fn(run)
    assert f"the keys in {keys} were changed" in state.message

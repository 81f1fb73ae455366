"""Claims about places: what is found there, how it is read, and what is said when that fails."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from refusals import complaint
from s3 import FaultyS3

from lazsl.errors import DamagedError
from lazsl.store.folder import Folder
from lazsl.store.urls import masked, split_url

STEPS: dict[str, Callable[[Folder], object]] = {
    "exists": lambda folder: folder.exists("a.json"),
    "names": lambda folder: folder.names("x"),
    "read": lambda folder: folder.read_bytes("a.json"),
    "read columns": lambda folder: folder.read_table("a.parquet", ["id"]),
    "write": lambda folder: folder.write_bytes("a.json", b"{}"),
}


@pytest.fixture
def memory() -> Iterator[None]:
    fsspec.filesystem("memory").store.clear()
    yield
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("url", ["memory://", "memory:///", "memory://deep/er", "memory://deep/"])
def test_what_is_written_below_a_place_is_found_below_it(url: str, memory: None) -> None:
    folder = Folder(url)
    folder.write_json("x/a.json", [1])
    folder.write_json("b.json", [2])
    assert folder.names("") == ["b.json", "x/a.json"]
    assert folder.names("x", ".json") == ["x/a.json"]
    assert folder.read_json("x/a.json") == [1] and folder.exists("b.json")


@pytest.mark.parametrize("place", ["disk", "store"])
def test_a_part_of_an_artifact_is_called_damaged_and_which(
    place: str, tmp_path: Path, memory: None
) -> None:
    folder = Folder(str(tmp_path) if place == "disk" else "memory://bucket")
    folder.write_table("x/a.parquet", pa.table({"id": [1, 2, 3]}))
    folder.write_bytes("x/a.parquet", folder.read_bytes("x/a.parquet")[:-9])
    for columns in (None, ["id"]):
        with pytest.raises(DamagedError) as caught:
            folder.read_table("x/a.parquet", columns)
        assert str(caught.value) == (
            f"{folder.path('x/a.parquet')} is damaged (its end is missing); "
            "delete it and run again, and it is made anew"
        )


def test_the_root_of_the_disk_is_a_place(tmp_path: Path) -> None:
    below = str(tmp_path).lstrip("/")
    for url in ("/", "file:///"):
        folder = Folder(url)
        folder.write_json(f"{below}/a.json", url)
        assert folder.names(below) == [f"{below}/a.json"]
        assert Folder(str(tmp_path)).read_json("a.json") == url


@pytest.mark.parametrize(
    ("url", "folder", "name"),
    [
        ("a.json", ".", "a.json"),
        ("/a.json", "/", "a.json"),
        ("x/a.json", "x", "a.json"),
        ("file:///a.json", "file:///", "a.json"),
        ("memory://a.json", "memory://", "a.json"),
        ("s3://bucket/x/a.json", "s3://bucket/x", "a.json"),
    ],
)
def test_a_file_is_split_into_its_folder_and_its_name(url: str, folder: str, name: str) -> None:
    assert split_url(url) == (folder, name)


def test_a_bucket_must_be_named() -> None:
    assert "names no bucket" in complaint(lambda: Folder("s3://"))


def test_a_scheme_that_nobody_knows_is_told_without_credentials() -> None:
    sentence = complaint(lambda: Folder("nosuch://bob:hunter2@host/x"))
    assert "nosuch" in sentence and "hunter2" not in sentence


def test_credentials_are_masked_in_any_text() -> None:
    assert masked("no s3://bob:hunter2@b/x") == "no s3://***@b/x"
    assert masked("https://h/x?sig=abc&b=1") == "https://h/x?sig=***&b=1"
    assert masked("hunter2 is wrong", "ftp://bob:hunter2@h") == "*** is wrong"


def test_only_the_wanted_columns_of_a_remote_table_travel(bucket: str, faulty_s3: FaultyS3) -> None:
    rows, dimension = 2_000, 512
    vectors = np.random.default_rng(0).standard_normal(rows * dimension).astype(np.float16)
    table = pa.table(
        {
            "id": pa.array([f"{row:032x}" for row in range(rows)]),
            "left": pa.array(range(rows), pa.int32()),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors), dimension),
        }
    )
    folder = Folder(f"{bucket}/w")
    folder.write_table("t.parquet", table)
    path = f"/{bucket.removeprefix('s3://')}/w/t.parquet"
    assert folder.read_table("t.parquet", ["id", "left"]).equals(table.select(["id", "left"]))
    assert 0 < faulty_s3.sent[path] < 300_000 < vectors.nbytes
    faulty_s3.sent.clear()
    assert folder.read_table("t.parquet").equals(table)
    assert faulty_s3.sent[path] > vectors.nbytes


def test_a_small_remote_table_is_fetched_at_once(bucket: str, faulty_s3: FaultyS3) -> None:
    folder = Folder(f"{bucket}/w")
    folder.write_table("t.parquet", pa.table({"id": list(range(100)), "name": ["x"] * 100}))
    path = f"/{bucket.removeprefix('s3://')}/w/t.parquet"
    assert folder.read_table("t.parquet", ["id"]).column_names == ["id"]
    assert faulty_s3.gets[path] == 1


@pytest.mark.parametrize("step", STEPS)
def test_an_unreachable_store_is_one_sentence(
    step: str, bucket: str, s3_endpoint: Callable[[str], None]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        s3_endpoint(f"http://127.0.0.1:{free.getsockname()[1]}")
        folder = Folder(f"{bucket}/w")
        sentence = complaint(lambda: STEPS[step](folder))
    assert sentence.startswith(f"{bucket}/w cannot be reached: ") and "AWS_ENDPOINT_URL" in sentence


@pytest.mark.parametrize("step", ["names", "read"])
def test_a_store_that_refuses_is_one_sentence(step: str, bucket: str, faulty_s3: FaultyS3) -> None:
    name = bucket.removeprefix("s3://")
    faulty_s3.faults[f"/{name}"] = [403] * 3
    faulty_s3.faults[f"/{name}/w/a.json"] = [403] * 3
    sentence = complaint(lambda: STEPS[step](Folder(f"{bucket}/w")))
    assert sentence.startswith(f"{bucket}/w cannot be reached: ") and "credentials" in sentence


def test_writing_into_a_bucket_that_is_not_there_is_one_sentence(s3_server: str) -> None:
    sentence = complaint(lambda: Folder("s3://no-such-bucket-here/w").write_bytes("a", b""))
    assert "s3://no-such-bucket-here/w cannot be reached" in sentence and "bucket" in sentence


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    sentence = complaint(lambda: Folder(str(tmp_path)).write_bytes("a", b"x"))
    assert f"{tmp_path}/a cannot be written" in sentence and "No space left" in sentence
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_not_found_and_not_an_excuse(place: str) -> None:
    folder = Folder(place)
    assert not folder.exists("a") and folder.names("x") == []
    for columns in (None, ["id"]):
        with pytest.raises(FileNotFoundError):
            folder.read_table("a.parquet", columns)
    with pytest.raises(FileNotFoundError):
        folder.read_bytes("a")


def test_names_in_a_bucket_come_page_by_page(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(f"{bucket}/deep")
    for name in ("a.json", "b/c.json", "b/c.txt", "b/d.json"):
        folder.write_bytes(name, b"{}")
    pages: list[int] = []
    call = type(folder.fs).call_s3

    def in_pages_of_two(fs: object, method: str, **asked: object) -> dict[str, object]:
        page: dict[str, object] = call(fs, method, **asked, MaxKeys=2)
        pages.append(len(page.get("Contents", ())))  # type: ignore[arg-type]
        return page

    monkeypatch.setattr(type(folder.fs), "call_s3", in_pages_of_two)
    assert folder.names("") == ["a.json", "b/c.json", "b/c.txt", "b/d.json"]
    assert folder.names("b", ".json") == ["b/c.json", "b/d.json"] and folder.names("c") == []
    assert pages == [2, 2, 2, 1, 0]
    assert {info["size"] for info in folder.details("").values()} == {2}

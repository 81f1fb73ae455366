"""An archive is a stranger's: its links lead nowhere else, and rejects quote nothing of a file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from sample import copy_sample, small_job

from lazsl.archive.listing import list_archive
from lazsl.archive.manifest import plan_shards, read_manifest
from lazsl.archive.staging import stage
from lazsl.images.decoding import decode
from lazsl.images.reasons import Reject
from lazsl.run.run import open_run
from lazsl.run.steps import stage_shard
from lazsl.store.folder import Folder


@pytest.mark.parametrize(("links", "wanted"), [("inside", 1), ("anywhere", 3)])
def test_links_are_followed_inside_the_archive_and_elsewhere_only_if_a_setting_says_so(
    tmp_path: Path, links: str, wanted: int
) -> None:
    archive = copy_sample(tmp_path / "archive", 1, odd=False)
    (picture,) = (p for p in archive.rglob("*") if p.is_file())
    private = tmp_path / "private.jpg"
    private.write_bytes(picture.read_bytes())
    (archive / "out.jpg").symlink_to(private)
    (archive / "around.jpg").symlink_to("../archive/../private.jpg")
    picture.rename(archive / "moved.jpg")
    (archive / "in.jpg").symlink_to("moved.jpg")
    job = small_job(archive, tmp_path / "work", links=links)
    run = open_run(job)
    plan = plan_shards(run.workspace, job.archive, job.suffixes, job.shard_size, links=job.links)
    assert plan.listed == 4
    read = []
    for shard in plan.shards:
        staged = stage_shard(run, shard, tmp_path / "staged")
        read += [(staged.table["key"][n].as_py(), staged.read(n)) for n in range(len(staged.table))]
    reasons = {key: got.reason if isinstance(got, Reject) else None for key, got in read}
    outside = "outside-the-archive" if links == "inside" else None
    assert reasons == {
        "moved.jpg": None, "in.jpg": None, "out.jpg": outside, "around.jpg": outside
    }  # fmt: skip
    assert sum(reason is None for reason in reasons.values()) == wanted + 1
    assert len(read_manifest(run.workspace, run.archive)) == 4


def test_a_list_and_a_folder_of_tars_show_no_file_beside_them(tmp_path: Path, bucket: str) -> None:
    place = tmp_path / "archive"
    (place / "below").mkdir(parents=True)
    (tmp_path / "private.jpg").write_bytes(b"private")
    (place / "below" / "a.jpg").write_bytes(b"theirs")
    (place / "b.jpg").symlink_to(tmp_path / "private.jpg")
    Folder(bucket).write_bytes("private.jpg", b"private")
    entries = ["below/a.jpg", f"{place}/below/../below/a.jpg", f"{bucket}/private.jpg", "b.jpg"]
    entries += ["../private.jpg", str(tmp_path / "private.jpg"), f"file://{tmp_path}/private.jpg"]
    (place / "list.csv").write_text("\n".join(["path", *entries]) + "\n")
    with tarfile.open(tmp_path / "private.tar", "w") as tar:
        tar.add(tmp_path / "private.jpg", "a.jpg")
    (place / "0.tar").symlink_to(tmp_path / "private.tar")
    for url, links, shown in (
        (str(place / "list.csv"), "inside", 1),
        (str(place / "list.csv"), "anywhere", 5),
        (f"tars://::{place}", "inside", 0),
        (f"tars://::{place}", "anywhere", 1),
    ):
        images = list_archive(url, (".jpg",), links=links)
        ids = pa.array([f"{row:032x}" for row in range(len(images))])
        listed = images.append_column("image_id", ids)
        staged = stage(listed, url, tmp_path / f"staged-{links}-{shown}", 1, links=links)
        read = [staged.read(row) for row in range(len(images))]
        assert sum(not isinstance(data, Reject) for data in read) == shown, read
        assert b"private" not in read or links == "anywhere"


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (9, 9)).save(file, "PNG")
    return file.getvalue()


PNG = _png()


@pytest.mark.parametrize(
    "data",
    [
        b"root:x:0:0:root:/root:/bin/sh\n" * 3,
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x07sec!et42" * 4,
        PNG[:-30] + b"\0\0\0\x07s3c!et42" * 9,
        b"II*\0\x08\0\0\0\x01\0\0\1\2\0\x50\0\0\0\x08\0\0\0s3c!" * 4,
        b"\xff\xd8\xff\xe0root:x:0:0" * 5,
        b"II*\0\x08\0\0\0sec!et42" * 5,
        b"BMsec!et42root:x:0:0" * 9,
    ],
    ids=["text", "png", "png-chunk", "tiff-tag", "jpeg", "tiff", "bmp"],
)
def test_a_reject_quotes_no_bytes_of_the_file(data: bytes) -> None:
    reject = decode(data, max_pixels=10**6)
    assert isinstance(reject, Reject)
    assert not [part for part in ("root", "x:0", "sec", "s3c", "et4", "!") if part in reject.detail]

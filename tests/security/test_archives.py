"""An archive is a stranger's: its links lead nowhere else, and rejects quote nothing of a file."""

from __future__ import annotations

import io
import socket
import tarfile
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sample import copy_sample, small_job

from lazsl.archive.listing import list_archive
from lazsl.archive.manifest import read_manifest
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staging import stage
from lazsl.errors import UserError
from lazsl.images.decoding import decode
from lazsl.images.reasons import Reject
from lazsl.labelset.reading import load_labelset
from lazsl.run.run import open_run
from lazsl.run.stage_step import stage_shard
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


def staged_as(archive: Path, largest: int) -> list[str | int | None]:
    """Of every image of an archive why it is a reject, or how many bytes it has."""
    images = list_archive(str(archive), (".jpg",))
    ids = pa.array([f"{row:032x}" for row in range(len(images))])
    place = archive.with_name(f"staged-{archive.name}")
    listed = images.append_column("image_id", ids)
    staged = stage(listed, str(archive), place, 2, attempts=1, largest=largest)
    read = [staged.read(row) for row in range(len(images))]
    return [data.reason if isinstance(data, Reject) else len(data) for data in read]


def sparse(name: str, size: int, stored: bytes) -> bytes:
    """A member of a tar that says it has so many bytes, of which few are stored."""
    member = tarfile.TarInfo(name)
    member.type, member.size = tarfile.GNUTYPE_SPARSE, len(stored)
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0%011o\0" % (0, len(stored))
    head[483:495] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    sums = tarfile.calc_chksums(bytes(head))  # type: ignore[attr-defined]
    head[148:156] = b"%06o\0 " % sums[0]
    return bytes(head) + stored.ljust(512, b"\0")


def test_small_containers_that_unpack_to_very_much_are_rejects_and_take_no_memory(
    tmp_path: Path,
) -> None:
    large, most = b"\0" * 5_000_000, 1_000_000
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("large.jpg", large)
        packed.writestr("small.jpg", b"123")
    assert staged_as(tmp_path / "a.zip", most) == ["too-many-bytes", 3]

    members = sparse("a.jpg", 2**50, b"123") + sparse("b.jpg", 9, b"123")
    (tmp_path / "a.tar").write_bytes(members + bytes(1024))
    assert staged_as(tmp_path / "a.tar", most) == ["too-many-bytes", 9]

    # One picture that stands in every row is stored once.
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array([large]))
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"jpg": rows}), file, dictionary_pagesize_limit=2**30,
                   store_schema=False)  # fmt: skip
    before = pa.default_memory_pool().max_memory()
    assert staged_as(file, most) == ["too-many-bytes"] * 200
    assert pa.default_memory_pool().max_memory() < max(before, 100_000_000)

    # Rows without a picture take no room at all.
    pq.write_table(pa.table({"jpg": pa.nulls(100_000, pa.binary())}), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="says that it has 100000 rows in"):
        list_archive(str(tmp_path / "b.parquet"), (".jpg",))


def test_a_hostile_entry_of_a_zip_costs_no_other_picture(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as packed:
        for name in ("../out.jpg", "damaged.jpg", "encrypted.jpg", "good.jpg"):
            packed.writestr(name, b"0123456789")
    data = bytearray(file.read_bytes())
    data[data.index(b"damaged.jpg") + 13] ^= 1
    for head, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(b"encrypted.jpg", data.index(head))
        data[data.rindex(head, 0, at) + flags] |= 1
    file.write_bytes(data)
    outside, broken = "outside-the-archive", "unreadable"
    assert staged_as(file, 100) == [outside, broken, broken, 10]


class Endless(BaseHTTPRequestHandler):
    """Sends for ever what its header does not say."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(2000):
                Endless.sent += self.wfile.write(bytes(2**16))
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        pass


def test_what_a_web_server_sends_for_ever_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/a.json"
    (tmp_path / "list.csv").write_text(f"url\n{url}\n")
    assert staged_as(tmp_path / "list.csv", 100_000) == ["too-many-bytes"]
    monkeypatch.setattr("lazsl.store.folder.GIVEN", 100_000)
    with pytest.raises(UserError, match="more than 100000 bytes"):
        load_labelset(url)
    server.shutdown()
    assert Endless.sent < 100_000_000


def test_no_store_is_asked_about_an_entry_of_a_list_that_leads_elsewhere(tmp_path: Path) -> None:
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        elsewhere.settimeout(0.3)
        place = f"ftp://127.0.0.1:{elsewhere.getsockname()[1]}/a.jpg"
        (tmp_path / "list.csv").write_text(f"path\n{place}\n")
        assert staged_as(tmp_path / "list.csv", 100) == ["outside-the-archive"]
        with pytest.raises(TimeoutError):
            elsewhere.accept()


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

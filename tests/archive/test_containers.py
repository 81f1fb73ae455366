"""The same pictures as a folder, a zip, tars, Parquet files and a list.

Labels and scores are the same to the bit in every form; what is replaced is seen, what is cut short
goes on, and what is no container says what to do."""

from __future__ import annotations

import csv
import io
import os
import signal
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lazsl.archive import tars
from lazsl.archive.containers import archive_url
from lazsl.archive.listing import list_archive
from lazsl.archive.manifest import shard_images
from lazsl.archive.shard_planning import plan_shards
from lazsl.archive.staged_images import Staged
from lazsl.archive.staging import stage
from lazsl.archive.versions import UNVERSIONED
from lazsl.errors import UserError
from lazsl.fieldguide import IMAGES_DIR, LABELS_FILE
from lazsl.images.reasons import CHANGED, EMPTY, MISSING, OF_THE_MOMENT, UNREACHABLE, UNREADABLE
from lazsl.run import embed_step, label_set_step, score_step, stage_step
from lazsl.run.run import open_run, record_run
from lazsl.settings import make_job
from lazsl.store import paths
from lazsl.store.folder import Folder

SUFFIXES = (".jpg", ".png")
Pictures = dict[str, bytes]


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """A few of the sample archive, in folders and at the root."""
    files = sorted(IMAGES_DIR.glob("[0-9]*/*.jpg"))[::25][:7]
    assert len(files) == 7
    return {f"{'ab/' if n % 2 else ''}{n}.jpg": file.read_bytes() for n, file in enumerate(files)}


pytestmark = pytest.mark.usefixtures("one_thread")


def write_folder(place: Path, pictures: Pictures) -> str:
    for key, data in pictures.items():
        file = place / "folder" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return str(place / "folder")


def write_zip(place: Path, pictures: Pictures) -> str:
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "no picture")
        for key, data in pictures.items():
            archive.writestr(key, data)
    return str(place / "a.zip")


def write_tar(file: Path, pictures: Pictures) -> str:
    file.parent.mkdir(exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for key, data in pictures.items():
            for name, content in ((key, data), (key[:-3] + "txt", b"its caption")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return str(file)


def write_tars(place: Path, pictures: Pictures) -> str:
    keys = list(pictures)
    for number, part in enumerate((keys[:3], keys[3:])):
        write_tar(place / "tars" / f"{number:04d}.tar", {key: pictures[key] for key in part})
    return f"tars://::{place / 'tars'}"


def write_parquet(place: Path, pictures: Pictures) -> str:
    """As Hugging Face writes them, in two files, the second in row groups of two."""
    (place / "parquet").mkdir(exist_ok=True)
    rows = [{"image": {"bytes": d, "path": k}, "text": "a bird"} for k, d in pictures.items()]
    for number, part in enumerate((rows[:3], rows[3:])):
        file = place / "parquet" / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist(part), file, row_group_size=2)
    return f"parquet://::{place / 'parquet'}"


def write_list(place: Path, pictures: Pictures) -> str:
    write_folder(place, pictures)
    with (place / "list.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "caption"])
        for number, key in enumerate(pictures):
            whole = number % 2
            lines.writerow([f"{place}/folder/{key}" if whole else f"folder/{key}", "a bird"])
    return str(place / "list.csv")


FORMS: dict[str, Callable[[Path, Pictures], str]] = {
    "folder": write_folder,
    "zip": write_zip,
    "tar": lambda place, pictures: write_tar(place / "one" / "a.tar", pictures),
    "tars": write_tars,
    "parquet": write_parquet,
    "list": write_list,
}


def staged(url: str, place: Path, name: str = "staged", **options: Any) -> Staged:
    workspace = Folder(str(place / "workspace"))
    plan = plan_shards(workspace, url, SUFFIXES, 100)
    images = shard_images(workspace, plan.archive, plan.shards[-1])
    return stage(images, url, place / name, 4, pause=0, **options)


def outcomes(shard: Staged) -> list[Any]:
    """The bytes of each image, or the reason of its reject."""
    items = (shard.read(row) for row in range(len(shard.table)))
    return [item if isinstance(item, bytes) else item.reason for item in items]


def labelled(url: str, place: Path) -> list[tuple[Any, ...]]:
    """(digest, label, score) of every image, in two shards, sorted."""
    workspace = str(place / "runs")
    job = make_job(
        archive=url, labels=str(LABELS_FILE), workspace=workspace, model="fieldguide",
        device="cpu", regions={"count": 5}, shard_size=4, batch_size=16, decoders=1,
    )  # fmt: skip
    folder = Folder(workspace)
    plan = plan_shards(folder, url, job.suffixes, job.shard_size)
    run = open_run(job, plan.archive)
    record_run(run)
    label_set_step.embed_attributes(run)
    rows = []
    for shard in plan.shards:
        if not embed_step.is_embedded(run, shard):
            embed_step.embed_shard(run, shard, stage_step.stage_shard(run, shard, place / shard))
        if score_step.finished(run, shard) is None:
            score_step.score_shard(run, shard)
        predictions = folder.read_table(paths.run_table(run.key, "predictions", shard))
        images = folder.read_table(paths.images(run.encoder, run.regions, shard))
        digests = dict(
            zip(images["image_id"].to_pylist(), images["digest"].to_pylist(), strict=True)
        )
        for row in predictions.to_pylist():
            rows.append((digests[row["image_id"]], row["label"], row["score"]))
    return sorted(rows)


def killed(work: Callable[[], object], tables: int) -> None:
    """Do some work in a copy of this process that is killed once it has written so many tables."""
    child = os.fork()
    if child == 0:
        write, written = Folder.write_table, count()

        def counted(folder: Folder, name: str, table: pa.Table) -> str:
            if next(written) == tables:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(folder, name, table)

        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Folder, "write_table", counted)
                work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_every_form_gives_the_same_labels_and_scores_killed_and_resumed(
    tmp_path: Path, pictures: Pictures
) -> None:
    whole = tmp_path / "undisturbed"
    whole.mkdir()
    expected = labelled(write_folder(whole, pictures), whole)
    assert len(expected) == len(pictures)
    # Before the vectors of the first shard, after them and before its images, before and among its
    # scores, between the two shards, and after the vectors of the second.
    for tables, (name, write) in zip((1, 2, 3, 5, 7, 8), FORMS.items(), strict=True):
        place = tmp_path / name
        place.mkdir()
        url = write(place, pictures)
        killed(lambda url=url, place=place: labelled(url, place), tables)
        assert labelled(url, place) == expected, name


@pytest.mark.parametrize("form", FORMS)
def test_keys_are_stable_and_every_picture_is_staged_as_it_is(
    form: str, tmp_path: Path, pictures: Pictures
) -> None:
    url = FORMS[form](tmp_path, pictures)
    listing = list_archive(archive_url(url), SUFFIXES)
    keys = listing["key"].to_pylist()
    assert keys == list_archive(url, SUFFIXES)["key"].to_pylist() == sorted(keys)
    if form in ("folder", "zip", "tar"):
        assert keys == sorted(pictures)
    assert sorted(outcomes(staged(url, tmp_path))) == sorted(pictures.values())
    assert UNVERSIONED not in listing["version"].to_pylist()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_replaced_is_seen_and_nothing_else_that_need_not_be(
    form: str, tmp_path: Path, pictures: Pictures
) -> None:
    url = FORMS[form](tmp_path, pictures)
    workspace = Folder(str(tmp_path / "workspace"))
    plan_shards(workspace, url, SUFFIXES, 100)
    again = plan_shards(workspace, url, SUFFIXES, 100)
    assert (again.added, again.removed) == (0, 0)
    data = bytearray(pictures["0.jpg"])
    data[-3] ^= 1  # the same size
    FORMS[form](tmp_path, pictures | {"0.jpg": bytes(data)})
    for file in tmp_path.rglob("*.*"):  # a store that keeps seconds would not tell otherwise
        if file.suffix != ".zip" and file.name != "1.jpg" and "folder" not in str(file):
            os.utime(file, (2e9, 2e9))
    os.utime(tmp_path / "folder/0.jpg", (2e9, 2e9)) if (tmp_path / "folder").exists() else None
    changed = plan_shards(workspace, url, SUFFIXES, 100)
    if form in ("zip",):
        assert changed.added == changed.removed == 1, "by its checksum"
    assert changed.added == changed.removed >= 1
    assert bytes(data) in outcomes(staged(url, tmp_path, "again"))


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_found_again_by_its_uri_alone(
    form: str, tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an explanation does, wherever it is asked for."""
    monkeypatch.chdir(tmp_path)
    url = FORMS[form](tmp_path, pictures).replace(f"{tmp_path}/", "")
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, url, SUFFIXES, 100)
    image = shard_images(workspace, plan.archive, plan.shards[0]).slice(2, 1)
    key, uri = image["key"][0].as_py(), image["uri"][0].as_py()
    monkeypatch.chdir("/")
    assert str(tmp_path) in uri
    [data] = outcomes(stage(image, uri.removesuffix(f"/{key}"), tmp_path / "again", 1, pause=0))
    assert data in pictures.values()


def test_a_folder_of_tars_says_how_to_give_it(tmp_path: Path, pictures: Pictures) -> None:
    write_tars(tmp_path, pictures)
    with pytest.raises(UserError, match=r"2 with \.tar.*give it as tars://::"):
        list_archive(str(tmp_path / "tars"), SUFFIXES)


def test_a_tar_is_read_once_for_a_shard(
    tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = write_tars(tmp_path, pictures)
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, url, SUFFIXES, 100)
    images = shard_images(workspace, plan.archive, plan.shards[0])
    read: list[str] = []
    members = tars._members
    monkeypatch.setattr(tars, "_members", lambda data, p: (read.append(p), members(data, p))[1])
    shard = stage(images, url, tmp_path / "staged", 4)
    assert sorted(outcomes(shard)) == sorted(pictures.values())
    assert sorted(Path(path).name for path in read) == ["0000.tar", "0001.tar"]


@pytest.mark.parametrize("form", ["zip", "tar", "tars", "parquet"])
def test_what_is_cut_short_goes_on(
    form: str, tmp_path: Path, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends when some pictures are on the disk, which are then known as half staged."""
    url = FORMS[form](tmp_path, pictures)
    from lazsl.archive import fetching, staged_images

    keep, kept = fetching.keep, []

    def die(directory: Path, name: str, data: bytes) -> str:
        if len(kept) == 3:
            raise KeyboardInterrupt
        kept.append(name)
        return keep(directory, name, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetching, "keep", die)
        staged(url, tmp_path)
    assert staged_images.read_staged(tmp_path / "staged") is None
    assert sorted(outcomes(staged(url, tmp_path))) == sorted(pictures.values())


def test_what_changes_between_listing_and_fetching_becomes_a_reject(
    tmp_path: Path, pictures: Pictures
) -> None:
    url = write_tars(tmp_path, pictures)
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, url, SUFFIXES, 100)
    images = shard_images(workspace, plan.archive, plan.shards[0])
    first = tmp_path / "tars/0000.tar"
    keys = list(pictures)
    write_tar(first, {keys[0]: b"another", keys[1]: pictures[keys[1]]})
    os.utime(first, (2e9, 2e9))
    items = outcomes(stage(images, url, tmp_path / "staged", 4, pause=0))
    assert items.count(CHANGED) == 2 and items.count(MISSING) == 1
    (tmp_path / "tars/0001.tar").unlink()
    items = outcomes(stage(images, url, tmp_path / "later", 4, pause=0))
    assert items.count(MISSING) == 1 + len(keys[3:])


def test_rows_without_a_picture_are_rejects(tmp_path: Path, pictures: Pictures) -> None:
    """As img2dataset leaves them, where a URL was dead."""
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"key": ["1", "2"], "jpg": [None, pictures["0.jpg"]]}), file)
    url = str(file)
    assert list_archive(url, SUFFIXES)["key"].to_pylist() == ["00000000", "00000001"]
    assert outcomes(staged(url, tmp_path))[1] == pictures["0.jpg"]
    from lazsl.images.decoding import decode
    from lazsl.images.reasons import Reject

    nothing = decode(outcomes(staged(url, tmp_path))[0], max_pixels=100)
    assert isinstance(nothing, Reject) and nothing.reason == EMPTY


class Server(BaseHTTPRequestHandler):
    """Serves `pictures` with an ETag each, and a page of links to them; `dead.jpg` is not there."""

    pictures: Pictures
    heads = 0

    def do_HEAD(self) -> None:
        type(self).heads += 1
        self.answer(b"")

    def do_GET(self) -> None:
        links = "".join(f'<a href="/all/{key}">{key}</a>' for key in self.pictures)
        page = {"all": links.encode(), "all/": links.encode()}
        name = self.path.lstrip("/")
        self.answer(page.get(name) or self.pictures.get(name.removeprefix("all/"), b""))

    def answer(self, body: bytes) -> None:
        if self.path == "/forbidden":
            return self.send_error(403)
        name = self.path.lstrip("/").removeprefix("all/")
        data = body if name in ("", "all") else self.pictures.get(name)
        self.send_response(404 if data is None else 200)
        if data is not None:
            self.send_header("ETag", f'"{hash(data)}"')
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def server(pictures: Pictures) -> Iterator[str]:
    Server.pictures, Server.heads = dict(pictures), 0
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_a_list_of_urls_is_asked_what_changes_and_the_dead_are_rejects(
    server: str, tmp_path: Path, pictures: Pictures
) -> None:
    lines = ["url", *(f"{server}/{key}" for key in [*pictures, "dead.jpg"])]
    file = tmp_path / "urls.csv"
    file.write_text("\n".join(lines))
    url = str(file)
    listing = list_archive(url, SUFFIXES)
    assert Server.heads >= len(pictures)
    versions = dict(zip(listing["key"].to_pylist(), listing["version"].to_pylist(), strict=True))
    assert versions.pop(f"{server}/dead.jpg") == UNVERSIONED
    assert UNVERSIONED not in versions.values() and len(versions) == len(pictures)
    items = outcomes(staged(url, tmp_path))
    assert items.count(MISSING) == 1
    assert sorted(item for item in items if item != MISSING) == sorted(pictures.values())
    workspace = Folder(str(tmp_path / "workspace"))
    Server.pictures["0.jpg"] = pictures["0.jpg"][:-1] + b"x"
    changed = plan_shards(workspace, url, SUFFIXES, 100)
    assert (changed.added, changed.removed) == (1, 1)


def test_a_dead_host_in_a_list_costs_its_own_pictures_for_now_and_no_host_at_all_the_run(
    server: str, tmp_path: Path, pictures: Pictures
) -> None:
    with socket.socket() as free:  # bound, and nobody listens
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        file, workspace = tmp_path / "urls.csv", Folder(str(tmp_path / "workspace"))
        alive = [f"{server}/{key}" for key in pictures]
        gone = [f"{dead}/{number}.jpg" for number in range(20)]
        file.write_text("\n".join(["url", *alive, f"{server}/forbidden", *gone]))
        plan = plan_shards(workspace, str(file), SUFFIXES, 10)
        items: list[bytes | str] = []
        for shard in plan.shards:  # some of which have pictures of the dead host alone
            images = shard_images(workspace, plan.archive, shard)
            copies = stage(images, str(file), tmp_path / shard, 4, attempts=2, pause=0)
            items += outcomes(copies)
        assert items.count(UNREACHABLE) == 20 and items.count(UNREADABLE) == 1
        assert sorted(x for x in items if isinstance(x, bytes)) == sorted(pictures.values())
        assert UNREACHABLE in OF_THE_MOMENT
        file.write_text("\n".join(["url", *gone]))
        plan = plan_shards(Folder(str(tmp_path / "other")), str(file), SUFFIXES, 100)
        images = shard_images(Folder(str(tmp_path / "other")), plan.archive, plan.shards[0])
        with pytest.raises(UserError, match="no host of the list answers; check the network"):
            stage(images, str(file), tmp_path / "none", 4, attempts=2, pause=0)


def test_pictures_whose_host_is_silent_for_a_while_stay_what_they_were(
    server: str, tmp_path: Path, pictures: Pictures
) -> None:
    file, workspace = tmp_path / "urls.csv", Folder(str(tmp_path / "workspace"))
    file.write_text("\n".join(["url", *(f"{server}/{key}" for key in pictures)]))
    first = plan_shards(workspace, str(file), SUFFIXES, 100)
    with pytest.MonkeyPatch.context() as patch:
        for question in ("do_HEAD", "do_GET"):
            patch.setattr(Server, question, lambda self: self.wfile.close())
        again = plan_shards(workspace, str(file), SUFFIXES, 100)
    assert (again.added, again.removed, again.shards) == (0, 0, first.shards)


def test_a_list_from_elsewhere_names_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"mine")
    memory = fsspec.filesystem("memory")
    entries = [f"file://{secret}", str(secret), f"zip://a.jpg::file://{secret}", "b.jpg"]
    memory.pipe_file("/lists/a.csv", "\n".join(["url", *entries]).encode())
    memory.pipe_file("/lists/b.jpg", b"theirs")
    items = outcomes(staged("memory://lists/a.csv", tmp_path))
    assert sorted(items, key=str) == [b"theirs", MISSING, UNREADABLE, UNREADABLE]


def test_what_is_replaced_on_a_web_server_is_seen(server: str, tmp_path: Path) -> None:
    Server.pictures = {key: data for key, data in Server.pictures.items() if "/" not in key}
    workspace = Folder(str(tmp_path / "workspace"))
    plan = plan_shards(workspace, f"{server}/all", SUFFIXES, 100)
    assert plan.added == len(Server.pictures)
    assert plan_shards(workspace, f"{server}/all", SUFFIXES, 100).added == 0
    Server.pictures["0.jpg"] = Server.pictures["0.jpg"][:-1] + b"x"
    assert plan_shards(workspace, f"{server}/all", SUFFIXES, 100).added == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.tar", b"no tar at all" * 100, "cannot be read"),
        ("a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("a.csv", b"name,size\nx,1\n", "has the columns name, size; give a CSV"),
        ("a.zip", b"no zip", "cannot be listed"),
    ],
)
def test_what_is_no_container_says_so(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        list_archive(str(tmp_path / name), SUFFIXES)


def test_a_parquet_file_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["a"], "width": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"it has url, width\. If it lists paths"):
        list_archive(str(tmp_path / "a.parquet"), SUFFIXES)
    (tmp_path / "b.jpg").write_bytes(b"x")
    pq.write_table(pa.table({"url": ["b.jpg"], "width": [1]}), tmp_path / "a.parquet")
    keys = list_archive(f"list://::{tmp_path / 'a.parquet'}", SUFFIXES)["key"].to_pylist()
    assert keys == ["b.jpg"]


def test_a_truncated_tar_says_how_far_it_could_be_read(tmp_path: Path, pictures: Pictures) -> None:
    file = Path(write_tar(tmp_path / "one/a.tar", pictures))
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(UserError, match=r"cannot be read after \d+ entries"):
        list_archive(str(file), SUFFIXES)

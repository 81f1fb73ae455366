"""The report's files: they say what the warehouse says, whole, once, and the same every time."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reported import HOSTILE_CLASSES, HOSTILE_FILES, Two, hostile_run, two_runs
from sample import copy_sample, label_plainly, small_job
from typer.testing import CliRunner

from lazsl.cli.commands import app
from lazsl.errors import UserError
from lazsl.explain.maps import sharpened
from lazsl.fieldguide import LABELS_FILE
from lazsl.images.region_maps import explained
from lazsl.labelset.reading import load_labelset, write_labels
from lazsl.report.images import PART
from lazsl.report.make import make_report
from lazsl.report.site import Site, as_script, visible
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.warehouse.opening import open_warehouse

Row = dict[str, Any]


def data(site: Path, name: str) -> Any:
    """The value in a data file, read as a browser would, but by hand."""
    text = (site / "data" / f"{name}.js").read_text("ascii")
    inside = re.fullmatch(r"lazsl\.register\((.*)\);\n", text)
    assert inside is not None
    registered, value = json.loads(f"[{inside[1]}]")
    assert registered == name
    return value


def images_of(site: Path) -> dict[str, Row]:
    files = data(site, "report")["files"]
    return {image["id"]: image for name in files for image in data(site, f"images-{name}")}


def index_of(site: Path) -> Row:
    """The gallery's index, its files put together."""
    whole: Row = {}
    for number in range(data(site, "report")["chunks"]):
        for name, values in data(site, f"index-{number}").items():
            whole[name] = whole[name] + values if name in whole else values
    return whole


def contents(site: Path) -> dict[str, bytes]:
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def two(labelled: Run, tmp_path_factory: pytest.TempPathFactory) -> Two:
    return two_runs(labelled, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def site(two: Two, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the newer run, compared with the older."""
    folder = tmp_path_factory.mktemp("report") / "site"
    make_report(two.warehouse, two.new.key, str(folder), against=two.old.key)
    return folder


@pytest.fixture
def rows(two: Two) -> Any:
    """Rows of a query as dictionaries."""
    with closing(open_warehouse(two.warehouse)) as connection:

        def ask(query: str, *values: Any) -> list[Row]:
            result = connection.execute(query, list(values))
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

        yield ask


# What it says


def test_every_labelled_image_has_a_page_and_a_line_in_the_gallery_least_certain_first(
    two: Two, site: Path, rows: Any
) -> None:
    wanted = rows("select * from labelled where run = ? order by margin, image_id", two.new.key)
    index = index_of(site)
    ids = [index["ids"][at : at + 32] for at in range(0, len(index["ids"]), 32)]
    assert ids == [row["image_id"] for row in wanted]
    assert index["keys"] == [row["key"] for row in wanted]
    names = data(site, "labels")["names"]
    assert [names[n] for n in index["guess"]] == [row["label"] for row in wanted]
    assert [names[n] if n >= 0 else None for n in index["truth"]] == [r["truth"] for r in wanted]
    assert np.allclose(index["margin"], [1e5 * row["margin"] for row in wanted], atol=0.51)
    images = images_of(site)
    assert set(images) == set(ids)
    assert [images[i]["at"] for i in ids] == list(range(len(ids)))
    files = data(site, "report")["files"]
    for image_id, file in zip(ids, index["file"], strict=True):
        assert image_id in {image["id"] for image in data(site, f"images-{files[file]}")}
    assert max(Counter(index["file"]).values()) <= PART


def test_the_plans_of_a_page_are_those_in_the_warehouse(two: Two, site: Path, rows: Any) -> None:
    images = images_of(site)
    contributions = rows(
        "select image_id, rank, p.similarity, list(contribution order by attribute_index) as "
        "contributions from evidence join plans as p using (run, shard, image_id, rank) "
        "where run = ? group by all",
        two.new.key,
    )
    assert len(contributions) == 2 * len(images)
    for row in contributions:
        image = images[row["image_id"]]
        plan = image["plans"][row["rank"] - 1]
        cells = np.frombuffer(base64.b64decode(plan["cells"]), "<i2") * plan["scale"]
        kept = cells[: len(row["similarity"])]
        assert np.allclose(kept, row["similarity"], atol=plan["scale"])
        shown = image["classes"][row["rank"] - 1]["contributions"]
        assert np.allclose(shown, row["contributions"], atol=1e-6)
    boxes = rows("select image_id, boxes from regions")
    for row in boxes:
        image = images[row["image_id"]]
        flat = [[b["left"], b["top"], b["right"], b["bottom"]] for b in row["boxes"]]
        kept = image["boxes"][: 4 * len(image["regions"])]
        assert kept == [edge for region in image["regions"] for edge in flat[region]]


def test_the_overview_reconciles_its_counts(two: Two, site: Path, rows: Any) -> None:
    text = (site / "index.html").read_text("utf-8")
    (run,) = rows("select * from run_summary where run = ?", two.new.key)
    assert f"{run['listed']} listed = {run['labelled']} labelled + 0 abstained" in text
    assert f"{run['rejected']} rejected" in text
    right = rows("select accuracy from accuracy where run = ? and method = 'lazsl'", two.new.key)
    assert f"{100 * right[0]['accuracy']:.1f}\u202f%" in text
    assert f"all {run['shards']} shards" in text


def test_rejects_are_listed_by_reason(two: Two, site: Path, rows: Any) -> None:
    wanted = rows("select reason, key, detail from rejected where run = ?", two.new.key)
    shown = []
    for number, (reason, count) in enumerate(data(site, "report")["rejects"]):
        entries = data(site, f"rejects-{number}")
        assert len(entries) == count
        shown += [(reason, row[0], row[1]) for row in entries]
    assert sorted(shown) == sorted((r["reason"], r["key"], visible(r["detail"])) for r in wanted)


def test_a_class_names_its_attributes_its_exemplars_and_its_rivals(
    two: Two, site: Path, rows: Any
) -> None:
    called = rows("select * from labelled where run = ?", two.new.key)
    names = data(site, "labels")["names"]
    lost = Counter((r["truth"], r["label"]) for r in called if r["truth"] not in (None, r["label"]))
    assert lost
    for (truth, label), count in lost.items():
        page = data(site, f"class-{names.index(truth)}")
        (rival,) = [r for r in page["rivals"] if names[r["class"]] == label]
        assert rival["lost"] == count
        other = data(site, f"class-{names.index(label)}")
        (back,) = [r for r in other["rivals"] if names[r["class"]] == truth]
        assert back["taken"] == count
    for label, images in Counter(r["label"] for r in called).items():
        page = data(site, f"class-{names.index(label)}")
        assert page["images"] == images
        of_class = sorted((r for r in called if r["label"] == label), key=lambda r: -r["margin"])
        assert page["typical"][0]["id"] == of_class[0]["image_id"]
        shown = [card["id"] for card in page["typical"] + page["odd"]]
        assert len(shown) == len(set(shown))
        evidence = rows(
            "select attribute_index, contribution from evidence "
            "where run = ? and rank = 1 and class = ?",
            two.new.key,
            label,
        )
        for number, contribution, *_ in page["attributes"]:
            contributions = [e["contribution"] for e in evidence if e["attribute_index"] == number]
            assert contribution == pytest.approx(np.mean(contributions), rel=1e-5)


def test_the_average_map_of_a_single_image_is_its_own(site: Path) -> None:
    images = images_of(site)
    best = Counter(image["classes"][0]["class"] for image in images.values())
    single = [number for number, times in best.items() if times == 1]
    assert single
    for number in single:
        packed = data(site, f"class-{number}")["maps"]
        (image,) = [i for i in images.values() if i["classes"][0]["class"] == number]
        boxes = np.reshape(image["boxes"], (-1, 4))
        cells = np.frombuffer(base64.b64decode(image["plans"][0]["cells"]), "<i2")
        similarity = cells.reshape(len(boxes), -1).astype(float)
        grid = (packed["grid"], packed["grid"])
        size = tuple(image["size"])
        places = explained(boxes, sharpened(boxes, similarity, size), size, grid).clip(0)
        levels = [
            np.frombuffer(base64.b64decode(encoded), np.uint8) for encoded in packed["levels"]
        ]
        for place, level in zip(places, levels, strict=True):
            assert level.max() == 255
            wanted = 255 * place.ravel() / place.max()
            np.testing.assert_allclose(level.astype(float), wanted, atol=1.5)


def test_the_comparison_has_every_changed_image_with_what_moved_it(
    two: Two, site: Path, rows: Any
) -> None:
    old, new = (
        {r["image_id"]: r for r in rows("select * from labelled where run = ?", run.key)}
        for run in (two.old, two.new)
    )
    labels = {i: (old[i]["label"], new[i]["label"]) for i in new}
    wanted = {i: both for i, both in labels.items() if both[0] != both[1]}
    assert wanted
    shown = [
        row
        for number in range(len(data(site, "report")["changed"]))
        for row in data(site, f"changed-{number}")
    ]
    assert {r["image_id"]: (r["label_before"], r["label_after"]) for r in shown} == wanted
    for row in shown:
        for moved in row["moved"]:
            for run, value in ((two.old, moved["before"]), (two.new, moved["after"])):
                contributions = rows(
                    "select contribution from evidence "
                    "where run = ? and image_id = ? and class = ? and attribute = ?",
                    run.key, row["image_id"], moved["class"], moved["attribute"],
                )  # fmt: skip
                if contributions:
                    assert value == pytest.approx(contributions[0]["contribution"])
        changes = [abs(m["after"] - m["before"]) for m in row["moved"]]
        assert changes == sorted(changes, reverse=True)
    text = (site / "compare.html").read_text("utf-8")
    assert f"{len(wanted)} of {len(new)} images have another label" in text


# Previews


def test_the_comparison_names_the_settings_that_differ(site: Path) -> None:
    text = (site / "compare.html").read_text("utf-8")
    (row,) = re.findall(r"<tr><th scope=\"row\">scoring.theta</th>.*?</tr>", text)
    assert "<bdi>0.8</bdi>" in row and "<bdi>0.3</bdi>" in row


def test_previews_are_small_upright_and_made_once(
    two: Two, site: Path, rows: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(site, copy)
    shards = {r["image_id"]: r for r in rows("select * from labelled where run = ?", two.new.key)}
    seen = ("width", "height", "orientation")
    sizes = {r["image_id"]: tuple(r[name] for name in seen) for r in rows("from images")}
    turned = 0
    for image_id, row in shards.items():
        path = copy / "previews" / row["shard"] / f"{image_id}.webp"
        width, height, orientation = sizes[image_id]
        turned += orientation > 1
        with Image.open(path) as preview:
            assert max(preview.size) <= 400
            assert preview.size[0] / preview.size[1] == pytest.approx(width / height, rel=0.01)
            assert not preview.getexif()
    assert turned
    before = {p: p.stat().st_mtime_ns for p in (copy / "previews").rglob("*.webp")}
    removed = next(iter(before))
    removed.unlink()
    make_report(two.warehouse, two.new.key, str(copy), against=two.old.key)
    after = {p: p.stat().st_mtime_ns for p in (copy / "previews").rglob("*.webp")}
    assert set(before) == set(after)
    assert {p for p in after if before[p] != after[p]} == {removed}
    assert contents(copy) == contents(site)


def test_an_image_that_cannot_be_read_now_says_why(tmp_path: Path) -> None:
    archive = copy_sample(tmp_path / "archive", 4, odd=False)
    run = label_plainly(small_job(archive, tmp_path / "workspace"), tmp_path / "scratch")
    gone, other = sorted(archive.rglob("*.jpg"))[:2]
    gone.unlink()
    other.write_bytes(b"no longer a picture")
    made = make_report(run.job.warehouse_path, run.key, str(tmp_path / "site"))
    assert (made.images, made.missing) == (4, 2)
    missing = {image["key"]: image["missing"] for image in images_of(tmp_path / "site").values()}
    assert "no longer there" in missing[gone.relative_to(archive).as_posix()]
    assert "is now" in missing[other.relative_to(archive).as_posix()]
    assert sum(reason is None for reason in missing.values()) == 2
    assert sorted(index_of(tmp_path / "site")["flags"]) == [0, 0, 2, 2]
    assert "could not be read again just now" in (tmp_path / "site" / "index.html").read_text()
    shutil.rmtree(archive)
    with pytest.raises(UserError, match=r"no longer there.*--no-previews"):
        make_report(run.job.warehouse_path, run.key, str(tmp_path / "site"))
    made = make_report(run.job.warehouse_path, run.key, str(tmp_path / "site"), previews=False)
    assert made.missing == 0


def test_an_image_whose_label_is_a_parent_says_so(tmp_path: Path) -> None:
    labels = load_labelset(str(LABELS_FILE))
    tree = replace(labels, parents={label: f"genus {label[0]}" for label in labels.classes})
    write_labels(tree, str(tmp_path / "tree.json"))
    # Nothing is sure enough for a class, and everything for a parent.
    sure = {"temperature": 0.01, "abstain_below": 1.0, "parents_above": 0.0}
    job = small_job(
        copy_sample(tmp_path / "archive", 2, odd=False),
        tmp_path / "workspace",
        labels=str(tmp_path / "tree.json"),
        scoring={"aligner": "one-sided", **sure},
    )
    run = label_plainly(job, tmp_path / "scratch")
    site = tmp_path / "site"
    make_report(run.job.warehouse_path, run.key, str(site))
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        query = "select image_id, presence, answer, best_guess, parent_chance from labelled"
        query += " where parent_level = 1"
        rows = connection.execute(query).fetchall()
    images = images_of(site)
    assert len(rows) == len(images) == 2
    for image_id, presence, answer, guess, chance in rows:
        image = images[image_id]
        assert image["parent"] == [f"genus {guess[0]}", pytest.approx(chance, abs=1e-6)]
        assert image["parent"][0] == answer
        assert image["there"] == pytest.approx(presence, abs=1e-6)
    assert "2 of which have a parent of their class" in (site / "index.html").read_text("utf-8")


# How it is made


def test_a_report_that_was_cut_off_and_made_again_ends_the_same(
    two: Two, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    whole = contents(site)
    write = Folder.write_bytes
    for last in (30, len(whole) - 1):
        target = tmp_path / f"after-{last}"
        left = [last]

        def dying(folder: Folder, name: str, blob: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            write(folder, name, blob)

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write_bytes", dying)
            with pytest.raises(Killed):
                make_report(two.warehouse, two.new.key, str(target), against=two.old.key)
        assert not (target / "index.html").exists()
        make_report(two.warehouse, two.new.key, str(target), against=two.old.key)
        assert contents(target) == whole


def test_a_report_goes_into_a_bucket_too(two: Two, site: Path, bucket: str) -> None:
    made = make_report(two.warehouse, two.new.key, f"{bucket}/site", against=two.old.key)
    assert made.index == f"{bucket}/site/index.html"
    folder = Folder(f"{bucket}/site")
    assert {name: folder.read_bytes(name) for name in folder.names("")} == contents(site)


def test_a_limited_report_shows_the_least_certain_and_a_random_half_and_says_so(
    two: Two, rows: Any, tmp_path: Path
) -> None:
    made = make_report(
        two.warehouse, two.new.key, str(tmp_path / "site"), images=10, previews=False
    )
    assert made.images == 10 < made.labelled
    shown = set(images_of(tmp_path / "site"))
    by_margin = rows("select image_id from labelled where run = ? order by margin", two.new.key)
    least = [row["image_id"] for row in by_margin[:5]]
    assert set(least) <= shown
    # An image_id is a digest, so its order is a random one.
    rest = sorted(row["image_id"] for row in by_margin[5:])
    assert shown == {*least, *rest[:5]}
    for page in ("index.html", "gallery.html", "image.html"):
        text = (tmp_path / "site" / page).read_text("utf-8")
        assert f"Pages for 10 of {made.labelled} images" in text


def test_the_size_that_is_told_is_the_size_on_disk(two: Two, tmp_path: Path) -> None:
    made = make_report(two.warehouse, two.new.key, str(tmp_path / "site"))
    files = contents(tmp_path / "site")
    marker = len(files["data/site.json"])
    assert made.bytes == pytest.approx(sum(map(len, files.values())) - marker, abs=2000)
    previews = sum(len(blob) for name, blob in files.items() if name.startswith("previews/"))
    assert made.preview_bytes == previews


def test_a_run_without_plans_still_has_its_pages(labelled: Run, tmp_path: Path) -> None:
    job = small_job(
        copy_sample(tmp_path / "archive", 3, odd=False),
        tmp_path / "workspace",
        scoring={"plans": 0, "top_k": 1},
    )
    run = label_plainly(job, tmp_path / "scratch")
    make_report(run.job.warehouse_path, run.key, str(tmp_path / "site"), previews=False)
    images = images_of(tmp_path / "site")
    assert not any(image["plans"] for image in images.values())
    assert all(image["classes"][0]["contributions"] for image in images.values())


# Bad input


def test_a_folder_with_something_else_or_another_report_is_refused(
    two: Two, site: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"holds the report of run {two.new.key}"):
        make_report(two.warehouse, two.old.key, str(site))
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UserError, match="holds something that is no report"):
        make_report(two.warehouse, two.new.key, str(tmp_path))
    assert (tmp_path / "index.html").read_text() == "mine"
    for damage in ("", "null", "[]", '{"ru'):
        Folder(str(tmp_path)).write_bytes("data/site.json", damage.encode())
        with pytest.raises(UserError, match=r"site\.json is damaged; delete the report"):
            make_report(two.warehouse, two.new.key, str(tmp_path))


def test_an_unknown_run_is_one_sentence(two: Two, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"begins with 'nothing'.*{two.new.key}"):
        make_report(two.warehouse, "nothing", str(tmp_path / "site"))
    with pytest.raises(UserError, match="begins with 'nothing'"):
        make_report(two.warehouse, two.new.key, str(tmp_path / "site"), against="nothing")
    assert not (tmp_path / "site").exists()


def test_runs_of_two_archives_are_not_compared(two: Two, tmp_path: Path) -> None:
    run = label_plainly(
        small_job(copy_sample(tmp_path / "archive", 2, odd=False), tmp_path / "workspace"),
        tmp_path / "scratch",
    )
    path = tmp_path / "both.duckdb"
    shutil.copy(two.warehouse, path)
    path.chmod(0o644)
    from lazsl.warehouse import loading

    loading.load(run.workspace, path)
    with pytest.raises(UserError, match="is of another archive"):
        make_report(path, two.new.key, str(tmp_path / "site"), against=run.key)


def test_the_command_makes_a_report_and_says_where(two: Two, tmp_path: Path) -> None:
    options = ["--warehouse", str(two.warehouse), "--output", str(tmp_path / "site")]
    done = CliRunner().invoke(app, ["report", two.new.key[:-3], "--no-previews", *options])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "site" / "index.html") in done.output.replace("\n", "")
    assert (tmp_path / "site" / "index.html").is_file()
    refused = CliRunner().invoke(app, ["report", "nothing", *options])
    assert refused.exit_code == 2 and "no run in the warehouse begins with" in refused.output


# Names


def test_hostile_names_stay_data(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    site = tmp_path / "site"
    make_report(run.job.warehouse_path, run.key, str(site))
    for name, blob in contents(site).items():
        assert re.fullmatch(r"[a-z0-9./-]+", name), name
        if name.startswith("data/") and name.endswith(".js"):
            assert blob.isascii() and not set(b"<>&\x7f") & set(blob), name
        if name.endswith(".html"):
            text = blob.decode("utf-8")
            assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
            assert "<img src=x" not in text and "<script>" not in text
    assert {visible(name) for name in HOSTILE_FILES} == set(index_of(site)["keys"])
    assert data(site, "labels")["names"][:5] == [visible(name) for name in HOSTILE_CLASSES]
    assert data(site, "labels")["attributes"] == [
        [visible(text) for text in texts] for texts in HOSTILE_CLASSES.values()
    ]


@pytest.mark.parametrize(
    "text",
    ["plain", "</script>", "\\n is no newline", "\n is one", "\u202eback", "\\u202e", "\x00\x7f",
     "\u2028\u2029", '"quoted" & more', "鳥 شجرة ‹U+202E›"],
)  # fmt: skip
def test_a_data_file_is_ascii_and_gives_back_what_can_be_seen(text: str) -> None:
    script = as_script("name-1", {"text": text, "list": [1.5, None, text]})
    assert script.isascii() and not set(b"<>&") & set(script)
    (value,) = json.loads(b"[" + script[len(b'lazsl.register("name-1",') : -3] + b"]")
    assert value == {"text": visible(text), "list": [1.5, None, visible(text)]}


def test_what_is_no_report_is_never_overwritten(tmp_path: Path) -> None:
    Site(str(tmp_path / "a"), "run-a")
    assert Site(str(tmp_path / "a"), "run-a").folder.is_local
    with pytest.raises(UserError, match="report of run run-a, not of run-b"):
        Site(str(tmp_path / "a"), "run-b")

"""`lazsl explain`: the numbers are the run's, the picture shows them where they are."""

from __future__ import annotations

import io
import json
import shlex
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image as Pixels
from PIL import ImageOps
from sample import label_plainly, small_job
from typer.testing import CliRunner

from lazsl import fieldguide
from lazsl.alignment.align import select_regions
from lazsl.alignment.plans import plans_for
from lazsl.archive.listing import list_archive
from lazsl.archive.named_archives import note
from lazsl.cli.commands import app
from lazsl.cli.label_summary import show_labelled
from lazsl.explain.evidence import Evidence
from lazsl.explain.explanation import Explanation, explain
from lazsl.explain.file_names import file_name, mark_of, picture_name
from lazsl.explain.localised import localised
from lazsl.explain.lookup import Image, Verdict, find_image, find_run
from lazsl.explain.picture.canvas import DPI, Canvas, Frame, Style, text_width, wrap
from lazsl.explain.picture.draw import draw, reading
from lazsl.explain.picture.overlay import THIS
from lazsl.explain.picture.places import TALLEST, WIDEST, places
from lazsl.explain.picture.scene import MARGIN, WIDTH, make_scene
from lazsl.explain.pixels import read_pixels
from lazsl.explain.recomputed import align, read_attributes, read_stored
from lazsl.explain.side_by_side import Pair, Spoken, pair, spoken
from lazsl.explain.words import because, facts
from lazsl.run.run import Run
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.visible_text import short, visible
from lazsl.warehouse.opening import open_warehouse
from lazsl.warehouse.sqlfiles import Connection

ROTATED = "odd/rotated by exif.jpg"
HOSTILE = {
    'Wren <script>alert("1")</script>': ["$x^2$ \\frac{1}{0} & a tail", "[bold red]a crest[/]"],
    "\u202egnirts \u0007\x1b[31m": ["a line\nbreak", "鳥の羽 ทดสอบ עברית", "50 % of 'all'"],
    "A name without an end " * 20: ["an-attribute-without-a-space-" * 20],
    "../../etc/passwd": [],
}
HOSTILE_KEYS = (
    "wide/<b>'$1.png",
    "tall \u202egnp.png",
    "[red]two pixels[_].png",
    "gone.png",
    "new.png",
)


@pytest.fixture(scope="module")
def connection(labelled: Run) -> Iterator[Connection]:
    with closing(open_warehouse(labelled.job.warehouse_path)) as connection:
        yield connection


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of pictures of every shape under names that hold everything."""
    home = tmp_path_factory.mktemp("hostile")
    plate = Pixels.open(fieldguide.IMAGES_DIR / "1858" / "plate-001.jpg")
    shapes = ((1500, 150), (120, 1500), (2, 2), (200, 150), (200, 150))
    for key, size in zip(HOSTILE_KEYS, shapes, strict=True):
        target = home / "archive" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        plate.resize(size).save(target)
    labels = home / "labels.json"
    labels.write_text(json.dumps(HOSTILE), encoding="utf-8")
    job = small_job(home / "archive", home / "workspace", labels=str(labels))
    run = label_plainly(job, home / "scratch")
    (home / "archive" / "gone.png").unlink()
    plate.save(home / "archive" / "new.png")
    return run


def case(connection: Connection, run: Run, image: str, against: str | None = None) -> Explanation:
    run_of_image = find_run(connection, run.key, run.job.workspace)
    return explain(
        connection, run_of_image, find_image(connection, run_of_image.key, image), against
    )


def ask(run: Run, *arguments: str) -> str:
    """What the command prints, errors among it."""
    options = ["-w", run.job.workspace, "--run", run.key]
    result = CliRunner().invoke(app, ["explain", *arguments, *options])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refused(run: Run, *arguments: str) -> str:
    """The one sentence the command ends with."""
    result = CliRunner().invoke(app, ["explain", *arguments, "-w", run.job.workspace])
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("lazsl: "), result.output
    return lines[0]


# The numbers


@pytest.mark.parametrize("image", ["1858/plate-001.jpg", "plate-012.jpg", ROTATED])
def test_contributions_add_up_to_the_score_and_differences_to_the_margin(
    connection: Connection, labelled: Run, image: str
) -> None:
    explanation = case(connection, labelled, image)
    assert explanation.other is not None
    for match in (explanation.this, explanation.other):
        parts = spoken(match)
        assert sum(part.contribution for part in parts) == pytest.approx(match.score, abs=1e-6)
        assert np.mean([part.similarity for part in parts]) == pytest.approx(match.score, abs=1e-6)
        assert sum(abs(part.share) for part in parts) == pytest.approx(1)
    pairs = pair(explanation.this, explanation.other)
    assert sum(pair.difference for pair in pairs) == pytest.approx(
        explanation.verdict.margin, abs=1e-6
    )
    for side, evidence in (("this", explanation.this), ("other", explanation.other)):
        texts = [getattr(pair, side).text for pair in pairs if getattr(pair, side) is not None]
        assert sorted(texts) == sorted(evidence.attributes)


def test_strengths_and_best_regions_are_those_in_the_warehouse(
    connection: Connection, labelled: Run
) -> None:
    explanation = case(connection, labelled, "plate-012.jpg")
    rows = connection.execute(
        "select attribute, contribution, box from why($run, $image)",
        {"run": labelled.key, "image": explanation.image.image_id},
    ).fetchall()
    assert [attribute.text for attribute in spoken(explanation.this)] == [row[0] for row in rows]
    for attribute, (_, contribution, box) in zip(spoken(explanation.this), rows, strict=True):
        assert attribute.contribution == pytest.approx(contribution, abs=1e-6)
        assert attribute.box == (box["left"], box["top"], box["right"], box["bottom"])


def test_a_class_without_a_kept_plan_is_aligned_anew_from_stored_embeddings(
    connection: Connection, labelled: Run
) -> None:
    best = case(connection, labelled, "plate-012.jpg")
    kept = connection.execute(
        "select class from plans where image_id = ?", [best.image.image_id]
    ).fetchall()
    another = next(name for name in labelled.labelset.classes if (name,) not in kept)
    rival_evidence = case(connection, labelled, "plate-012.jpg", against=another.upper()).other
    assert rival_evidence is not None and rival_evidence.label == another

    home = Path(labelled.job.workspace)
    embedded = home / "embeddings" / labelled.encoder / labelled.regions
    rows = pq.read_table(embedded / f"{best.image.shard}.parquet")
    rows = rows.filter(pc.equal(rows["image_id"], best.image.image_id)).sort_by("region")
    vectors = torch.tensor(np.array(rows["embedding"].to_pylist(), np.float32))[None]
    whole, crops = vectors[:, 0], vectors[:, 1:]
    keep = select_regions(crops, whole, labelled.job.scoring.gamma)
    table = pq.read_table(home / "attributes" / labelled.encoder / f"{labelled.labels}.parquet")
    labels = EmbeddedLabels.from_table(table)
    chosen = torch.tensor([[labelled.labelset.classes.index(another)]])
    plans = plans_for(crops, whole, keep, labels.packed, chosen)
    mass, similarity = plans.of(0, 0)
    np.testing.assert_allclose(rival_evidence.mass, mass.numpy(), atol=1e-7)
    np.testing.assert_allclose(rival_evidence.similarity, similarity.numpy(), atol=1e-7)
    assert rival_evidence.score == pytest.approx(float(plans.scores[0, 0]), abs=1e-7)
    assert rival_evidence.regions.tolist() == (np.flatnonzero(keep[0].numpy()) + 1).tolist()
    boxes = [
        rows[name].to_numpy()[rival_evidence.regions] for name in ("left", "top", "right", "bottom")
    ]
    np.testing.assert_array_equal(rival_evidence.boxes, np.stack(boxes, axis=1))


def test_a_plan_made_anew_is_the_plan_that_was_kept(connection: Connection, labelled: Run) -> None:
    kept = case(connection, labelled, ROTATED)
    labels = EmbeddedLabels.from_table(read_attributes(kept.run))
    stored = read_stored(kept.run, kept.image)
    assert kept.other is not None
    names = [kept.this.label, kept.other.label]
    for made, plan in zip(
        align(stored, labels, labelled.job.scoring, names, 2**28),
        (kept.this, kept.other),
        strict=True,
    ):
        assert (made.label, made.rank, made.attributes) == (plan.label, plan.rank, plan.attributes)
        np.testing.assert_array_equal(made.boxes, plan.boxes)
        np.testing.assert_allclose(made.mass, plan.mass, atol=1e-7)
        np.testing.assert_allclose(made.similarity, plan.similarity, atol=1e-6)


def test_attributes_that_say_alike_stand_side_by_side() -> None:
    this = evidence(("a curved blue beak", "yellow legs", "a fan tail"), label="this")
    other = evidence(("Yellow legs", "a conical blue beak", "a smooth crown"), label="other")
    actual = [
        (
            attributes.this and attributes.this.text,
            attributes.other and attributes.other.text,
            attributes.shared,
        )
        for attributes in pair(this, other)
    ]
    assert sorted(actual, key=str) == [
        ("a curved blue beak", "a conical blue beak", False),
        ("a fan tail", None, False),
        ("yellow legs", "Yellow legs", True),
        (None, "a smooth crown", False),
    ]


def test_the_sentence_names_what_made_the_difference() -> None:
    this = evidence(("a blue beak", "legs"), np.array([[0.30, 0.10]]), label="this")
    other = evidence(("a red beak", "legs"), np.array([[0.10, 0.11]]), label="other")
    explained = explanation(this, other)
    assert because(explained, pair(this, other)) == (
        "this rather than other, because of a blue beak instead of a red one."
    )
    alike = evidence(("a blue crest", "legs"), np.array([[0.29, 0.12]]), label="this")
    rival = evidence(("a blue crest", "legs"), np.array([[0.28, 0.10]]), label="other")
    assert because(explanation(alike, rival), pair(alike, rival)) == (
        "this rather than other, because of legs, which both have."
    )
    close = evidence(("a red crest", "legs"), np.array([[0.27, 0.10]]), label="other")
    assert because(explanation(alike, close), pair(alike, close)) == (
        "this rather than other, because of a blue crest instead of a red one, and of legs, which "
        "both have."
    )
    low = explanation(this, other, abstained=True, score=0.1)
    job = low.run.job
    floored = job.model_copy(update={"scoring": job.scoring.model_copy(update={"floor": 0.125})})
    assert "abstained" in facts(low)
    assert "abstained: below the floor 0.1250" in facts(
        replace(low, run=replace(low.run, job=floored))
    )
    only = explanation(evidence(("a crest",), np.array([[0.3]]), label="this"), None)
    assert because(only, pair(only.this, None)) == "What speaks most for this: a crest."


@pytest.mark.parametrize(
    ("text", "rival", "reason"),
    [
        ("a hooked bill", "a straight bill", "a hooked bill instead of a straight one"),
        ("long legs", "short legs", "long legs instead of short ones"),
        ("a crest", "crest", "a crest instead of crest"),
        ("a black eye stripe", None, "a black eye stripe"),
        (None, "a crest", "no sign of a crest, which other has"),
    ],
)
def test_a_reason_reads_as_a_person_says_it(
    text: str | None, rival: str | None, reason: str
) -> None:
    spoken_of = [
        None if words is None else Spoken(0, words, value, value, 1.0, (0, 0, 1, 1))
        for words, value in ((text, 0.2), (rival, -0.1))
    ]
    this, other = evidence(("x",), label="this"), evidence(("y",), label="other")
    changed = replace(explanation(this, other), other=replace(other, score=this.score - 0.3))
    sentence = because(changed, [Pair(*spoken_of)])
    assert sentence == f"this rather than other, because of {reason}."


# Which image


def test_an_image_is_found_by_key_by_id_and_by_the_end_of_its_key(
    connection: Connection, labelled: Run
) -> None:
    image = find_image(connection, labelled.key, ROTATED)
    for name in (image.image_id, "rotated by exif.jpg", "exif.jpg", "by exif"):
        assert find_image(connection, labelled.key, name) == image


def test_what_cannot_be_explained_is_said_in_a_sentence(labelled: Run, tmp_path: Path) -> None:
    assert "has no image 'nothing.jpg'" in refused(labelled, "nothing.jpg")
    assert "may be any of '1858/plate-001.jpg', " in refused(labelled, "plate-0")
    assert "may be any of '1858/plate-001.jpg', " in refused(labelled, "1.jpg")
    assert "too-small: PNG of 1 x 1 pixels" in refused(labelled, "one-pixel.png")
    assert "no class 'Zapekark'" in refused(labelled, "plate-012.jpg", "--against", "Zapekark")
    best = refused(labelled, "plate-012.jpg", "--against", "zapekaerk")
    assert "was called 'Zapekaerk' itself" in best
    assert "no run in the warehouse begins with 'x'" in refused(labelled, ROTATED, "--run", "x")
    assert "is a PNG file, not 'a.jpg'" in refused(labelled, ROTATED, "-o", str(tmp_path / "a.jpg"))
    both = refused(labelled, ROTATED, "--what-if", "drop 1", "--against", "Zapekaerk")
    assert "--what-if prints and draws no picture" in both


def test_embeddings_that_are_gone_are_said_in_a_sentence(labelled: Run, tmp_path: Path) -> None:
    warehouse = ["--warehouse", str(labelled.job.warehouse_path)]
    arguments = ["explain", ROTATED, "-w", str(tmp_path), "--what-if", "drop 1", *warehouse]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and f"not in {tmp_path}" in " ".join(result.output.split())


# The picture


def first_panel(png: bytes, size: tuple[int, int], like: np.ndarray) -> np.ndarray:
    """The part of the page, at the left of the first row, that is most like a picture.

    The page's measures are known from left to right only, so it is looked for from top to bottom.
    """
    page = np.asarray(Pixels.open(io.BytesIO(png)).convert("RGB"), float)
    left = round(MARGIN * DPI)
    column = page[:, left + size[0] // 2]
    best = min(
        range(80, 320), key=lambda y: np.abs(column[y : y + size[1]] - like[:, size[0] // 2]).mean()
    )
    return page[best : best + size[1], left : left + size[0]]


def test_a_picture_that_exif_turns_is_drawn_right_side_up(
    connection: Connection, labelled: Run
) -> None:
    explanation = case(connection, labelled, ROTATED)
    pixels = read_pixels(explanation.image, labelled.job.max_pixels)
    assert not isinstance(pixels, str)
    stored = Pixels.open(Path(labelled.job.archive) / ROTATED)
    upright = ImageOps.exif_transpose(stored).convert("RGB")
    assert stored.size == upright.size[::-1]
    size = image_size(upright.width / upright.height)
    expected = np.asarray(upright.resize(size), float)
    drawn = first_panel(draw(explanation, pixels), size, expected)
    right = np.abs(drawn - expected).mean()
    turned = [np.asarray(upright.transpose(t).resize(size), float) for t in Pixels.Transpose]
    wrong = [np.abs(drawn - picture).mean() for picture in turned]
    assert right < 5 and min(wrong) > 15, (right, wrong)


def image_size(aspect: float) -> tuple[int, int]:
    return Frame(0, 0, WIDEST, TALLEST).fitted(aspect).pixels


def evidence(
    attributes: tuple[str, ...],
    similarity: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    size: tuple[int, int] = (400, 300),
    label: str = "wren",
) -> Evidence:
    boxes = np.array([[0, 0, *size]]) if boxes is None else boxes
    shape = (len(boxes), len(attributes))
    similarity = np.full(shape, 0.3) if similarity is None else similarity
    mass = np.full(shape, 1.0) if similarity.shape[0] == 1 else np.full(shape, 1 / len(boxes))
    score = float((mass * similarity).sum())
    numbers = np.arange(1, len(boxes) + 1)
    return Evidence(
        "id",
        "a/key.jpg",
        "uri",
        *size,
        1,
        label,
        score,
        attributes,
        numbers,
        boxes,
        mass,
        similarity,
    )


def explanation(this: Evidence, other: Evidence | None, **verdict: object) -> Explanation:
    image = Image("shard", "id", this.key, "uri", 1, "1", this.width, this.height)
    margin = None if other is None else this.score - other.score
    words = Verdict(this.label, this.score, other and other.label, margin, None, None, False)
    run = find_run_of("run")
    return Explanation(run, image, replace(words, **verdict), this, other)  # type: ignore[arg-type]


def find_run_of(key: str):  # type: ignore[no-untyped-def]
    from lazsl.explain.lookup import RunOfImage
    from lazsl.settings import make_job

    return RunOfImage(key, "e", "r", "l", make_job(archive="a", labels="l"))


def shown_at(place: tuple[int, int], count: int = 60, noise: float = 0.0) -> Evidence:
    """An attribute that regions show the more, the better they show a place of the image."""
    rng = np.random.default_rng(1)
    sides = rng.integers(60, 140, count)
    left, top = (rng.integers(0, whole - sides) for whole in (400, 300))
    boxes = np.stack([left, top, left + sides, top + sides], axis=1)
    inside = (abs(boxes[:, [0, 2]] - place[0]).sum(axis=1) <= sides) & (
        abs(boxes[:, [1, 3]] - place[1]).sum(axis=1) <= sides
    )
    values = np.stack([0.1 + 0.2 * inside, np.full(count, 0.1)], axis=1)
    return evidence(("a", "b"), values + noise * rng.normal(size=values.shape), boxes)


@pytest.mark.parametrize("place", [(100, 80), (310, 220)])
def test_a_ring_lies_where_the_attribute_that_decided_was_found(place: tuple[int, int]) -> None:
    this = shown_at(place)
    other = evidence(("c",), np.full((60, 1), 0.1), this.boxes, label="owl")
    page = np.asarray(Pixels.open(io.BytesIO(draw(explanation(this, other), None))), float)[..., :3]
    width, height = image_size(4 / 3)
    left = round(MARGIN * DPI)
    painted = (page[:, left + 2].min(axis=1) < 250).astype(int)
    top = int(np.argmax(np.convolve(painted, np.ones(height - 4, int), "valid") == height - 4))
    image = page[top : top + height, left : left + width]
    blue = (image[..., 2] - image[..., 0] > 100).nonzero()
    across, down = np.median(blue[1]) / width * 400, np.median(blue[0]) / height * 300
    assert abs(across - place[0]) < 40 and abs(down - place[1]) < 40


def test_the_framed_crop_shows_the_place_though_a_region_elsewhere_is_more_like_the_attribute() -> (
    None
):
    this = shown_at((310, 220), noise=0.01)
    around = (this.boxes[:, :2] < (310, 220)) & (this.boxes[:, 2:] > (310, 220))
    elsewhere = int(np.flatnonzero(~around.all(axis=1))[0])
    similarity = this.similarity.copy()
    similarity[elsewhere, 0] = 0.34
    this = replace(this, similarity=similarity)
    (first, _) = spoken(this)
    assert first.box == tuple(this.boxes[elsewhere])
    left, top, right, bottom = make_scene(explanation(this, None), None).region(this, first)
    assert left < 310 < right and top < 220 < bottom


@pytest.mark.parametrize("place", [(100, 80), (310, 220)])
def test_a_ring_in_the_framed_crop_lies_on_the_same_place(
    place: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rings, frames = [], []
    monkeypatch.setattr(Canvas, "ring", lambda _, *ring: rings.append(ring))
    monkeypatch.setattr(Canvas, "outline", lambda _, frame, *style: frames.append((frame, style)))
    scene = make_scene(explanation(shown_at(place), None), None)
    places(scene).draw(Canvas(WIDTH, 8), 0.0)
    crop = next(frame for frame, (colour, _) in frames if colour == THIS)
    left, top, right, bottom = scene.region(scene.explanation.this, scene.decisive[0])
    across, down, *_ = next(ring for ring in rings if ring[0] > crop.left)
    across = left + (across - crop.left) / crop.width * (right - left)
    down = top + (down - crop.top) / crop.height * (bottom - top)
    assert abs(across - place[0]) < 40 and abs(down - place[1]) < 40


def test_a_map_no_better_than_chance_has_no_ring_and_says_so() -> None:
    drawn = shown_at((100, 80), noise=0.02)
    assert localised(drawn).tolist() == [True, False]
    rng = np.random.default_rng(0)
    chance = [
        localised(replace(drawn, similarity=rng.normal(size=drawn.similarity.shape)))
        for _ in range(60)
    ]
    # A permutation test at 5 %: of 120 maps of noise, 6 in the mean.
    assert np.mean(chance) < 0.12
    silent = replace(drawn, similarity=rng.normal(size=drawn.similarity.shape) * 1e-3 + 0.1)
    scene = make_scene(explanation(silent, None), None)
    assert "Not localised" in reading(scene) and "rings" not in reading(scene)


def test_the_size_of_a_region_alone_localises_nothing() -> None:
    drawn = shown_at((100, 80))
    sides = np.log(drawn.boxes[:, 2] - drawn.boxes[:, 0])
    assert not localised(replace(drawn, similarity=np.stack([sides, -sides], axis=1))).any()


@pytest.mark.parametrize("size", [(3000, 40), (40, 3000), (2, 2), (2, 900)])
def test_pages_of_every_shape_are_drawn_whole_and_fit_on_a_screen(size: tuple[int, int]) -> None:
    box = np.array([[0, 0, *size]])
    this = evidence(("a tail", "a bill"), np.array([[0.4, 0.2]]), box, size)
    other = evidence(("a tail",), np.array([[0.1]]), box, size, "owl")
    page = Pixels.open(io.BytesIO(draw(explanation(this, other), Pixels.new("RGB", size, "teal"))))
    assert page.info["Source"] == mark_of(this.key)
    assert page.width == 1320 and 300 < page.height < 2000
    assert (np.asarray(page.convert("L"))[:, [0, -1]] == 255).all()


def test_many_attributes_are_counted_not_crowded() -> None:
    texts = tuple(f"attribute {n}" for n in range(30))
    this = evidence(texts, np.linspace(0.1, 0.4, 30)[None])
    few = Pixels.open(io.BytesIO(draw(explanation(evidence(texts[:8]), None), None)))
    many = Pixels.open(io.BytesIO(draw(explanation(this, None), None)))
    assert many.height - few.height < 60


# Hostile names


@pytest.mark.parametrize(("key", "rival"), list(zip(HOSTILE_KEYS, HOSTILE, strict=False))[:3])
def test_hostile_names_are_shown_as_they_are(
    hostile: Run, key: str, rival: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "a.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = ask(hostile, key, "-o", str(target), "--against", rival)
    assert not caplog.records
    assert visible(key) in answer and short(rival).split()[0] in answer
    assert "\x1b" not in answer and "\u202e" not in answer and "\x07" not in answer
    with Pixels.open(target) as page:
        assert page.format == "PNG" and page.width == 1320
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_picture_is_drawn_without_an_image_that_cannot_be_read_any_more(
    hostile: Run, tmp_path: Path
) -> None:
    for key, reason in (("gone.png", "no longer there"), ("new.png", "is now")):
        answer = ask(hostile, key, "-o", str(tmp_path / key))
        assert "drawn without the image, which cannot be read: listed with" in answer or (
            "drawn without the image, which cannot be read: listed as" in answer
        )
        assert reason in answer and (tmp_path / key).is_file()


def test_the_default_name_is_made_of_the_key_and_lies_in_this_folder(
    labelled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask(labelled, ROTATED)
    assert [path.name for path in tmp_path.iterdir()] == ["explanation-odd-rotated-by-exif.png"]


def test_the_last_words_of_label_are_two_commands_that_show_why(
    labelled: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_labelled(labelled)
    sentences = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    commands = {words[1]: words[2:] for words in sentences if words[:1] == ["lazsl"]}
    for name, target in (("explain", "why.png"), ("report", "site")):
        arguments = [name, *commands[name], "--output", str(tmp_path / target)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert Pixels.open(tmp_path / "why.png").format == "PNG"
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize("name", ["../../x", "", "...", "\u202e", "a/b\\c:d*?", "é" * 500, "nul\0"])
def test_file_names_of_any_text_are_safe(name: str) -> None:
    safe_name = file_name(name)
    assert safe_name and len(safe_name) <= 80 and not set(safe_name) & set('/\\:*?"<>|\0\u202e')
    assert not safe_name.startswith((".", "-"))


def test_two_keys_never_get_the_same_picture_file_and_one_key_gets_its_own_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = ["a/b.jpg", "a-b.jpg", "a b.png", "a?b.jpg", "a/b"]
    files: dict[str, set[Path]] = {key: set() for key in keys}
    for width in (1.0, 2.0):  # the second picture of an image replaces the first
        for key in keys:
            file = picture_name(key)
            file.write_bytes(Canvas(width, 1.0).png(mark_of(key)))
            files[key].add(file)
    assert [len(names) for names in files.values()] == [1] * len(keys)
    assert len(list(tmp_path.iterdir())) == len(keys)
    assert files["a/b.jpg"] == {Path("explanation-a-b.png")}
    Path("explanation-c.png").write_bytes(b"a user's own file")
    assert picture_name("c.jpg") != Path("explanation-c.png")


def test_texts_are_wrapped_within_their_width_and_cut_with_an_ellipsis() -> None:
    style = Style(9)
    text = "a long attribute of many words, W" + "W" * 300 + " and then some"
    lines = wrap(text, style, 2.0, 3)
    assert len(lines) == 3 and lines[-1].endswith("…")
    assert all(text_width(line, style) <= 2.01 for line in lines)
    assert "".join(wrap(text, style, 2.0, 99)).replace(" ", "") == text.replace(" ", "")


# Archives in a bucket


def test_the_image_is_read_from_a_bucket(bucket: str) -> None:
    data = (fieldguide.IMAGES_DIR / ROTATED).read_bytes()
    with fsspec.open(f"{bucket}/photos/a b.jpg", "wb") as file:
        file.write(data)
    row = list_archive(f"{bucket}/photos", (".jpg",)).to_pylist()[0]
    note(f"{bucket}/photos")
    image = Image("shard", "id", row["key"], row["uri"], row["size"], row["version"], 320, 384)
    pixels = read_pixels(image, 10**9)
    assert not isinstance(pixels, str) and pixels.size == (320, 384)
    with fsspec.open(f"{bucket}/photos/a b.jpg", "wb") as file:
        file.write(data[:-1])
    assert "is now" in str(read_pixels(image, 10**9))

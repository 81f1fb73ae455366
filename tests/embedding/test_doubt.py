"""Claims about looking at images in rounds: which crops come first, when enough were seen, and
that an image's result depends on the image alone."""

from __future__ import annotations

import json
import statistics
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference import align, one_sided
from sample import content, copy_sample, label_plainly, small_job
from scipy.stats import t as student

from lazsl.alignment.align import class_scores, select_regions
from lazsl.alignment.attributes import PackedAttributes
from lazsl.archive.manifest import read_manifest
from lazsl.archive.shard_planning import plan_shards
from lazsl.embedding import schedule
from lazsl.embedding.doubt import RIVALS, Stopping, doubts, in_telling_order
from lazsl.embedding.doubt import rounds as rounds_of
from lazsl.embedding.label_set import embed_labels
from lazsl.embedding.shard import Embedded, embed_images
from lazsl.errors import UserError
from lazsl.evaluation.evaluate import evaluate
from lazsl.fieldguide import LABELS_FILE, TRUTH_FILE
from lazsl.images import budget
from lazsl.images.crop_boxes import draw_boxes
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run.run import Run, open_relabelling
from lazsl.run.status import run_status
from lazsl.scoring.embedded import EmbeddedLabels, images_alike
from lazsl.settings import RegionSettings, ScoringSettings
from lazsl.store.folder import Folder
from lazsl.store.vectors import vectors_of
from lazsl.warehouse.opening import open_warehouse

COUNT, DOUBT = 40, 0.05
SCORING = ScoringSettings()


def unit(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values / np.linalg.norm(values, axis=-1, keepdims=True)).float()


def problem(
    seed: int, images: int, crops: int, classes: int = 6, spread: float = 0.6
) -> tuple[torch.Tensor, torch.Tensor, PackedAttributes]:
    """Crops around what each image shows, and classes some of which are near to it."""
    random = np.random.default_rng(seed)
    middle = random.normal(size=(images, 1, 16))
    sizes = random.integers(1, 5, classes).tolist()
    attributes = random.normal(size=(sum(sizes), 16)) + 0.5 * middle[0, 0]
    return (
        unit(middle + spread * random.normal(size=(images, crops, 16))),
        unit(middle[:, 0]),
        PackedAttributes.from_classes(unit(attributes), sizes),
    )


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 12, 24, 90, 91, 1000])
def test_rounds_grow_by_a_third_and_end_with_every_crop(count: int) -> None:
    seen = rounds_of(count)
    assert seen[0] == min(8, count) and seen[-1] == count
    assert all(a < b for a, b in pairwise(seen))
    assert all(b <= -(-4 * a // 3) for a, b in pairwise(seen[:-1]))
    # No round of a few crops comes last.
    assert all(b - a > a // 4 for a, b in pairwise(seen) if a > 8)


@pytest.mark.parametrize("size", [(640, 480), (100, 900), (30, 30)])
def test_first_crops_stand_for_all_by_place_and_size(size: tuple[int, int]) -> None:
    drawn = draw_boxes(*size, "ab" * 32, RegionSettings())
    ordered = in_telling_order(drawn)
    assert (ordered[0] == drawn[0]).all()
    assert sorted(map(tuple, ordered.tolist())) == sorted(map(tuple, drawn.tolist()))
    assert discrepancy(ordered[1:], 15) < 0.5 * discrepancy(drawn[1:], 15)


def discrepancy(boxes: np.ndarray, first: int) -> float:
    """How far the means of centre and side of the first boxes are from those of all."""
    places = np.stack([boxes[:, ::2].mean(1), boxes[:, 1::2].mean(1), boxes[:, 2] - boxes[:, 0]], 1)
    scaled = places / places.std(0).clip(1e-9)
    return float(np.abs(scaled[:first].mean(0) - scaled.mean(0)).sum())


def test_the_order_is_that_of_a_plain_search() -> None:
    drawn = draw_boxes(64, 48, "cd" * 32, RegionSettings(count=12))
    boxes = [tuple(map(int, box)) for box in drawn[1:]]

    def apart(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        middle = sum(((a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2) ** 2 for i in (0, 1))
        return middle + ((a[2] - a[0]) - (b[2] - b[0])) ** 2

    width = 0.1 * statistics.mean(apart(a, b) for a in boxes for b in boxes)

    def like(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        return 1 / (1 + apart(a, b) / width)

    order: list[tuple[int, ...]] = []
    while len(order) < len(boxes):
        left = [box for box in boxes if box not in order]
        lacking = [
            statistics.mean(like(box, other) for other in boxes)
            - sum(like(box, other) for other in order) / (len(order) + 1)
            for box in left
        ]
        order.append(left[lacking.index(max(lacking))])
    assert [tuple(box) for box in in_telling_order(drawn)[1:].tolist()] == order


def plain_doubt(
    crops: Any, whole: Any, classes: list[Any], count: int, scoring: ScoringSettings
) -> float:
    """From the equations, one class and one crop at a time."""
    settings = {name: getattr(scoring, name) for name in ("theta", "epsilon", "gamma")}
    scores = [align(crops, whole, attributes, **settings).score for attributes in classes]
    best, *rivals = sorted(range(len(classes)), key=lambda c: -scores[c])[: RIVALS + 1]
    total = 0.0
    for rival in rivals:
        x = [float(f @ (classes[best].mean(0) - classes[rival].mean(0))) for f in crops]
        error = scoring.theta * (statistics.variance(x) * (1 / len(x) - 1 / count)) ** 0.5
        total += student.sf((scores[best] - scores[rival]) / error, len(x) - 1)
    return min(total, 1.0)


@pytest.mark.parametrize(
    "scoring", [SCORING, ScoringSettings(theta=0.6, epsilon=0.2, gamma=0.05)], ids=["paper", "own"]
)
def test_doubt_is_what_the_equations_say(scoring: ScoringSettings) -> None:
    crops, whole, packed = problem(1, images=5, crops=9)
    classes = np.split(packed.embeddings.double().numpy(), packed.starts[1:-1].tolist())
    expected = [
        plain_doubt(f, f_0, classes, 20, scoring)
        for f, f_0 in zip(crops.double().numpy(), whole.double().numpy(), strict=True)
    ]
    chances = doubts(crops, whole, 20, packed, scoring)
    assert chances == pytest.approx(expected, rel=1e-3)
    assert 0 < chances.min() < chances.max() <= 1


ONE_SIDED = ScoringSettings(aligner="one-sided", epsilon=0.1, presence_temperature=0.04)


def plain_one_sided_doubt(regions: Any, classes: list[Any], count: int) -> float:
    """From the equations of the influence function; regions hold the whole image too."""
    solved = [one_sided(regions, attributes, 0.1) for attributes in classes]
    scores = [solution.score for solution in solved]
    best, *rivals = sorted(range(len(classes)), key=lambda c: -scores[c])[: RIVALS + 1]
    seen = len(regions)

    def influence(c: int) -> list[float]:
        plan, similarity = solved[c].plan, solved[c].similarity
        strength = (plan * similarity).sum(axis=0) * plan.shape[1]
        return [seen * sum(plan[i] * (similarity[i] - strength)) for i in range(seen)]

    total = 0.0
    for rival in rivals:
        x = [a - c for a, c in zip(influence(best), influence(rival), strict=True)]
        error = (statistics.variance(x) * (1 / seen - 1 / (count + 1))) ** 0.5
        total += student.sf((scores[best] - scores[rival]) / error, seen - 1)
    return min(total, 1.0)


def test_doubt_of_one_sided_plans_is_what_the_influence_function_says() -> None:
    crops, whole, packed = problem(1, images=5, crops=9)
    classes = np.split(packed.embeddings.double().numpy(), packed.starts[1:-1].tolist())
    regions = torch.cat([whole[:, None], crops], 1).double().numpy()
    expected = [plain_one_sided_doubt(region, classes, 20) for region in regions]
    chances = doubts(crops, whole, 20, packed, ONE_SIDED)
    assert chances == pytest.approx(expected, rel=1e-3)
    assert 0 < chances.min() < chances.max() <= 1
    assert (doubts(crops, whole, 9, packed, ONE_SIDED) == 0).all()


@pytest.mark.parametrize("scoring", [SCORING, ONE_SIDED], ids=["paper", "one-sided"])
def test_doubt_depends_on_the_image_alone(scoring: ScoringSettings) -> None:
    crops, whole, packed = problem(2, images=7, crops=11)
    together = doubts(crops, whole, 30, packed, scoring)
    alone = [doubts(crops[i : i + 1], whole[i : i + 1], 30, packed, scoring)[0] for i in range(7)]
    assert together.tolist() == alone


def test_nothing_is_doubtful_once_every_crop_was_seen_or_with_one_class() -> None:
    crops, whole, packed = problem(3, images=2, crops=9)
    assert (doubts(crops, whole, 9, packed, SCORING) == 0).all()
    packed_one = PackedAttributes.from_classes(packed.embeddings[:3], [3])
    assert (doubts(crops, whole, 90, packed_one, SCORING) == 0).all()
    twins = PackedAttributes.from_classes(packed.embeddings[:1].repeat(2, 1), [1, 1])
    assert (doubts(crops, whole, 9, twins, SCORING) == 0).all()


def test_crops_that_are_all_alike_settle_the_label_unless_two_classes_are() -> None:
    crops, whole, packed = problem(4, images=1, crops=9)
    alike = crops[:, :1].expand(-1, 9, -1)
    assert doubts(alike, whole, 90, packed, SCORING)[0] < 1e-50
    twins = PackedAttributes.from_classes(packed.embeddings[:1].repeat(2, 1), [1, 1])
    assert doubts(alike, whole, 90, twins, SCORING).tolist() == [0.5]
    assert doubts(crops, whole, 90, twins, SCORING).tolist() == [0.5]
    many = PackedAttributes.from_classes(packed.embeddings[:1].repeat(5, 1), [1] * 5)
    assert doubts(crops, whole, 90, many, SCORING).tolist() == [1.0], "a chance, not a sum of them"


@pytest.mark.parametrize("count", [9, 30])
def test_enough_was_seen_when_the_doubt_is_no_more_than_allowed_or_every_crop_was(
    count: int,
) -> None:
    crops, whole, packed = problem(6, images=9, crops=count, spread=1.5)
    vectors = torch.cat([whole[:, None], crops], 1).half().numpy()
    stored = torch.from_numpy(vectors.astype(np.float32))
    for k in rounds_of(count)[:-1]:
        left = doubts(stored[:, 1 : 1 + k], stored[:, 0], count, packed, SCORING)
        for allowed in (float(left[0]), 0.0):
            stopping = Stopping(packed, SCORING, count, allowed)
            assert (stopping.enough(vectors[:, : 1 + k]) == (left <= allowed)).all()
            assert stopping.enough(vectors).all()
        assert (left > 0).all()


def test_labels_change_about_as_rarely_as_is_allowed_even_where_crops_are_mostly_noise() -> None:
    allowed, images, count = 0.05, 600, 40
    crops, whole, packed = problem(5, images, count, classes=8, spread=1.5)
    full = labels_of(crops, whole, packed)
    actual, seen = full.clone(), torch.full((images,), count)
    open_ = torch.ones(images, dtype=torch.bool)
    for k in rounds_of(count)[:-1]:
        some_crops = crops[:, :k]
        stops = (
            torch.from_numpy(doubts(some_crops, whole, count, packed, SCORING) <= allowed) & open_
        )
        actual[stops] = labels_of(some_crops[stops], whole[stops], packed)
        seen[stops] = k
        open_ &= ~stops
    assert seen.float().mean() < 0.8 * count
    assert 0 < (actual != full).float().mean() < 1.5 * allowed


def labels_of(crops: torch.Tensor, whole: torch.Tensor, packed: PackedAttributes) -> torch.Tensor:
    return class_scores(crops, whole, select_regions(crops, whole), packed).argmax(1)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(find_model("fieldguide", "float32"), "cpu")


@pytest.fixture(scope="module")
def labels(encoder: Encoder) -> EmbeddedLabels:
    return EmbeddedLabels.from_table(embed_labels(load_labelset(str(LABELS_FILE)), encoder))


class Bench:
    """A shard of the sample archive, to be embedded in any way."""

    def __init__(self, folder: Path, encoder: Encoder, labels: EmbeddedLabels) -> None:
        job = small_job(copy_sample(folder / "archive", 6), folder / "workspace", shard_size=100)
        where = Folder(job.workspace)
        plan = plan_shards(where, job.archive, job.suffixes, job.shard_size)
        self.images = read_manifest(where, plan.archive)
        self.data = [Path(uri.removeprefix("file://")) for uri in self.images["uri"].to_pylist()]
        self.encoder, self.labels = encoder, labels

    def embed(self, doubt: float | None, **options: Any) -> Embedded:
        settings = RegionSettings(count=COUNT, **options.pop("regions", {}))
        stopping = None
        if doubt is not None:
            stopping = Stopping(self.labels.packed, SCORING, COUNT, doubt)
        arguments = {"batch_size": 64, "decoders": 2, "max_pixels": 10_000_000, **options}
        return embed_images(
            self.images,
            lambda row: self.data[row].read_bytes(),
            self.encoder,
            settings,
            stopping=stopping,
            **arguments,
        )


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, labels: EmbeddedLabels
) -> Bench:
    return Bench(tmp_path_factory.mktemp("anytime"), encoder, labels)


@pytest.fixture(scope="module")
def early(bench: Bench) -> Embedded:
    return bench.embed(DOUBT)


def by_image(embedded: Embedded) -> dict[str, dict[tuple[int, ...], bytes]]:
    """Per image its boxes in order, each with its vector."""
    actual: dict[str, dict[tuple[int, ...], bytes]] = {}
    vectors = vectors_of(embedded.regions)
    boxes = embedded.regions.drop_columns(["embedding"]).to_pylist()
    for row, vector in zip(boxes, vectors, strict=True):
        box = (row["left"], row["top"], row["right"], row["bottom"])
        actual.setdefault(row["image_id"], {})[box] = vector.tobytes()
    return actual


def test_what_is_embedded_are_the_first_of_the_same_crops_to_the_last_bit(
    bench: Bench, early: Embedded
) -> None:
    whole = bench.embed(None)
    every, subset = by_image(whole), by_image(early)
    assert list(subset) == list(every)
    for image_id, crops in subset.items():
        all_boxes = np.array(list(every[image_id]))
        first = [tuple(box) for box in in_telling_order(all_boxes)[: len(crops)].tolist()]
        assert list(crops) == first
        assert all(every[image_id][box] == vector for box, vector in crops.items())
    assert early.images.to_pylist() == whole.images.to_pylist()


def test_an_image_is_seen_until_the_first_round_that_leaves_no_doubt(
    early: Embedded, labels: EmbeddedLabels
) -> None:
    vectors = torch.from_numpy(vectors_of(early.regions).astype(np.float32))
    seen = []
    for rows in images_alike(early.regions):
        seen += [rows.shape[1] - 1] * len(rows)
        for row in rows:
            crops, whole = vectors[row[1:]][None], vectors[row[:1]]
            for k in [k for k in rounds_of(COUNT) if k < len(row)]:
                left = doubts(crops[:, :k], whole, COUNT, labels.packed, SCORING)[0]
                assert (left <= DOUBT) == (k == len(row) - 1), (k, len(row) - 1, left)
    assert set(seen) <= set(rounds_of(COUNT)) and len(set(seen)) > 2
    assert early.crops == len(seen) + sum(seen)


@pytest.mark.parametrize(
    "options", [{"batch_size": 5, "decoders": 1}, {"batch_size": 1000, "decoders": 4}]
)
def test_batches_and_threads_change_nothing(
    options: dict[str, int], bench: Bench, early: Embedded
) -> None:
    other = bench.embed(DOUBT, **options)
    assert other.regions.equals(early.regions)
    assert other.images.equals(early.images)


def test_memory_for_a_single_picture_is_enough(
    bench: Bench, early: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "HELD_BYTES", 1)
    assert bench.embed(DOUBT).regions.equals(early.regions)


def test_pictures_that_there_is_no_room_to_keep_are_decoded_again(
    bench: Bench, early: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget.KEPT, "total", 0)
    assert bench.embed(DOUBT).regions.equals(early.regions)


@pytest.mark.parametrize("cut_on", ["processor", "device"])
def test_fast_crops_are_cut_in_rounds_too(cut_on: str, bench: Bench) -> None:
    fast = {"regions": {"resampling": "fast"}, "cut_on": cut_on}
    every, subset = by_image(bench.embed(None, **fast)), by_image(bench.embed(DOUBT, **fast))
    assert list(subset) == list(every) and len(subset) > 12
    for image_id, crops in subset.items():
        for box, vector in crops.items():
            a, b = (np.frombuffer(v, np.float16) for v in (vector, every[image_id][box]))
            assert float(a.astype(float) @ b.astype(float)) > 0.999


def test_progress_counts_every_image_once(bench: Bench) -> None:
    progress: list[int] = []
    bench.embed(0.4, progress=progress.append)
    assert progress == list(range(1, len(bench.images) + 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run that stopped early, over two shards."""
    home = tmp_path_factory.mktemp("run")
    job = small_job(
        copy_sample(home / "archive", 24),
        home / "workspace",
        regions={"count": COUNT, "doubt": DOUBT},
        shard_size=20,
        truth=str(TRUTH_FILE),
    )
    return label_plainly(job, home / "scratch")


def test_every_label_says_how_many_crops_it_was_made_from_and_how_sure_that_was(run: Run) -> None:
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        rows = connection.execute(
            "select seen, doubt, len(boxes) - 1, kept "
            "from predictions join regions using (image_id)"
        ).fetchall()
    assert len(rows) == 31
    for seen, doubt, boxes, kept in rows:
        assert seen == boxes and kept <= seen
        assert 0 <= doubt <= np.float32(DOUBT) and (seen < COUNT or doubt == 0)
    assert len({seen for seen, *_ in rows}) > 2


def test_status_tells_what_it_cost_and_what_it_may_have_changed(run: Run) -> None:
    status = run_status(run.workspace, run.key)
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        crops, labelled, doubt = connection.execute(
            "select (select sum(crops) from shards), count(*), avg(doubt) from predictions"
        ).fetchall()[0]
    assert status["seen"] + 1 == pytest.approx(crops / labelled)
    assert status["doubt"] == pytest.approx(doubt)
    assert status["crops_asked"] == COUNT


def test_shards_of_another_size_end_in_the_same_labels(run: Run, tmp_path: Path) -> None:
    changes = {"shard_size": 7, "batch_size": 9, "workspace": str(tmp_path / "other")}
    other = run.job.model_copy(update=changes)
    label_plainly(other, tmp_path / "scratch")
    rows_here, its = (content(job.warehouse_path, by_shard=False) for job in (run.job, other))
    assert rows_here == its


def test_embeddings_that_stopped_for_one_label_set_are_not_scored_with_another(
    run: Run, tmp_path: Path
) -> None:
    labels = json.loads(LABELS_FILE.read_text())
    labels["classes"].popitem()
    (tmp_path / "fewer.json").write_text(json.dumps(labels))
    for changes in ({"labels": str(tmp_path / "fewer.json")}, {"scoring": {"theta": 0.5}}):
        with pytest.raises(UserError, match=r"until its own label was settled.*label the archive"):
            open_relabelling(run.workspace, run.key, changes)
    surer = {"temperature": 0.01, "abstain_below": 0.9}
    assert open_relabelling(run.workspace, run.key, {"scoring": surer}).regions == run.regions


def test_an_evaluation_measures_them_and_refuses_to_try_other_settings(run: Run) -> None:
    evaluation = evaluate(run.job.workspace, run.key)
    assert f"At most {COUNT} crops (random, doubt {DOUBT:g}) per image" in evaluation.head()
    assert len(evaluation.answers.keys) == 31
    for arguments in ({"sweep": ("theta",)}, {"controls": True}):
        with pytest.raises(UserError, match=r"regions\.doubt"):
            evaluate(run.job.workspace, run.key, **arguments)  # type: ignore[arg-type]

"""Claims about embedding: every image has a row, boxes and vectors depend on the image alone."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageOps

from lazsl.embedding.label_set import embed_labels
from lazsl.embedding.shard import Embedded, embed_images
from lazsl.fieldguide import IMAGES_DIR, TRUTH_FILE
from lazsl.images import reasons
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.reasons import Reject
from lazsl.labelset.native_form import parse_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.settings import RegionSettings
from lazsl.store import schemas

SETTINGS = RegionSettings(count=6, resampling="exact")
FAST = RegionSettings(count=6, resampling="fast")
PER_IMAGE = SETTINGS.count + 1
File = tuple[str, bytes | Reject]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(find_model("fieldguide", "float32"), "cpu")


def sample_files() -> list[File]:
    """A few ordinary pictures of the sample archive among all of its odd files."""
    paths = sorted(path for path in IMAGES_DIR.rglob("*") if path.is_file())
    keys = [path.relative_to(IMAGES_DIR).as_posix() for path in paths]
    plain = [key for key in keys if not key.startswith("odd/")][:: len(keys) // 6][:6]
    odd = [key for key in keys if key.startswith("odd/")]
    mixed = itertools.chain(*itertools.zip_longest(plain, odd[:6]), odd[6:])
    return [(key, (IMAGES_DIR / key).read_bytes()) for key in mixed if key]


def manifest(files: Sequence[File]) -> pa.Table:
    rows = [
        {
            "image_id": f"{number:032x}",
            "key": key,
            "uri": f"file:///archive/{key}",
            "size": 0 if isinstance(data, Reject) else len(data),
            "version": "1",
            "shard": "s",
            "event": "added",
        }
        for number, (key, data) in enumerate(files)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.MANIFEST)


def embed(
    files: Sequence[File], encoder: Any, batch_size: int = 32, decoders: int = 2, **options: Any
) -> Embedded:
    return embed_images(
        manifest(files),
        lambda row: files[row][1],
        encoder,
        options.pop("settings", SETTINGS),
        batch_size=batch_size,
        decoders=decoders,
        max_pixels=options.pop("max_pixels", 10_000_000),
        **options,
    )


@pytest.fixture(scope="module")
def files() -> list[File]:
    return sample_files()


@pytest.fixture(scope="module")
def embedded(files: list[File], encoder: Encoder) -> Embedded:
    return embed(files, encoder)


@pytest.fixture(scope="module")
def fast(files: list[File], encoder: Encoder) -> Embedded:
    return embed([*files, LARGE], encoder, settings=FAST)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(number: int = 0, size: tuple[int, int] = (90, 60)) -> Image.Image:
    values = np.random.default_rng(number).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size)


LARGE: File = ("large.jpg", encoded(picture(9, (896, 672)), "JPEG"))
"""A picture that fast crops are cut from decoded smaller."""


def vectors_of(table: pa.Table) -> np.ndarray:
    """(rows, D) in the dtype they are stored in."""
    return np.stack(table["embedding"].combine_chunks().to_numpy(zero_copy_only=False))


def first_of(files: list[File], batch_size: int) -> list[File]:
    """Some of the files where each crop is a batch of its own, which takes as long as eight."""
    return files[:6] if batch_size == 1 else files


def begins_with(whole: Embedded, part: Embedded) -> bool:
    """Whether the rows of some of the first files are those of all files, to the bit."""
    images, rows = len(part.images), len(part.regions)
    assert images > 5 and rows > 3 * PER_IMAGE
    return bool(
        part.images.equals(whole.images.slice(0, images))
        and part.regions.equals(whole.regions.slice(0, rows))
    )


@pytest.mark.parametrize(("batch_size", "decoders"), [(1, 4), (32, 1), (100, 1), (100, 4)])
def test_tables_do_not_depend_on_batch_size_or_threads(
    batch_size: int, decoders: int, files: list[File], encoder: Encoder, embedded: Embedded
) -> None:
    files = first_of(files, batch_size)
    other = embed(files, encoder, batch_size, decoders)
    assert begins_with(embedded, other)
    if len(other.images) == len(embedded.images):
        assert (other.crops, other.bytes) == (embedded.crops, embedded.bytes)


@pytest.mark.parametrize(("batch_size", "decoders"), [(1, 4), (100, 1)])
def test_fast_tables_do_not_depend_on_batch_size_threads_or_shards(
    batch_size: int, decoders: int, files: list[File], encoder: Encoder, fast: Embedded
) -> None:
    files = first_of([*files, LARGE], batch_size)
    assert begins_with(fast, embed(files, encoder, batch_size, decoders, settings=FAST))
    alone = embed([LARGE], encoder, batch_size, decoders, settings=FAST)
    assert np.array_equal(vectors_of(alone.regions), vectors_of(fast.regions)[-PER_IMAGE:])


def test_fast_and_exact_tables_differ_in_their_vectors_alone_and_a_little(
    files: list[File], embedded: Embedded, fast: Embedded
) -> None:
    rows = embedded.regions.num_rows
    assert fast.images.slice(0, len(files)).equals(embedded.images)
    fast_regions = fast.regions.slice(0, rows)
    assert fast_regions.drop(["embedding"]).equals(embedded.regions.drop(["embedding"]))
    near = (vectors_of(fast_regions).astype(float) * vectors_of(embedded.regions)).sum(axis=1)
    assert near.min() > 0.98 and near.mean() > 0.995


def test_crops_that_a_device_cuts_are_embedded_nearly_the_same(
    files: list[File], encoder: Encoder, fast: Embedded
) -> None:
    all_files = [*files, LARGE]
    cut = embed(all_files, encoder, settings=FAST, cut_on="device")
    assert cut.images.equals(fast.images)
    assert cut.regions.drop(["embedding"]).equals(fast.regions.drop(["embedding"]))
    near = (vectors_of(cut.regions).astype(float) * vectors_of(fast.regions)).sum(axis=1)
    assert near.min() > 0.998
    for batch_size in (1, 100):
        again = first_of(all_files, batch_size)
        assert begins_with(
            cut, embed(again, encoder, batch_size, 1, settings=FAST, cut_on="device")
        )


def test_a_shard_and_its_halves_give_the_same_rows(
    files: list[File], encoder: Encoder, embedded: Embedded
) -> None:
    middle = len(files) // 2
    halves = [embed(part, encoder, 5) for part in (files[:middle], files[middle:])]
    vectors = np.concatenate([vectors_of(half.regions) for half in halves])
    assert np.array_equal(vectors, vectors_of(embedded.regions))
    for side in ("left", "top", "right", "bottom", "region"):
        side_values = pa.concat_tables([half.regions for half in halves])[side]
        assert side_values.to_pylist() == embedded.regions[side].to_pylist()


def test_every_image_has_a_row_and_rejects_have_reasons(
    files: list[File], embedded: Embedded
) -> None:
    with TRUTH_FILE.open(encoding="utf-8", newline="") as file:
        usable = {row["key"] for row in csv.DictReader(file)}
    assert embedded.images.schema.equals(schemas.IMAGES, check_metadata=True)
    rows = embedded.images.to_pylist()
    assert [row["key"] for row in rows] == [key for key, _ in files]
    assert [row["image_id"] for row in rows] == [f"{n:032x}" for n in range(len(files))]
    assert {row["reason"] is None for row in rows} == {True, False}
    for row, (key, data) in zip(rows, files, strict=True):
        assert isinstance(data, bytes)
        assert row["size"] == len(data) and row["uri"] == f"file:///archive/{key}"
        assert row["digest"] == hashlib.sha256(data).hexdigest()
        assert (row["reason"] is None) == (key in usable), row
        if row["reason"] is None:
            with Image.open(io.BytesIO(data)) as opened:
                assert row["format"] == opened.format and row["detail"] is None
                assert (row["width"], row["height"]) == ImageOps.exif_transpose(opened).size
        else:
            assert row["reason"] in reasons.REASONS and row["detail"]
            unknown = ("format", "width", "height", "orientation")
            assert all(row[column] is None for column in unknown)


def test_boxes_are_those_of_the_images_digest(files: list[File], embedded: Embedded) -> None:
    usable = [row for row in embedded.images.to_pylist() if row["reason"] is None]
    table = embedded.regions
    assert table.schema.equals(
        schemas.regions(table.schema.field("embedding").type.list_size), check_metadata=True
    )
    expected = np.concatenate(
        [draw_boxes(row["width"], row["height"], row["digest"], SETTINGS) for row in usable]
    )
    sides = ("left", "top", "right", "bottom")
    assert np.array_equal(np.stack([table[side].to_numpy() for side in sides], axis=1), expected)
    assert table["region"].to_pylist() == list(range(PER_IMAGE)) * len(usable)
    owners = [row["image_id"] for row in usable for _ in range(PER_IMAGE)]
    assert table["image_id"].to_pylist() == owners
    assert embedded.crops == len(owners)
    assert embedded.bytes == sum(len(data) for _, data in files if isinstance(data, bytes))


def test_vectors_are_those_of_each_crop_embedded_alone(encoder: Encoder) -> None:
    pictures = [picture(number, size) for number, size in enumerate([(90, 60), (40, 80)])]
    data = [encoded(image) for image in pictures]
    vectors = vectors_of(embed([("a.png", data[0]), ("b.png", data[1])], encoder, 5).regions)
    assert vectors.dtype == np.float16
    alone = []
    for image, content in zip(pictures, data, strict=True):
        boxes = draw_boxes(*image.size, hashlib.sha256(content).hexdigest(), SETTINGS)
        for crop in cut_crops(image, boxes, encoder.framing):
            alone.append(encoder.encode_crops(torch.from_numpy(crop)[None])[0].numpy())
    assert np.array_equal(vectors, np.stack(alone).astype(np.float16))
    assert np.abs(np.linalg.norm(vectors.astype(float), axis=1) - 1).max() < 1e-3


def test_a_picture_that_exif_turns_is_embedded_upright(encoder: Encoder) -> None:
    upright = picture(size=(90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    embedded = embed([("turned.png", turned), ("upright.png", encoded(upright))], encoder)
    first, second = embedded.images.to_pylist()
    assert (first["width"], first["height"], first["orientation"]) == (90, 60, 6)
    assert (second["width"], second["height"], second["orientation"]) == (90, 60, 1)
    vectors = vectors_of(embedded.regions)
    assert np.array_equal(vectors[0], vectors[PER_IMAGE])
    assert embedded.regions["right"].to_pylist()[0] == 90


def test_a_shard_of_garbage_has_no_region_and_all_its_rows(encoder: Encoder) -> None:
    gone = Reject(reasons.MISSING, "deleted since it was listed")
    garbage: list[File] = [
        ("text.jpg", b"no picture"),
        ("empty.jpg", b""),
        ("gone.jpg", gone),
        ("huge.png", encoded(Image.new("RGB", (300, 300)))),
        ("cut.png", encoded(picture())[:200]),
    ]
    embedded = embed(garbage, encoder, max_pixels=80_000)
    assert embedded.regions.num_rows == 0 and embedded.crops == 0
    assert embedded.regions.schema.equals(schemas.regions(encoder.dimension), check_metadata=True)
    assert embedded.images["reason"].to_pylist() == [
        reasons.NOT_AN_IMAGE,
        reasons.EMPTY,
        reasons.MISSING,
        reasons.TOO_MANY_PIXELS,
        reasons.TRUNCATED,
    ]
    digests = embedded.images["digest"].to_pylist()
    assert [digest is None for digest in digests] == [False, False, True, False, False]
    assert embedded.images["detail"].to_pylist()[2] == gone.detail
    assert embedded.bytes == sum(len(data) for _, data in garbage if isinstance(data, bytes))


def test_a_shard_without_images_gives_empty_tables(encoder: Encoder) -> None:
    embedded = embed([], encoder)
    assert (
        embedded.images.num_rows
        == embedded.regions.num_rows
        == embedded.crops
        == embedded.bytes
        == 0
    )


def test_progress_counts_images_to_the_last_one(files: list[File], encoder: Encoder) -> None:
    progress: list[int] = []
    embed(files, encoder, 100, progress=progress.append)
    assert progress == list(range(1, len(files) + 1))


class Watched:
    """An encoder that embeds everything as the same vector and says when it is asked."""

    device, dimension = "cpu", 4

    def __init__(self, encoder: Encoder) -> None:
        self.framing = encoder.framing
        self.asked: list[int] = []
        self.read: list[int] = []
        self.reads_when_asked: list[int] = []

    def encode_crops(self, crops: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(crops))
        self.reads_when_asked.append(len(self.read))
        return torch.full((len(crops), 4), 0.5)


def test_batches_are_full_but_the_last_and_little_is_decoded_ahead(encoder: Encoder) -> None:
    watched = Watched(encoder)
    data = encoded(picture(size=(8, 8)))
    many: list[File] = [(f"{number}.png", data) for number in range(100)]

    def read(row: int) -> bytes:
        watched.read.append(row)
        return data

    embedded = embed_images(
        manifest(many),
        read,
        watched,  # type: ignore[arg-type]
        SETTINGS,
        batch_size=30,
        decoders=3,
        max_pixels=100,
    )
    assert watched.asked == [30] * (700 // 30) + [700 % 30]
    assert embedded.crops == sum(watched.asked) == 700
    for call, reads in enumerate(watched.reads_when_asked):
        ahead = reads * PER_IMAGE - 30 * call
        # The batch itself, two more, an image per thread, and what is rounded up to whole images.
        assert ahead <= 3 * 30 + 3 * PER_IMAGE + 3 * PER_IMAGE


class Late:
    """An encoder as a GPU is one: it reads a batch when its result is asked for, and not before."""

    device, dimension = "cpu", 3

    def __init__(self, encoder: Encoder) -> None:
        self.framing = encoder.framing

    def encode_crops(self, crops: torch.Tensor) -> Any:
        class Result:
            def cpu(self) -> torch.Tensor:
                return torch.nn.functional.normalize(crops.float().mean(dim=(1, 2)), dim=1)

        return Result()


def test_a_batch_stays_as_it_is_until_its_result_is_there(encoder: Encoder) -> None:
    files: list[File] = [(f"{n}.png", encoded(picture(n))) for n in range(9)]
    assert vectors_of(embed(files, Late(encoder), 5).regions).shape == (63, 3)
    large = embed(files, Late(encoder), 1000).regions
    for batch_size in (1, 4, 7, 30):
        assert embed(files, Late(encoder), batch_size).regions.equals(large)


# Label sets

BIRDS = parse_labelset(
    {"Wren": ["a cocked tail", "barred wings"], "Auk": [], "Crow": ["black wings"]}, "birds"
)


def test_a_label_set_has_a_row_per_name_and_sentence(encoder: Encoder) -> None:
    table = embed_labels(BIRDS, encoder)
    assert table.schema.equals(schemas.attributes(encoder.dimension), check_metadata=True)
    columns = ("class_index", "class", "attribute_index", "attribute", "prompt")
    assert list(zip(*(table[column].to_pylist() for column in columns), strict=True)) == [
        (0, "Wren", -1, None, "a photo of a Wren."),
        (0, "Wren", 0, "a cocked tail", "Wren, which is a cocked tail."),
        (0, "Wren", 1, "barred wings", "Wren, which has barred wings."),
        (1, "Auk", -1, None, "a photo of a Auk."),
        (1, "Auk", 0, "Auk", "a photo of a Auk."),
        (2, "Crow", -1, None, "a photo of a Crow."),
        (2, "Crow", 0, "black wings", "Crow, which has black wings."),
    ]


def test_sentences_of_a_label_set_are_embedded_as_if_alone(encoder: Encoder) -> None:
    table = embed_labels(BIRDS, encoder)
    vectors = vectors_of(table)
    assert vectors.dtype == np.float32
    for prompt, vector in zip(table["prompt"].to_pylist(), vectors, strict=True):
        assert np.array_equal(encoder.encode_sentences([prompt])[0].numpy(), vector)


def test_sample_files_are_where_these_tests_look_for_them(files: list[File]) -> None:
    keys = [key for key, _ in files]
    assert len(keys) == len(set(keys)) >= 12
    assert sum(not key.startswith("odd/") for key in keys) == 6
    assert all(Path(IMAGES_DIR / key).is_file() for key in keys)


@pytest.mark.parametrize("source", ["crops", "dense"])
def test_a_model_that_overflows_in_half_precision_says_so(source: Any, files: list[File]) -> None:
    settings = RegionSettings(count=6, source=source)
    encoders = {
        precision: load_encoder(find_model("fieldguide", precision), "cpu")
        for precision in ("float16", "bfloat16")
    }
    for encoder in encoders.values():
        # The same weights as ever, but large: a product of them is beyond 65,504.
        encoder.model.visual.attnpool.c_proj.weight.mul_(30_000)
    images = embed(files[:1], encoders["float16"], settings=settings).images
    assert images["reason"].to_pylist() == ["not-finite"] and images["width"].null_count == 1
    advice = "in float16 gives values for it that are no numbers; set precision to bfloat16 or"
    assert advice in images["detail"][0].as_py()
    vectors = vectors_of(embed(files[:1], encoders["bfloat16"], settings=settings).regions)
    assert np.isfinite(vectors).all()

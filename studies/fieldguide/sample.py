"""The first sample archive: species that training never saw, and files that are not as they seem.

`python -m studies.fieldguide.sample` draws it anew into tests/data/first_guide. Every picture is a
pure function of `SEED` and its number, so what is true of each pixel can be asked again:
`sample_scene(number)`.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from studies.fieldguide.drawing import Framing, Scene, draw_scene
from studies.fieldguide.species import Species, make_species
from studies.fieldguide.traits import attribute_phrases

FIRST_GUIDE = Path(__file__).parents[2] / "tests" / "data" / "first_guide"
"""The field guide that was shipped first: the tests' own, and what later figures are compared
with."""

SEED = 1858
FAMILIES, MEMBERS, PICTURES = 15, 4, 4
FRAMING = Framing(0.25, 0.5)
"""Birds span a quarter to a half of the shorter side. In the whole image, at the model's 64 pixels,
beaks and eye marks are then two to four pixels long: the telling parts of most families cannot be
resolved without looking closer, as in real archives."""
QUALITY = 82
Shown = tuple[str, Image.Image]
"""A species by its name, and a picture of it."""
TEMPLATE = "{class}, which has {attribute}."


@cache
def sample_species(seed: int = SEED) -> tuple[Species, ...]:
    """The 60 species of the sample archive, 15 families of four, or as many of another draw."""
    return tuple(make_species(FAMILIES, MEMBERS, seed=seed))


@cache
def order() -> tuple[int, ...]:
    """Pictures are numbered in an order that gives the species away to nobody."""
    total = FAMILIES * MEMBERS * PICTURES
    return tuple(int(i) for i in np.random.default_rng(SEED).permutation(total))


def sample_scene(number: int) -> tuple[Species, Scene]:
    """Who is in picture `number` (0..239), and the picture with the part of every pixel."""
    index = order()[number]
    species = sample_species()[index // PICTURES]
    return species, draw_scene(species.traits, [SEED, index], FRAMING)


def sample_key(number: int) -> str:
    """Where picture `number` lies in the archive."""
    return f"{SEED + number // 40}/plate-{number + 1:03d}.jpg"


def sample_labels(seed: int = SEED) -> dict[str, object]:
    """The label set of the sample archive, in lazsl's native form, or that of another draw."""
    return {
        "template": TEMPLATE,
        "description": "Sixty invented birds of the field guide, as a field guide describes them.",
        "classes": {
            species.name: [phrase.text for phrase in attribute_phrases(species.traits)]
            for species in sorted(sample_species(seed), key=lambda s: s.name)
        },
    }


def odd_files() -> dict[str, tuple[bytes, str | None]]:
    """Files as archives have them: name -> (bytes, species shown or None). Half are unusable."""
    return spoiled(
        [
            (species.name, draw_scene(species.traits, [SEED, 9, i], FRAMING).image)
            for i, species in enumerate(sample_species()[:: MEMBERS * 2])
        ]
    )


def spoiled(birds: Sequence[Shown]) -> dict[str, tuple[bytes, str | None]]:
    """Eight pictures as archives have them: name -> (bytes, species shown or None), half of them
    unusable."""
    names, pictures = zip(*birds, strict=True)
    jpeg = _encoded(pictures[0], "JPEG", quality=QUALITY)
    turned = pictures[1].transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.asarray(pictures[3].convert("L"), dtype=np.uint16) * 257
    clear = pictures[4].convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size).point(lambda v: 255 - v // 3))
    frames = [pictures[5].quantize(128), pictures[6].quantize(128)]
    png = _encoded(pictures[2], "PNG")
    return {
        "cmyk.jpg": (_encoded(pictures[0].convert("CMYK"), "JPEG", quality=QUALITY), names[0]),
        "rotated by exif.jpg": (
            _encoded(turned, "JPEG", quality=QUALITY, exif=exif.tobytes()),
            names[1],
        ),
        "really-a-webp.jpg": (_encoded(pictures[2], "WEBP", quality=QUALITY), names[2]),
        "sixteen-bit.png": (_encoded(Image.fromarray(grey), "PNG"), names[3]),
        "half-transparent.webp": (_encoded(clear, "WEBP", quality=QUALITY), names[4]),
        "animated [2 frames].gif": (
            _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=200),
            names[5],
        ),
        "UPPER CASE.JPEG": (_encoded(pictures[7], "JPEG", quality=QUALITY), names[7]),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], None),
        "zero-bytes.jpg": (b"", None),
        "notes.jpg": (b"Seen at dusk near the old mill. Too dark for a picture.\n", None),
        "pixel-bomb.png": (_png_header(120_000, 120_000), None),
        "corrupt.png": (png[:400] + bytes(200) + png[600:], None),
        "document.png": (b"%PDF-1.7\n%nothing to see\n", None),
        "one-pixel.png": (_encoded(Image.new("RGB", (1, 1)), "PNG"), None),
    }


def draw_sample(directory: Path = FIRST_GUIDE / "sample") -> None:
    """Write the first sample archive."""

    def shown(number: int) -> Shown:
        species, scene = sample_scene(number)
        return species.name, scene.image

    write_sample(directory, shown, odd_files(), QUALITY)


def write_sample(
    directory: Path,
    shown: Callable[[int], Shown],
    odd: Mapping[str, tuple[bytes, str | None]],
    quality: int,
) -> None:
    """Write a sample archive: `images/`, `truth.csv` (key,label) and `labels.json`."""
    images = directory / "images"
    shutil.rmtree(images, ignore_errors=True)
    truth: list[tuple[str, str]] = []
    for number in range(len(order())):
        name, picture = shown(number)
        _write(images / sample_key(number), _encoded(picture, "JPEG", quality=quality))
        truth.append((sample_key(number), name))
    for name, (data, label) in odd.items():
        _write(images / "odd" / name, data)
        if label is not None:
            truth.append((f"odd/{name}", label))
    with (directory / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("key", "label"), *sorted(truth)])
    text = json.dumps(sample_labels(), indent=1, ensure_ascii=False)
    (directory / "labels.json").write_text(text + "\n", encoding="utf-8")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    draw_sample()
    print(f"drew the sample archive into {FIRST_GUIDE}")

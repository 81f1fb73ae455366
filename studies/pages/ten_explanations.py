"""Ten explanations, good, wrong and odd, and whether a reader sees from the picture what decided.

python -m studies.pages.ten_explanations FOLDER PAGES    # labels the sample in FOLDER first

Writes `ten_explanations.md` and its pictures into PAGES (docs/research/evaluation). What a reader
made of the pictures without words stands in `ten_readings.json` beside the templates, with the
digest of the picture that was read: the page says how many of them are others by now.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lazsl import fieldguide
from lazsl.archive.named_archives import note
from lazsl.explain.explanation import Explanation, explain
from lazsl.explain.lookup import find_image, find_run
from lazsl.explain.picture.canvas import Canvas, Frame, Style, height
from lazsl.explain.picture.draw import draw
from lazsl.explain.picture.scene import make_scene
from lazsl.explain.pixels import read_pixels
from lazsl.explain.words import because
from lazsl.run.run import Run
from lazsl.store.folder import Folder
from lazsl.warehouse.opening import open_warehouse
from studies.guide import all_phrases
from studies.pages.cookbook import labelled
from studies.pages.filled import filled

READINGS = Path(__file__).with_name("templates") / "ten_readings.json"
PART_OF = {phrase.text: phrase.part for phrase in all_phrases()}
NAMES_PART = re.compile(rf"\b({'|'.join(sorted({text.split()[-1] for text in PART_OF}))})\b")
BAR, HIDDEN = 1.2, "#d4d8dc"
GOOD, WRONG, TEN = 4, 3, 10
QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """An explanation with its picture, the same without words, and the parts that decided."""

    kind: str
    explanation: Explanation
    picture: bytes
    wordless: bytes
    parts: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Of what a reader sees."""
        pixels = Image.open(io.BytesIO(self.wordless)).convert("RGB")
        return hashlib.sha256(pixels.tobytes()).hexdigest()[:16]


class Wordless(Canvas):
    """A page that has a grey bar instead of every text that names a part of a bird."""

    def text(
        self, left: float, top: float, lines: list[str], style: Style, align: str = "left"
    ) -> float:
        if NAMES_PART.search(" ".join(lines)) is None:
            return super().text(left, top, lines, style, align)
        # As long as any other, so that its length says nothing either.
        self.fill(Frame(left, top + 0.02, BAR, 0.7 * style.size / 72), HIDDEN)
        return height(lines, style)


def main() -> None:
    """Write the page and its pictures."""
    logging.disable(logging.INFO)
    folder, pages = Path(sys.argv[1]), Folder(sys.argv[2])
    run = labelled(folder, str(fieldguide.LABELS_FILE), preset="parts")
    note(run.job.archive)
    shown = [explained(run, kind, key) for kind, key in chosen(run)]
    for number, of_ten in enumerate(shown, start=1):
        print(number, of_ten.explanation.image.key, of_ten.digest, file=sys.stderr)
        pages.write_bytes(f"pictures/explanation-{number}.webp", small_file(of_ten.picture))
        pages.write_bytes(f"pictures/wordless-{number}.webp", small_file(of_ten.wordless))
    readings = json.loads(READINGS.read_text(encoding="utf-8"))
    pages.write_bytes("ten_explanations.md", page(shown, readings).encode())


def chosen(run: Run) -> list[tuple[str, str]]:
    """Kind and key of ten images: right ones from sure to unsure, wrong ones (the closest right
    ones where there are too few), and files as archives have them."""
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        rows = connection.execute(
            "select key, correct from labelled where run = ? and listed and truth is not null and "
            "key not like 'desk/%' order by margin desc, key",
            [run.key],
        ).fetchall()
    good = [key for key, right in rows if right and not key.startswith("odd/")]
    spread = [good[round(k * (len(good) - 1) / (GOOD - 1))] for k in range(GOOD)]
    wrong = [key for key, right in rows if not right][:WRONG]
    close = good[-1 - WRONG + len(wrong) : -1]
    odd = sorted(key for key, right in rows if right and key.startswith("odd/"))
    return [
        *(("right", key) for key in spread),
        *(("wrong", key) for key in wrong),
        *(("right, and close", key) for key in close),
        *(("odd", key) for key in odd[: TEN - GOOD - WRONG]),
    ]


def explained(run: Run, kind: str, key: str) -> Shown:
    """One of the ten."""
    with closing(open_warehouse(run.job.warehouse_path)) as connection:
        of_run = find_run(connection, run.key, run.job.workspace)
        image = find_image(connection, run.key, key)
        explanation = explain(connection, of_run, image)
    pixels = read_pixels(image, run.job.max_pixels)
    assert not isinstance(pixels, str), pixels
    parts = tuple(PART_OF[spoken.text] for spoken in make_scene(explanation, None).decisive)
    wordless = draw(explanation, pixels, Wordless)
    return Shown(kind, explanation, draw(explanation, pixels), wordless, parts)


def small_file(picture: bytes) -> bytes:
    """The same picture in a file of a tenth of the size."""
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def page(shown: Sequence[Shown], readings: dict[str, dict[str, str]]) -> str:
    """The page in Markdown."""
    sections, named, read, changed = [], 0, 0, 0
    for number, this in enumerate(shown, start=1):
        reading = readings.get(this.explanation.image.key)
        parts = ", ".join(this.parts) or "none of its own"
        if reading is None:
            judged = "Not read yet."
        else:
            read += 1
            changed += reading["digest"] != this.digest
            hit = bool(this.parts) and reading["part"] == this.parts[0]
            named += hit
            agreed = "as it was" if hit else "it was not"
            judged = f"Read without words: {reading['part']}, {agreed}. {reading['note']}"
        verdict, pairs = this.explanation.verdict, make_scene(this.explanation, None).pairs
        truth = "" if verdict.right else f"Truly {verdict.truth}. "
        sections.append(
            f"## {number}. {this.kind}: `{this.explanation.image.key}`\n\n"
            f"![what decided](pictures/explanation-{number}.webp)\n\n"
            f"{truth}{because(this.explanation, pairs)} Parts that decided: {parts}.\n"
            f"{judged} ([without words](pictures/wordless-{number}.webp))\n"
        )
    return filled(
        "ten_explanations.md",
        sections="\n".join(sections),
        named=named,
        read=read,
        changed=changed,
    )


if __name__ == "__main__":
    main()

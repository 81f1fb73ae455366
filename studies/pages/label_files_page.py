"""What `lazsl labels check` says of public label files: `python -m studies.pages.label_files_page
FOLDER`.

Prints `label_files.md` of docs/research/evaluation from every JSON file below the folder that is a
label set: DCLIP's descriptors, CuPL's prompts and CLIP_benchmark's names, none of which is shipped.
Beside the descriptors lies `published_sentences.json`: data set -> class -> the sentences that the
published script made of `descriptors_DATASET.json`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lazsl.errors import UserError
from lazsl.labelset.checks import check
from lazsl.labelset.labels import LabelSet
from lazsl.labelset.native_form import Read
from lazsl.labelset.reading import load_labelset, read_labels
from lazsl.labelset.sentences import PUBLISHED, PUBLISHED_STOPPED
from studies.pages.filled import filled

SCRIPTS = "published_sentences.json"

BEFORE = {
    "cupl_cifar10.json": (585, 325),
    "cupl_pets.json": (1604, 910),
    "descriptors_cub.json": (13, 12),
    "descriptors_dtd.json": (37, 34),
    "descriptors_eurosat.json": (1, 1),
    "descriptors_food101.json": (122, 107),
    "descriptors_imagenet.json": (494, 425),
    "descriptors_pets.json": (1, 1),
    "descriptors_places365.json": (163, 134),
    "en_classnames.json": (10, 6),
    "en_zeroshot_classification_templates.json": (207, 201),
    "jp_classnames.json": (9, 0),
}
"""By file, all findings and those about grammar at the commit before whole sentences were told from
phrases (the files were read as attributes, whatever they are)."""


def main() -> None:
    """Print the page."""
    print(page(Path(sys.argv[1])), end="")


def page(folder: Path) -> str:
    """The page in Markdown, of the files below a folder."""
    files = sorted(folder.rglob("*.json"), key=lambda file: file.name)
    rows = [row for file in files if (row := _row(file)) is not None]
    published = [row for file in files if file.name == SCRIPTS for row in published_rows(file)]
    seconds, classes = check_seconds()
    return filled(
        "label_files.md",
        rows="\n".join(rows),
        published="\n".join(published),
        seconds=seconds,
        classes=classes,
    )


def published_rows(script: Path) -> Iterator[str]:
    """A line per data set, and one of all: sentences, and how many are the published script's with
    `template: published` and without.

    Args:
        script: the file of the script's sentences, beside the descriptors.
    """
    together = np.zeros(3, int)
    for name, expected in json.loads(script.read_text(encoding="utf-8")).items():
        labels = load_labelset(str(script.with_name(f"descriptors_{name}.json")))
        template = PUBLISHED_STOPPED if name == "imagenet" else PUBLISHED
        made = [_sentences(replace(labels, template=each)) for each in (template, None)]
        counts = [sum(map(len, expected.values()))]
        for by_class in made:
            assert by_class.keys() == expected.keys()
            counts.append(sum(_equal(by_class[label], expected[label]) for label in expected))
        together += counts
        yield f"| `descriptors_{name}.json` | " + " | ".join(f"{n:,}" for n in counts) + " |"
    yield "| together | " + " | ".join(f"{n:,}" for n in together) + " |"


def _sentences(labels: LabelSet) -> dict[str, tuple[str, ...]]:
    return dict(zip(labels.classes, labels.prompts, strict=True))


def _equal(made: tuple[str, ...], expected: list[str]) -> int:
    return sum(a == b for a, b in zip(made, expected, strict=False))


def check_seconds(classes: int = 21_000) -> tuple[float, int]:
    """Seconds of processor that `check` takes for made-up classes of six attributes each."""
    chance = random.Random(4)
    nouns = "wing bill tail crest eye leg feather beak foot neck back belly rump".split()
    colours = "red green blue brown grey white black yellow olive buff rusty".split()
    phrases = [f"a {a} {noun} with {b} spots" for a in colours for b in colours for noun in nouns]
    names = [f"{colours[i % 11]} {nouns[i % 13]}er {i}" for i in range(classes)]
    attributes = tuple(tuple(chance.sample(phrases, 6)) for _ in names)
    began = time.process_time()
    check(Read(LabelSet("made up", tuple(names), attributes)))
    return time.process_time() - began, classes


def _row(file: Path) -> str | None:
    """A file's line; None where it was not measured before."""
    if file.name not in BEFORE:
        return None
    every, grammar = BEFORE[file.name]
    cells = [f"`{file.name}`", f"{every:,}", f"{grammar:,}"]
    try:
        read = read_labels(str(file))
    except UserError as error:
        reason = str(error).partition("' ")[2].partition(";")[0].partition(" (")[0]
        return f"| {' | '.join(cells)} | refused: {reason} | | | |"
    began = time.process_time()
    findings = check(read)
    seconds = time.process_time() - began
    kinds = Counter(finding.kind for finding in findings)
    mended = sum(finding.mended is not None for finding in findings)
    rest = [f"{count} {kind}" for kind, count in kinds.most_common() if kind != "grammar"]
    cells += [f"{kinds.total():,}", f"{kinds['grammar']:,}", f"{mended:,}", ", ".join(rest)]
    print(f"{file.name}: {seconds:.2f} s", file=sys.stderr)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

"""How right a model is on the plates, in every world, and where its maps point:
`python -m studies.plates.measure FOLDER --model studies/plates/model`.

Draws species that nothing was chosen on, embeds their pictures under the paper's layout and the
preset `parts`' two, and prints two tables in Markdown. What is drawn and embedded stays in the
folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import numpy as np

from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import read_images
from lazsl.intervals import accuracy
from studies.fieldguide.traits import PARTS
from studies.pages.embedded_world import embedded_world
from studies.pages.evidence_page import FAST, FULL, ONE_SIDED, WAYS, Found, Way, ask, point
from studies.plates.worlds import WORLDS, draw_world

DRAW = 4201
MEASURED = (WAYS[0], FAST, FULL)


def measure(folder: Path, world: str, way: Way, model: str, pictures: int, draw: int) -> Found:
    """What one way does in one world."""
    scoring = ONE_SIDED if "layout" in way.regions else {}
    run, stored, known = embedded_world(
        folder, world, pictures, draw, model, draw_world, regions=way.regions, scoring=scoring
    )
    result = Found()
    answers = ask(stored, known, stored.embedded_labels, way)
    for name in way.methods:
        right = answers.right(name).tolist()
        result.right[name] = dict(zip(answers.keys, right, strict=True))
    archive = folder / f"{world}-{draw}-{pictures}"
    for image in read_images(stored, set(known.class_index), memory_bytes=1):
        result.passes.append(1 + image.crops.shape[1])
        if way.maps:
            point(image, archive, run, stored.embedded_labels, known, way, result)
    return result


def accuracies(results: dict[tuple[str, str], Found]) -> str:
    """A row per world, a column per way and method."""
    columns = [(way.name, name) for way in MEASURED for name in way.methods]
    rows = []
    for world in dict.fromkeys(world for world, _ in results):
        cells = []
        for way, name in columns:
            right = np.array(list(results[world, way].right[name].values()))
            shown = accuracy(right)
            cells.append(f"{100 * shown.value:.1f} ({100 * shown.low:.0f}-{100 * shown.high:.0f})")
        rows.append((world, *cells))
    return table(("world", *(f"{name}, {way}" for way, name in columns)), rows)


def pointing(results: dict[tuple[str, str], Found]) -> str:
    """How often the place map of the evidence layout peaks on its part: a row per world."""
    rows = []
    for (world, way), result in results.items():
        if way != FULL.name:
            continue
        tally = result.pointing["one-sided place"]
        shown = [tally.figures("pointing"), result.near.figures("pointing")]
        shown += [tally.figures("pointing", part) for part in PARTS[1:]]
        cells = [
            f"{100 * value:.0f} ({100 * low:.0f}-{100 * high:.0f})" for value, low, high in shown
        ]
        sizes = [100 * float(np.mean(result.share.get(part, [0]))) for part in PARTS[1:]]
        rows.append((world, *cells, ", ".join(f"{size:.0f}" for size in sizes)))
    return table(("world", "all", "within 1 %", *PARTS[1:], "% of the bird"), rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m studies.plates.measure", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "model")
    parser.add_argument("--worlds", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--pictures", type=int, default=1, help="per species")
    parser.add_argument("--draw", type=int, default=DRAW)
    args = parser.parse_args()
    logging.disable(logging.INFO)
    model = f"local-dir:{args.model.absolute()}"
    os.environ["LAZSL_MODEL"] = model
    results = {}
    for world in args.worlds:
        for way in MEASURED:
            print(world, way.name, file=sys.stderr, flush=True)
            results[world, way.name] = measure(
                args.folder, world, way, model, args.pictures, args.draw
            )
            shown = {
                n: np.mean(list(r.values())) for n, r in results[world, way.name].right.items()
            }
            print(shown, file=sys.stderr, flush=True)
    print(accuracies(results), pointing(results), sep="\n\n")


if __name__ == "__main__":
    main()

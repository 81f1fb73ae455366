"""Aligners and layouts, by how right they are and where they point:
`nice python -m studies.pages.evidence_page FOLDER PAGES`.

Draws species that nothing was chosen on in all worlds, embeds their pictures with the embedded
model under every layout, and writes `evidence.md` and `worlds.md` of docs/research/evaluation. What
is drawn and embedded stays in the first folder, so that the pages can be written again.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import read_images
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.store.folder import Folder
from studies.fieldguide.sample import FIRST_GUIDE
from studies.guide import sample_species
from studies.pages import chance, row_penalty
from studies.pages.filled import filled
from studies.pages.stopped import pooled, stopped
from studies.pages.ways import (
    DRAWS,
    EARLY,
    FAST,
    FULL,
    PAPER,
    PYRAMID,
    READ,
    WAYS,
    Measured,
    Table,
    ask,
    cell,
    drawn,
    figure,
    measure_all,
    measure_control,
    paired,
    sample,
    together,
)
from studies.pages.worlds_page import page as worlds_page

TITLES = {"lazsl": "LaZSL as published", "crop-mean": "plain mean", "one-sided": "one-sided"}
FIXED = (PAPER, PYRAMID, FAST, EARLY, FULL)
"""Ways that are shown on the first sample archive."""

SMALL = 0.06
"""Parts that fill less than this of the bird are small."""


def main() -> None:
    """Write both pages."""
    logging.disable(logging.INFO)
    folder, pages = Path(sys.argv[1]), Folder(sys.argv[2])
    fixed, penalties = list(fixed_rows(folder)), list(penalty_rows(folder))
    measured = measure_all(folder, families)
    fewer = stopped(folder) | pooled(folder)
    pages.write_bytes("worlds.md", worlds_page(measured, fewer).encode())
    control = together(list(measure_control(folder, families).values()))
    dealt = chance.dealt_accuracy(folder)
    pages.write_bytes("evidence.md", page(measured, control, dealt, fixed, penalties).encode())


def families(draw: int) -> dict[str, str]:
    """The family of every species of a draw."""
    return {species.name: str(species.family) for species in sample_species(draw)}


def page(
    measured: Table,
    control: Measured,
    dealt: str,
    fixed: list[tuple[str, ...]],
    penalties: list[tuple[str, ...]],
) -> str:
    """`evidence.md`.

    Args:
        measured: in all worlds.
        control: the evidence layout with shuffled attributes.
        dealt: how often it is right over many deals of them, `chance.dealt_accuracy`.
        fixed: rows of `fixed_rows`.
        penalties: rows of `penalty_rows`.
    """
    by_way = {
        name: together([by_world[world] for world in READ]) for name, by_world in measured.items()
    }
    full, fast = by_way[FULL.name], by_way[FAST.name]
    place = full.pointing["place"]
    share = {part: float(np.mean(values)) for part, values in full.share.items()}
    small = [part for part in share if share[part] < SMALL]
    parts = [
        (
            part,
            f"{share[part]:.1%}",
            *(figure(tally, part) for tally in (place, full.near, fast.pointing["place"])),
        )
        for part in sorted(share, key=lambda part: share[part])
    ]
    early = by_way[EARLY.name].called["one-sided"]
    same = [fast.called["one-sided"][key] == name for key, name in early.items()]
    return filled(
        "evidence.md",
        same=cell(np.array(same)),
        pictures=len(by_way[PAPER.name].right["lazsl"]),
        draws=" and ".join(map(str, DRAWS)),
        worlds=", ".join(READ),
        ways=table(
            ("score", "regions", "passes", "top-1", "published : it", "p", "pointing"),
            list(_rows(by_way)),
            text_columns=2,
        ),
        parts=table(("part", "of the bird", "parts", "within 1 %", "parts-fast"), parts),
        all_parts=figure(place),
        all_near=figure(full.near),
        small_parts=", ".join(small),
        small=figure(place.of(small)),
        small_near=figure(full.near.of(small)),
        fixed=table(("regions", "passes", "top-1", "LaZSL, 91 : it", "p"), fixed),
        trust=table(
            ("preset", "temperature", "ECE", "labelled at 95 %", "held out: labelled", "right"),
            [
                _trust("paper", by_way[PAPER.name], "lazsl"),
                _trust("parts-fast", fast, "one-sided"),
                _trust("parts", full, "one-sided"),
            ],
        ),
        control_right=cell(control.hits("one-sided")),
        deals=len(chance.DEALS),
        dealt_right=dealt,
        control_pointing=figure(control.pointing["place"]),
        penalties=table(
            ("regions", *(f"rho = {rho:g}" for rho in row_penalty.PENALTIES)), penalties
        ),
    )


def _rows(by_way: dict[str, Measured]) -> Iterator[tuple[str, ...]]:
    published = by_way[PAPER.name].hits("lazsl")
    for way in WAYS:
        measured = by_way[way.name]
        for name in way.methods:
            if name not in TITLES:
                continue
            hits = measured.hits(name)
            test = ("", "") if name == "lazsl" else paired(published, hits)
            # Maps are of the first method.
            kinds = measured.pointing if name == way.methods[0] else {}
            pointing = ", ".join(f"{figure(tally)} ({kind})" for kind, tally in kinds.items())
            passes = f"{np.mean(measured.passes):.1f}".removesuffix(".0")
            yield TITLES[name], way.name, passes, cell(hits), *test, pointing


def fixed_rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Every way on the first sample archive, by its own model."""
    published: np.ndarray | None = None
    model = f"local-dir:{FIRST_GUIDE / 'model'}"
    # A model that a run's record names is loaded where the environment names it, too.
    os.environ["LAZSL_MODEL"] = model
    for way in FIXED:
        print("sample", way.name, file=sys.stderr, flush=True)
        _, stored, known = sample(folder, way, FIRST_GUIDE, model)
        answers = ask(stored, known, stored.embedded_labels, way)
        order = np.argsort(answers.keys)
        if published is None:
            published = answers.right("lazsl")[order]
        passes = [
            1 + images.crops.shape[1]
            for images in read_images(stored, set(known.class_index))
            for _ in images.keys
        ]
        for name in way.methods:
            if name not in TITLES:
                continue
            hits = answers.right(name)[order]
            test = ("", "") if name == "lazsl" else paired(published, hits)
            title = f"{way.name} ({TITLES[name]})"
            yield title, f"{np.mean(passes):.1f}".removesuffix(".0"), cell(hits), *test


def penalty_rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Top-1 along the family between both plans, on the first draw, and iterations in brackets."""
    for way in (PAPER, PYRAMID):
        right: list[list[bool]] = [[] for _ in row_penalty.PENALTIES]
        iterations: list[list[float]] = [[] for _ in row_penalty.PENALTIES]
        for world in READ:
            _, stored, known = drawn(folder, world, way, DRAWS[0])
            epsilon = stored.one_sided.epsilon
            assert epsilon is not None  # the model has resolved it
            for images in read_images(stored, set(known.class_index)):
                for row, image_id in enumerate(images.image_ids):
                    regions = np.concatenate([images.whole[row : row + 1], images.crops[row]])
                    for k, rho in enumerate(row_penalty.PENALTIES):
                        packed = stored.embedded_labels.packed
                        solved = row_penalty.solve(regions.astype(float), packed, epsilon, rho)
                        right[k].append(solved.scores.argmax() == known.class_index[image_id])
                        iterations[k].append(solved.iterations)
        cells = (
            f"{100 * np.mean(hits):.1f} ({np.mean(count):.0f})"
            for hits, count in zip(right, iterations, strict=True)
        )
        yield way.name, *cells


def _trust(preset: str, measured: Measured, name: str) -> tuple[str, ...]:
    right = np.array(list(measured.right[name].values()))
    scores = np.stack(measured.scores[name])
    trust = measure_trust(scores, right, np.ones_like(right), 0.95)
    given = "none" if trust.cut is None else f"{trust.cut.coverage:.1%}"
    kept = "" if trust.held_out_precision is None else f"{trust.held_out_precision:.1%}"
    return (
        preset,
        f"{trust.temperature:.4g}",
        f"{trust.ece_after:.3f}",
        given,
        f"{trust.held_out_coverage:.1%}",
        kept,
    )


if __name__ == "__main__":
    main()

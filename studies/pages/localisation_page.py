"""Where evidence sits on the sample archive, by preset: `python -m studies.pages.localisation_page
FOLDER`.

Prints `localisation.md` of docs/research/evaluation from the sample as `evidence_page` embeds it
into the folder; what is missing there is made. What every pixel shows is known: it was drawn.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lazsl import fieldguide
from lazsl.alignment.align import top_classes
from lazsl.evaluation.compared_sentences import text_tower
from lazsl.evaluation.control_label_sets import CONTROLS
from lazsl.evaluation.controls import embedded
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.localisation import ATTRIBUTIONS, BEST, area_under, deleted, evidence_of
from lazsl.evaluation.methods import aligning
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.stored import Images, StoredRun, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.explain.evidence import Evidence
from lazsl.explain.localised import localised
from lazsl.images.crops import cut_crops
from lazsl.images.region_maps import fitting_grid
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, choose_device, load_encoder
from lazsl.scoring.aligned import taking_part
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import ScoringSettings
from studies.guide import PARTS, all_phrases, sample_key, sample_scene
from studies.pages import chance, sharpness
from studies.pages.filled import filled
from studies.pages.ways import DRAWS, PRESETS, sample

PICTURES = 240
DELETION_PICTURES, DELETION_REGIONS = 16, 8
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1)
SHOWN = ("paper", "parts")
DELETED_BY = (BEST, "above floor", "contribution", "best crop", "centre", "uniform")
BESIDE = (BEST, "place, kept", "above floor", "contribution", "best crop", "centre", "uniform")
PART_OF = {phrase.text: phrase.part for phrase in all_phrases()}
SMALLEST_SHARE = 0.02


def main() -> None:
    """Print the page."""
    logging.disable(logging.INFO)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "workspace/evidence")
    truths, species = {}, {}
    for number in range(PICTURES):
        shown, scene = sample_scene(number)
        truths[sample_key(number)] = Truth(number, scene.parts, PARTS)
        species[sample_key(number)] = shown.name
    by_preset = {}
    for preset in SHOWN:
        print(preset, file=sys.stderr, flush=True)
        _, stored, known = sample(folder, PRESETS[preset][0])
        by_preset[preset] = localise(stored, known, truths, species)
    dealt = chance.measure(folder, truths, species)
    print(page(by_preset, truths, list(sharpness.rows(folder)), dealt), end="")


@dataclass(frozen=True)
class Localised:
    """Where the evidence of one preset sits.

    tallies: by map. marked: of the best map, by whether people are told that it is not localised.
    controlled: of the best map, by control. areas: under the deletion curve, by
    map; `intact` before deletion, of so many `attributes`. pictures: how many.
    """

    tallies: dict[str, Tally]
    marked: dict[bool, Tally]
    controlled: dict[str, Tally]
    areas: dict[str, float]
    intact: float
    attributes: int
    pictures: int


def localise(
    stored: StoredRun, known: Known, truths: dict[str, Truth], species: dict[str, str]
) -> Localised:
    """Where the evidence of a run of the sample archive sits, with its own label set.

    Args:
        stored, known: the run.
        truths, species: by key, what every pixel shows, and who is shown.
    """
    labels, scoring = stored.embedded_labels, stored.job.scoring
    model = text_tower(stored)
    controls = {
        control.title: embedded(stored, control.make(stored.labelset, 0), model)
        for control in CONTROLS
    }
    kinds = [kind for kind in ATTRIBUTIONS if not (scoring.one_sided and kind == "place, kept")]
    tallies = {kind: Tally() for kind in kinds}
    controlled = {title: Tally() for title in controls}
    marked = {False: Tally(), True: Tally()}
    birds = [image for image in singly(stored, set(known.class_index)) if image.keys[0] in truths]
    for image in birds:
        truth, name = truths[image.keys[0]], species[image.keys[0]]
        evidence, rival = with_rival(image, labels, scoring, name)
        grid = fitting_grid((evidence.width, evidence.height))
        parts = [PART_OF[text] for text in evidence.attributes]
        for kind in kinds:
            tallies[kind].add(ATTRIBUTIONS[kind](evidence, rival, grid), parts, truth)
        pointing, maps = localised(evidence), ATTRIBUTIONS[BEST](evidence, rival, grid)
        for mark, tally in marked.items():
            rows = [row for row in range(len(parts)) if pointing[row] != mark]
            tally.add(maps[rows], [parts[row] for row in rows], truth)
        for title, control in controls.items():
            other, _ = with_rival(image, control, scoring, name)
            # A shuffled attribute names its part; a foreign one stands where another one stood.
            meant = [PART_OF.get(t, p) for t, p in zip(other.attributes, parts, strict=True)]
            controlled[title].add(ATTRIBUTIONS[BEST](other, None, grid), meant, truth)
    encoder = load_encoder(
        find_model(stored.job.model, stored.job.precision), choose_device("cpu"), "both"
    )
    deletion = delete(birds[:DELETION_PICTURES], labels, scoring, species, encoder)
    return Localised(tallies, marked, controlled, *deletion, len(birds))


def page(
    by_preset: dict[str, Localised],
    truths: dict[str, Truth],
    sharper: list[tuple[str, ...]],
    dealt: chance.Chance,
) -> str:
    """The page in Markdown; `sharper` are rows of `sharpness`."""
    shares = {
        part: float(np.mean([s for t in truths.values() if (s := t.share(part)) > 0]))
        for part in PARTS[1:]
    }
    large = [part for part in shares if shares[part] >= SMALLEST_SHARE]
    heads = ("pointing: the part", "pointing: the bird", "energy inside the part")
    first = next(iter(by_preset.values()))

    def kinds(of_preset: Localised) -> str:
        return table(("map", *heads), [_figures(*item) for item in of_preset.tallies.items()])

    def parts(of_preset: Localised) -> str:
        shown = [kind for kind in BESIDE if kind in of_preset.tallies]
        tallies = of_preset.tallies
        rows = [
            (part, f"{shares[part]:.1%}", *(_cell(tallies[k], "pointing", part) for k in shown))
            for part in sorted(large, key=lambda part: shares[part])
        ]
        return table(("part", "of the bird", *shown), rows)

    def marked(preset: str, of_preset: Localised) -> list[tuple[str, ...]]:
        count = len(of_preset.tallies[BEST].images)
        return [
            (
                f"`{preset}`",
                "marked not localised" if mark else "drawn",
                f"{len(tally.images) / count:.1%}",
                *(_cell(tally, what) for what in ("pointing", "thing")),
            )
            for mark, tally in of_preset.marked.items()
            if tally.images
        ]

    def controls(of_preset: Localised) -> str:
        rows = [_figures("the label set", of_preset.tallies[BEST])]
        rows += [_figures(*item) for item in of_preset.controlled.items()]
        return table(("attributes", *heads), rows)

    return filled(
        "localisation.md",
        images=first.pictures,
        pairs=len(first.tallies[BEST].images),
        small_parts=", ".join(part for part in shares if part not in large) or "none",
        kinds=_by_preset(by_preset, kinds),
        parts=_by_preset(by_preset, parts),
        better=_by_preset(by_preset, lambda of_preset: _better(of_preset.tallies, large)),
        deleted=table(
            ("deleted first", *(f"`{preset}`" for preset in by_preset)),
            [
                (kind, *(f"{of_preset.areas[kind]:.4f}" for of_preset in by_preset.values()))
                for kind in DELETED_BY
            ],
        ),
        intact=", ".join(
            f"{of_preset.intact:.4f} (`{preset}`)" for preset, of_preset in by_preset.items()
        ),
        deletion_images=DELETION_PICTURES,
        deletion_pairs=first.attributes,
        deletion_regions=DELETION_REGIONS,
        fractions=", ".join(f"{fraction:.0%}" for fraction in FRACTIONS[1:]),
        marked=table(
            ("preset", "map", "of all", *heads[:2]),
            [row for item in by_preset.items() for row in marked(*item)],
            text_columns=2,
        ),
        controls=_by_preset(by_preset, controls),
        sharper=table(
            (
                "values of regions",
                "small parts",
                "all",
                "small parts, judged",
                "all, judged",
                "crops",
            ),
            sharper,
        ),
        **chance.section(dealt),
        chosen_on=" and ".join(map(str, sharpness.CHOSEN_ON)),
        judged_on=" and ".join(map(str, DRAWS)),
    )


def _by_preset(by_preset: dict[str, Localised], part: Callable[[Localised], str]) -> str:
    """A part of the page for each preset, under its name."""
    return "\n\n".join(f"`{preset}`:\n\n{part(of)}" for preset, of in by_preset.items())


def singly(stored: StoredRun, wanted: set[str] | None) -> Iterator[Images]:
    """Images one by one: those of these image_ids, or all."""
    for images in read_images(stored, wanted):
        for row in range(len(images)):
            single = slice(row, row + 1)
            yield Images(
                images.image_ids[single],
                images.keys[single],
                images.whole[single],
                images.crops[single],
                images.boxes[single],
                images.sizes[single],
            )


def with_rival(
    image: Images, labels: EmbeddedLabels, scoring: ScoringSettings, name: str
) -> tuple[Evidence, Evidence]:
    """The evidence of the class that one image shows, and of the best other class."""
    regions = taking_part(torch.cat([image.whole[:, None], image.crops], 1), scoring)
    given = (regions.embeddings, image.whole, regions.keep, labels.packed)
    top = top_classes(*given, k=2, **aligning(scoring))
    true = labels.classes.index(name)
    best = [index for index in top.classes[0].tolist() if index != true]
    evidence, rival = evidence_of(image, labels, scoring, np.array([[true, best[0]]]))[0]
    return evidence, rival


def delete(
    birds: list[Images],
    labels: EmbeddedLabels,
    scoring: ScoringSettings,
    species: dict[str, str],
    encoder: Encoder,
) -> tuple[dict[str, float], float, int]:
    """Mean area under the deletion curve by map, the mean before deletion, and of how many."""
    areas: dict[str, list[float]] = {kind: [] for kind in DELETED_BY}
    intact: list[float] = []
    for image in birds:
        evidence, rival = with_rival(image, labels, scoring, species[image.keys[0]])
        with Image.open(fieldguide.IMAGES_DIR / image.keys[0]) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        chosen = np.linspace(0, len(evidence.boxes) - 1, DELETION_REGIONS).astype(int)
        whole = [[0, 0, evidence.width, evidence.height]]
        boxes = np.concatenate([whole, evidence.boxes[chosen]])
        rows = slice(*labels.packed.starts[labels.classes.index(evidence.label) :][:2].tolist())
        texts = labels.packed.embeddings[rows]

        def score(
            pictures: list[np.ndarray], boxes: np.ndarray = boxes, texts: torch.Tensor = texts
        ) -> np.ndarray:
            """(len(pictures), N): every attribute's mean similarity over the regions."""
            crops = [cut_crops(Image.fromarray(p), boxes, encoder.framing) for p in pictures]
            scores = encoder.encode_crops(torch.from_numpy(np.concatenate(crops))) @ texts.T
            each = scores.view(len(pictures), len(boxes), -1)
            mean = scoring.theta * each[:, 1:].mean(1) + (1 - scoring.theta) * each[:, 0]
            return mean.numpy()

        before = score([pixels])
        intact += before[0].tolist()
        grid = fitting_grid((evidence.width, evidence.height))
        for kind in DELETED_BY:
            maps = ATTRIBUTIONS[kind](evidence, rival, grid)
            alike = kind in ("centre", "uniform")
            for j in range(1 if alike else len(maps)):
                after = score(deleted(pixels, maps[j], FRACTIONS[1:], seed=j))
                curve = np.concatenate([before, after])
                curves = curve.T if alike else curve.T[j : j + 1]
                areas[kind] += [area_under(FRACTIONS, curve) for curve in curves]
    return (
        {kind: float(np.mean(values)) for kind, values in areas.items()},
        float(np.mean(intact)),
        len(intact),
    )


def _cell(tally: Tally, what: str, part: str | None = None) -> str:
    mean, low, high = (100 * figure for figure in tally.figures(what, part))
    return f"{mean:.1f} ({low:.1f}-{high:.1f})"


def _figures(name: str, tally: Tally) -> tuple[str, ...]:
    return name, *(_cell(tally, what) for what in ("pointing", "thing", "energy"))


def _better(tallies: dict[str, Tally], parts: list[str]) -> str:
    """Where the best beats the others by their means, and where it does not."""
    sentences = []
    for other in ("above floor", "contribution", "best crop", "centre", "uniform"):
        ahead: list[str] = []
        behind: list[str] = []
        for part in parts:
            means = [tallies[k].figures("pointing", part)[0] for k in (BEST, other)]
            (ahead if means[0] > means[1] else behind).append(part)
        sentences.append(
            f"- against `{other}`: ahead on {', '.join(ahead) or 'none'}; not ahead on "
            f"{', '.join(behind) or 'none'}"
        )
    return "\n".join(sentences)


if __name__ == "__main__":
    main()

"""Where evidence sits on the sample archive: `python -m studies.pages.localisation_page WORKSPACE`.

Prints `localisation.md` of docs/research/evaluation from the embeddings of a labelled sample (`make
label`). What every pixel shows is known, because it was drawn.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image

from lazsl import fieldguide
from lazsl.alignment.align import select_regions, top_classes
from lazsl.evaluation.controls import CONTROLS, embedded
from lazsl.evaluation.localisation import (
    ATTRIBUTIONS,
    BEST,
    area_under,
    deleted,
    evidence_of,
)
from lazsl.evaluation.methods import aligning
from lazsl.evaluation.sections.section import table
from lazsl.evaluation.sentences import text_tower
from lazsl.evaluation.stored import Images, StoredRun, join_truth, open_stored, read_images
from lazsl.evaluation.tally import Tally, Truth
from lazsl.explain.evidence import Evidence
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.region_maps import fitting_grid
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, choose_device, load_encoder
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import RegionSettings, ScoringSettings
from studies.guide import PARTS, all_phrases, sample_key, sample_scene
from studies.pages.filled import filled

PICTURES = 240
SMALL = RegionSettings(smallest=0.2)
SMALL_PICTURES = 60
DELETION_PICTURES, DELETION_REGIONS = 16, 8
FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1)
DELETED_BY = (BEST, "above floor", "contribution", "best crop", "centre", "uniform")
BESIDE = (BEST, "place, kept", "above floor", "contribution", "best crop", "centre", "uniform")
PART_OF = {phrase.text: phrase.part for phrase in all_phrases()}
SMALLEST_SHARE = 0.02


def main() -> None:
    """Print the page."""
    stored = open_stored(sys.argv[1] if len(sys.argv) > 1 else "workspace")
    print(page(stored), end="")


def page(stored: StoredRun) -> str:
    """The page in Markdown, from a run of the sample archive with its own label set."""
    labels, scoring = stored.embedded_labels, stored.job.scoring
    truths, species = {}, {}
    for number in range(PICTURES):
        shown, scene = sample_scene(number)
        truths[sample_key(number)] = Truth(number, scene.parts, PARTS)
        species[sample_key(number)] = shown.name
    model = text_tower(stored)
    controls = {
        control.title: embedded(stored, control.make(stored.labelset, 0), model)
        for control in CONTROLS
    }
    tallies = {name: Tally() for name in ATTRIBUTIONS}
    controlled = {title: Tally() for title in controls}
    known = join_truth(stored, str(fieldguide.TRUTH_FILE))
    birds = [image for image in singly(stored, set(known.class_index)) if image.keys[0] in truths]
    for image in birds:
        truth, name = truths[image.keys[0]], species[image.keys[0]]
        evidence, rival = with_rival(image, labels, scoring, name)
        grid = fitting_grid((evidence.width, evidence.height))
        parts = [PART_OF[text] for text in evidence.attributes]
        for kind, maps in ATTRIBUTIONS.items():
            tallies[kind].add(maps(evidence, rival, grid), parts, truth)
        for title, control in controls.items():
            other, _ = with_rival(image, control, scoring, name)
            # A shuffled attribute names its part; a foreign one stands where another one stood.
            meant = [PART_OF.get(t, p) for t, p in zip(other.attributes, parts, strict=True)]
            controlled[title].add(ATTRIBUTIONS[BEST](other, None, grid), meant, truth)
    encoder = load_encoder(
        find_model(stored.job.model, stored.job.precision), choose_device("cpu"), "both"
    )
    small = {name: Tally() for name in BESIDE}
    right = []
    for key in list(truths)[:SMALL_PICTURES]:
        image = embed(key, encoder, SMALL)
        evidence, rival = with_rival(image, labels, scoring, species[key])
        right.append(evidence.score > rival.score)
        grid = fitting_grid((evidence.width, evidence.height))
        parts = [PART_OF[text] for text in evidence.attributes]
        for kind in BESIDE:
            small[kind].add(ATTRIBUTIONS[kind](evidence, rival, grid), parts, truths[key])
    areas, intact, count = deletion(birds[:DELETION_PICTURES], labels, scoring, species, encoder)
    shares = {
        part: float(np.mean([s for t in truths.values() if (s := t.share(part)) > 0]))
        for part in PARTS[1:]
    }
    large = [part for part in shares if shares[part] >= SMALLEST_SHARE]
    return filled(
        "localisation.md",
        images=len(birds),
        pairs=len(tallies[BEST].images),
        parts=table(
            ("part", "of the bird", *BESIDE),
            [
                (
                    part,
                    f"{shares[part]:.1%}",
                    *(_cell(tallies[k], "pointing", part) for k in BESIDE),
                )
                for part in large
            ],
        ),
        small_parts=", ".join(part for part in shares if part not in large) or "none",
        kinds=table(
            ("map", "pointing: the part", "pointing: the bird", "energy inside the part"),
            [_figures(kind, tally) for kind, tally in tallies.items()],
        ),
        better=_better(tallies, large),
        deleted=table(
            ("deleted first", "area under the curve"),
            [(kind, f"{area:.4f}") for kind, area in areas.items()],
        ),
        intact=intact,
        deletion_images=DELETION_PICTURES,
        deletion_pairs=count,
        deletion_regions=DELETION_REGIONS,
        fractions=", ".join(f"{f:.0%}" for f in FRACTIONS[1:]),
        controls=table(
            ("attributes", "pointing: the part", "pointing: the bird", "energy inside the part"),
            [
                _figures("the label set", tallies[BEST]),
                *(_figures(title, tally) for title, tally in controlled.items()),
            ],
        ),
        small=table(
            ("map", "pointing: the part", "pointing: the bird", "energy inside the part"),
            [_figures(kind, tally) for kind, tally in small.items()],
        ),
        small_images=SMALL_PICTURES,
        small_right=np.mean(right),
        small_smallest=SMALL.smallest,
        small_largest=SMALL.largest,
    )


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
    keep = select_regions(image.crops, image.whole, scoring.gamma)
    top = top_classes(image.crops, image.whole, keep, labels.packed, k=2, **aligning(scoring))
    true = labels.classes.index(name)
    best = [index for index in top.classes[0].tolist() if index != true]
    evidence, rival = evidence_of(image, labels, scoring, np.array([[true, best[0]]]))[0]
    return evidence, rival


def embed(key: str, encoder: Encoder, regions: RegionSettings) -> Images:
    """A picture of the sample archive with other regions."""
    data = (fieldguide.IMAGES_DIR / key).read_bytes()
    with Image.open(fieldguide.IMAGES_DIR / key) as opened:
        picture = opened.convert("RGB")
    boxes = draw_boxes(*picture.size, hashlib.sha256(data).hexdigest(), regions)
    vectors = encoder.encode_crops(torch.from_numpy(cut_crops(picture, boxes, encoder.framing)))
    size = np.array([picture.size], np.int32)
    return Images((key,), (key,), vectors[None, 0], vectors[None, 1:], boxes[None, 1:], size)


def deletion(
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

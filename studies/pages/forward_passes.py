"""Labels from fewer forward passes: `python -m studies.pages.forward_passes FOLDER`.

Draws the worlds, embeds every crop of every picture once, and replays on these embeddings what
`regions.doubt` would have done; then looks at whole pictures for `regions.source dense`. Writes
`forward_passes.md`, its pictures, and with --json all figures.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from lazsl.alignment.align import class_scores, crop_mean_scores, select_regions, top_classes
from lazsl.alignment.attributes import PackedAttributes
from lazsl.embedding.doubt import doubts, in_telling_order, rounds
from lazsl.evaluation.known_truth import Known
from lazsl.evaluation.metrics import mcnemar
from lazsl.evaluation.stored import StoredRun, read_images
from lazsl.images.crops import cut_crops
from lazsl.model.dense import DenseEncoder
from lazsl.run import models
from lazsl.run.run import Run
from lazsl.settings import make_job
from studies.guide import RENDERINGS, World
from studies.pages.embedded_world import embedded_world
from studies.pages.forward_passes_page import draw, page

PICTURES = 8
"""Per species: the first half is for testing (of `photo`, the sample archive), the other half for
choosing the doubt."""

DOUBTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
SCALES = (1.0, 1.5, 2.0, 3.0)
FIRST = (5, 8, 12, 20, 30, 45, 60, 75)
SEEN = (30, 45, 60, 75, 80, 85, 87, 88, 89)
LOOKED_AT = 2
"""Pictures per species that are looked at whole."""

TIMED = 12
"""Pictures whose crops are cut and embedded against the clock."""


@dataclass(frozen=True)
class Embedded:
    """A world's pictures with every crop, (B, M, D), as drawn; `number` counts the pictures of a
    species, `right` is the class that is shown."""

    paths: tuple[Path, ...]
    number: np.ndarray
    right: np.ndarray
    whole: Tensor
    crops: Tensor
    boxes: np.ndarray
    packed: PackedAttributes

    def __getitem__(self, rows: np.ndarray) -> Embedded:
        where = np.flatnonzero(rows)
        return Embedded(
            tuple(self.paths[i] for i in where),
            self.number[where],
            self.right[where],
            self.whole[where],
            self.crops[where],
            self.boxes[where],
            self.packed,
        )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.pages.forward_passes", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="where the page goes")
    parser.add_argument("--json", type=Path, help="all figures")
    parser.add_argument("--work", type=Path, help="keeps worlds and embeddings; default: a new one")
    parser.add_argument("--worlds", nargs="+", choices=RENDERINGS, default=RENDERINGS)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="per species, 2 or more")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as scratch:
        document = measure(args.work or Path(scratch), args.worlds, args.pictures)
    if args.json:
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (args.folder / "pictures").mkdir(parents=True, exist_ok=True)
    draw(document, args.folder / "pictures")
    (args.folder / "forward_passes.md").write_text(page(document), encoding="utf-8")


def measure(work: Path, worlds: Sequence[World], pictures: int = PICTURES) -> dict[str, Any]:
    """Every figure of the page, by world."""
    document: dict[str, Any] = {"passes": 0, "pictures": pictures, "worlds": {}}
    for world in worlds:
        every, encoder = embed(work, world, pictures)
        document["passes"] = 1 + every.crops.shape[1]
        testing = every.number < pictures // 2
        tested = every[testing]
        full = labels(tested.crops, tested)
        document["worlds"][world] = {
            "images": len(tested.right),
            "accuracy": share(full == tested.right),
            "margin": [float(m) for m in np.quantile(margins(tested), (0.1, 0.5))],
            "anytime": replay(tested),
            "choosing": replay(every[~testing]),
            "first": first_crops(tested, full),
            "certain": certain(tested),
            "dense": dense(tested[tested.number < LOOKED_AT], encoder),
        }
    return document


def embed(work: Path, world: World, pictures: int) -> tuple[Embedded, Any]:
    """Every crop of every picture of a world, and the encoder; what is there is used."""
    run, stored, known = embedded_world(work, world, pictures)
    return every_crop(run, stored, known), models.load_model(run, "vision")


def every_crop(run: Run, stored: StoredRun, known: Known) -> Embedded:
    """What a run stored of its pictures with truth."""
    parts = list(read_images(stored, set(known.class_index)))
    ids = [image_id for part in parts for image_id in part.image_ids]
    right = np.array([known.class_index[image_id] for image_id in ids])
    # Pictures of a species are counted in the order of their names.
    paths = [Path(run.job.archive) / key for part in parts for key in part.keys]
    number = np.zeros(len(ids), np.int64)
    for species in np.unique(right):
        plates = np.flatnonzero(right == species)
        number[sorted(plates, key=lambda i: paths[i])] = np.arange(len(plates))
    return Embedded(
        tuple(paths),
        number,
        right,
        torch.cat([part.whole for part in parts]),
        torch.cat([part.crops for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        stored.embedded_labels.packed,
    )


def replay(pictures: Embedded) -> list[dict[str, float]]:
    """What every doubt allowed costs and changes, from the crops in the order they are visited."""
    crops = visited(pictures)
    count = crops.shape[1]
    scoring = make_job(archive="a", labels="l").scoring
    seen = rounds(count)
    called = [labels(crops[:, :k], pictures) for k in seen]
    doubtful = [doubts(crops[:, :k], pictures.whole, count, pictures.packed, scoring) for k in seen]
    rows = []
    for allowed in DOUBTS:
        enough = np.stack(doubtful) <= allowed
        stop = enough.argmax(axis=0)
        label = np.choose(stop, called)
        same = label == called[-1]
        low, high = interval(int(same.sum()), len(same))
        rows.append(
            {
                "doubt": allowed,
                "passes": float(1 + np.array(seen)[stop].mean()),
                "agreement": share(same),
                "low": low,
                "high": high,
                "changed": int((~same).sum()),
                "images": len(same),
                "stated": float(np.choose(stop, doubtful).mean()),
                "accuracy": share(label == pictures.right),
            }
        )
    return rows


def visited(pictures: Embedded) -> Tensor:
    """(B, M, D), crops in the order they are visited in."""
    count = pictures.crops.shape[1]
    orders = []
    for boxes in pictures.boxes:
        numbered = {tuple(box): i for i, box in reversed(list(enumerate(boxes.tolist())))}
        ordered = in_telling_order(np.concatenate([boxes[:1], boxes]))[1:]
        orders.append([numbered[tuple(box)] for box in ordered.tolist()])
    index = torch.tensor(orders)[:, :, None].expand(-1, count, pictures.crops.shape[2])
    return pictures.crops.gather(1, index)


def first_crops(pictures: Embedded, full: np.ndarray) -> list[dict[str, float]]:
    """The same number of crops for every image, the first as drawn and as visited."""
    rows = []
    ordered = visited(pictures)
    for k in (k for k in FIRST if k < pictures.crops.shape[1]):
        drawn, first = (labels(c[:, :k], pictures) for c in (pictures.crops, ordered))
        rows.append(
            {
                "passes": 1 + k,
                "drawn": share(drawn == full),
                "visited": share(first == full),
                "accuracy": share(first == pictures.right),
            }
        )
    return rows


def certain(pictures: Embedded) -> list[dict[str, float]]:
    """For how many images some unseen crops would change the label, after so many were seen.

    What a crop's embedding is, nothing says beforehand: any unit vector may come. Here all that
    are missing get the one that speaks for a rival and against the best class, and still passes
    the selection. Where that changes the label, no rule that is always right may stop.
    """
    ordered = visited(pictures)
    count = ordered.shape[1]
    means = pictures.packed.means.float()
    rows = []
    for seen in (k for k in SEEN if k < count):
        crops = ordered[:, :seen]
        keep = select_regions(crops, pictures.whole)
        best = top_classes(crops, pictures.whole, keep, pictures.packed, k=3).classes
        agreement = (crops @ pictures.whole[:, :, None])[:, :, 0].mean(1) + 1e-3
        changed = np.zeros(len(crops), dtype=bool)
        for rival in (1, 2):
            wish = means[best[:, rival]] - means[best[:, 0]]
            wish -= (wish * pictures.whole).sum(1, keepdim=True) * pictures.whole
            wish = torch.nn.functional.normalize(wish, dim=1)
            aside = (1 - agreement.square()).clamp(min=0).sqrt()
            worst = agreement[:, None] * pictures.whole + aside[:, None] * wish
            every = torch.cat([crops, worst[:, None].expand(-1, count - seen, -1)], 1)
            changed |= labels(every, pictures) != best[:, 0].numpy()
        rows.append({"seen": seen, "changed": share(changed)})
    return rows


def dense(pictures: Embedded, encoder: Any) -> list[dict[str, float]]:
    """Regions pooled from one look at the whole picture, at several scales."""
    full = labels(pictures.crops, pictures)
    mean = crop_mean_scores(pictures.crops, pictures.packed).argmax(1).numpy()
    rows = [
        {
            "scale": 0.0,
            "passes": float(1 + pictures.crops.shape[1]),
            "images": len(full),
            "agreement": 1.0,
            "accuracy": share(full == pictures.right),
            "mean_accuracy": share(mean == pictures.right),
            "milliseconds": crop_milliseconds(pictures, encoder),
        }
    ]
    for scale in SCALES:
        looking = DenseEncoder(encoder, scale)
        embeddings, passes, spent = [], 0.0, 0.0
        for path, boxes in zip(pictures.paths, pictures.boxes, strict=True):
            picture = opened(path)
            started = time.process_time()
            look = looking.look(picture, picture.size, boxes)
            embeddings.append(looking.encode(look).half().float())
            spent += time.process_time() - started
            passes += looking.passes(look)
        crops = torch.stack(embeddings)
        label = labels(crops, pictures)
        mean = crop_mean_scores(crops, pictures.packed).argmax(1).numpy()
        rows.append(
            {
                "scale": scale,
                "passes": 1 + passes / len(embeddings),
                "images": len(full),
                "agreement": share(label == full),
                "accuracy": share(label == pictures.right),
                "mean_accuracy": share(mean == pictures.right),
                "milliseconds": 1000 * spent / len(embeddings),
                **against(label == pictures.right, full == pictures.right),
            }
        )
    return rows


def against(right: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Images that only one of two is right for, and McNemar's exact p."""
    test = mcnemar(right, other)
    return {"only_right": test.only_this, "only_crops_right": test.only_other, "p": test.p_value}


def crop_milliseconds(pictures: Embedded, encoder: Any) -> float:
    """Of the processor, to cut and embed the crops of a picture: the mean of a few."""
    spent = 0.0
    for path, boxes in zip(pictures.paths[:TIMED], pictures.boxes, strict=False):
        picture = opened(path)
        every = np.concatenate([[[0, 0, *picture.size]], boxes])
        started = time.process_time()
        encoder.encode_crops(torch.from_numpy(cut_crops(picture, every, encoder.framing)))
        spent += time.process_time() - started
    return 1000 * spent / len(pictures.paths[:TIMED])


def opened(path: Path) -> Image.Image:
    """The picture in a file."""
    with Image.open(path) as image:
        return image.convert("RGB")


def labels(crops: Tensor, pictures: Embedded) -> np.ndarray:
    """(B,) LaZSL's class of each picture, from these crops of it."""
    keep = select_regions(crops, pictures.whole)
    best: np.ndarray = class_scores(crops, pictures.whole, keep, pictures.packed).argmax(1).numpy()
    return best


def margins(pictures: Embedded) -> np.ndarray:
    """(B,) score of the best class less that of the next."""
    keep = select_regions(pictures.crops, pictures.whole)
    best = class_scores(pictures.crops, pictures.whole, keep, pictures.packed).topk(2, dim=1).values
    lead: np.ndarray = (best[:, 0] - best[:, 1]).numpy()
    return lead


def share(chosen: np.ndarray) -> float:
    """Of true values."""
    return float(chosen.mean())


def interval(hits: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson)."""
    low, high = binomtest(hits, of).proportion_ci(0.95, "exact")
    return float(low), float(high)


if __name__ == "__main__":
    main()

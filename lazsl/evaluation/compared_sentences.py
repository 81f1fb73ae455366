"""What classes are compared with: their names, the 80-template ensemble, attributes, CuPL.

What the run did not embed goes through the text tower once and is kept in the workspace, so that
another evaluation needs no model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lazsl.alignment.attributes import PackedAttributes
from lazsl.embedding.label_set import embed_labels
from lazsl.errors import UserError
from lazsl.evaluation.stored import StoredRun
from lazsl.labelset.formats import import_labels
from lazsl.labelset.labels import LabelSet
from lazsl.model.checkpoints import find_recorded_model
from lazsl.model.encoder import Encoder, choose_device, load_encoder
from lazsl.nearest_names import nearest
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import ScoringSettings
from lazsl.store import paths, schemas
from lazsl.store.damage import read_or_make
from lazsl.store.keys import digest
from lazsl.store.vectors import vectors_of

_AT_ONCE = 4096  # sentences that are embedded before their means are taken

Model = Callable[[], Encoder]
"""The run's text tower, loaded when it is first asked for."""


@dataclass(frozen=True)
class Sentences:
    """Unit vectors that methods hold images against; C classes, D dimensions.

    Attributes:
        classes: names, in label set order.
        names: (C, D), "a photo of a {class}."
        attributes: the label set's.
        ensemble: (C, D), mean over the 80 templates of CLIP's authors; None where left out.
        cupl: (C, D), mean over whole sentences that a language model wrote; None where left out.
        left_out: why a method is left out, by its name.
        one_sided: settings of one-sided plans; None where left out.
    """

    classes: tuple[str, ...]
    names: Tensor
    attributes: PackedAttributes
    ensemble: Tensor | None
    cupl: Tensor | None
    left_out: dict[str, str]
    one_sided: ScoringSettings | None = None


def read_sentences(
    stored: StoredRun,
    cupl: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Sentences:
    """Everything a run's images can be compared with.

    Args:
        stored: the run.
        cupl: path or URL of a JSON file of class -> whole sentences, as CuPL publishes them.
        say: called with a sentence before something takes long.

    Raises:
        UserError: the CuPL file is not usable, or lacks classes of the run.
    """
    labels = stored.embedded_labels
    model = text_tower(stored)
    left_out: dict[str, str] = {}
    try:
        ensemble = _ensemble(stored, model, say)
    except UserError as error:
        ensemble = None
        left_out["clip-ensemble"] = f"it needs the model once: {error}"
    of_cupl = None
    if cupl is not None:
        of_cupl = unit(_embedded_cupl(stored, cupl, model, say).packed.means)
    elif _whole_sentences(stored.embedded):
        of_cupl = unit(labels.packed.means)
        left_out["dclip"] = "the label set holds whole sentences, which the row of CuPL is about"
    else:
        left_out["cupl"] = "it needs a label set of whole sentences: --cupl FILE"
    one_sided = None
    try:
        one_sided = stored.one_sided
    except UserError as error:
        left_out["one-sided"] = f"its epsilon follows from the model: {error}"
    return Sentences(
        labels.classes, labels.names, labels.packed, ensemble, of_cupl, left_out, one_sided
    )


def unit(means: Tensor) -> Tensor:
    """(C, D) float32 unit vectors in the direction of means of unit vectors."""
    return torch.nn.functional.normalize(means, dim=1).float()


@cache
def templates() -> tuple[str, ...]:
    """The 80 templates that CLIP's authors published for ImageNet, with `{class}`."""
    import open_clip

    return tuple(template("{class}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)


def text_tower(stored: StoredRun) -> Model:
    """What loads the run's text tower when it is first called, and then gives the same one.

    It raises UserError where the model is not what it was at the time of the run.
    """

    @cache
    def load() -> Encoder:
        source = find_recorded_model(stored.job.model, stored.job.precision)
        if source.key != stored.encoder:
            raise UserError(
                f"model {stored.job.model!r} is now {source.key}, but run {stored.key} was made "
                f"by {stored.encoder}; bring that one back, or label the archive anew"
            )
        return load_encoder(source, choose_device("auto"), "text")

    return load


def _ensemble(stored: StoredRun, model: Model, say: Callable[[str], None]) -> Tensor:
    """(C, D) float32: per class the mean of its templates' unit vectors, at unit length (CLIP,
    arXiv 2103.00020, section 3.1.4)."""
    classes = stored.embedded_labels.classes
    name = paths.attributes(
        stored.encoder, f"templates-{digest('templates', classes, templates())}"
    )

    def embedded() -> pa.Table:
        sentences = len(classes) * len(templates())
        say(f"embedding {sentences:,} sentences, {len(templates())} templates per class, once")
        step = max(1, _AT_ONCE // len(templates()))
        means = []
        for start in range(0, len(classes), step):
            chunk = classes[start : start + step]
            texts = [
                template.replace("{class}", label) for label in chunk for template in templates()
            ]
            embeddings = model().encode_sentences(texts).double()
            means.append(unit(embeddings.view(len(chunk), len(templates()), -1).mean(1)))
        return _names_table(classes, torch.cat(means))

    return torch.from_numpy(vectors_of(read_or_make(stored.folder, name, embedded)).copy())


def _names_table(classes: tuple[str, ...], means: Tensor) -> pa.Table:
    flat = pa.FixedSizeListArray.from_arrays(pa.array(means.numpy().ravel()), means.shape[1])
    index = pa.array(range(len(classes)), pa.int32())
    schema = schemas.class_means(means.shape[1])
    return pa.Table.from_arrays([index, pa.array(classes, pa.string()), flat], schema=schema)


def _embedded_cupl(
    stored: StoredRun, url: str, model: Model, say: Callable[[str], None]
) -> EmbeddedLabels:
    """The file's sentences of the run's classes, in the run's order, embedded."""
    given, _, _ = import_labels(url, "cupl")
    of_run = _of_classes(given, stored.labelset, url)
    name = paths.attributes(stored.encoder, of_run.key)

    def embedded() -> pa.Table:
        say(f"embedding {sum(of_run.sizes):,} sentences of {url}, once")
        return embed_labels(of_run, model())

    return EmbeddedLabels.from_table(read_or_make(stored.folder, name, embedded))


def _of_classes(given: LabelSet, wanted: LabelSet, url: str) -> LabelSet:
    """The given label set with the wanted classes only, in their order; joined by name."""
    place = {label: i for i, label in enumerate(given.classes)}
    missing = [label for label in wanted.classes if label not in place]
    if missing:
        raise UserError(
            f"{url!r} lacks {len(missing)} of the run's {len(wanted)} classes, such as "
            f"{', '.join(map(repr, missing[:3]))}"
            f"{nearest(missing[0], given.classes)}; name its classes as the label set does"
        )
    attributes = tuple(given.attributes[place[label]] for label in wanted.classes)
    return replace(given, classes=wanted.classes, attributes=attributes)


def _whole_sentences(embedded: pa.Table) -> bool:
    """True where every attribute of an embedded label set is its own prompt, as in CuPL."""
    rows = embedded.filter(pc.field("attribute_index") >= 0)
    attributes, prompts = rows["attribute"].to_pylist(), rows["prompt"].to_pylist()
    return attributes == prompts

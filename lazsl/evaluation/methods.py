"""Every method of one table: from the same stored embeddings to class scores.

`f_0` is the whole image, `f_1..f_M` are its crops, `t_cj` is sentence j of class c; all are unit
vectors, so `<f, t>` is a cosine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from lazsl.alignment.align import (
    TopClasses,
    class_scores,
    crop_mean_scores,
    dclip_scores,
    top_classes,
)
from lazsl.alignment.attributes import PackedAttributes
from lazsl.alignment.matching import Settings
from lazsl.evaluation.compared_sentences import Sentences
from lazsl.settings import Rule, ScoringSettings

REFERENCE = "lazsl"
"""The method that the others are tested against."""

MEMORY_BYTES = 256 * 2**20
"""Working memory of a method, beyond views, sentences and scores."""


@dataclass(frozen=True)
class Views:
    """Some images as methods see them.

    Attributes:
        crops: (B, M, D) float32, f_1..f_M.
        whole: (B, D) float32, f_0.
        keep: (B, M) bool, the regions that `align.select_regions` kept.
        valid: (B, M) bool, False on crops that do not count; None where all do.
    """

    crops: Tensor
    whole: Tensor
    keep: Tensor
    valid: Tensor | None = None

    @property
    def every(self) -> Tensor:
        """(B, M) bool, the crops that count, kept or not."""
        return torch.ones_like(self.keep) if self.valid is None else self.valid

    @property
    def regions(self) -> tuple[Tensor, Tensor]:
        """(B, 1 + M, D) and (B, 1 + M): the whole image and its crops, and which of them count."""
        regions = torch.cat([self.whole[:, None], self.crops], dim=1)
        return regions, torch.cat([torch.ones_like(self.every[:, :1]), self.every], dim=1)


Plain = Callable[[Views, Sentences, ScoringSettings], Tensor]
Change = Callable[[ScoringSettings, Sentences], ScoringSettings]


@dataclass(frozen=True)
class Method:
    """A way to score classes.

    Attributes:
        name: on the command line and in JSON.
        title: what a person is told it is.
        formula: the score of class c.
        plain: (B, C) scores; None for a method by transport.
        change: for a method by transport, its settings out of the run's.
        select: for a method by transport: only the regions that were kept take part.
    """

    name: str
    title: str
    formula: str
    plain: Plain | None = None
    change: Change = lambda settings, _: settings
    select: bool = True

    def scores(
        self,
        views: Views,
        sentences: Sentences,
        settings: ScoringSettings,
        memory_bytes: int = MEMORY_BYTES,
    ) -> Tensor:
        """(B, C) float32 score of every class for every image, in label set order."""
        if self.plain is not None:
            return self.plain(views, sentences, settings)
        changed = self.change(settings, sentences)
        aligned = self._aligned(views, sentences, changed)
        return class_scores(*aligned, **aligning(changed, memory_bytes))

    def top(
        self,
        views: Views,
        sentences: Sentences,
        settings: ScoringSettings,
        k: int,
        memory_bytes: int = MEMORY_BYTES,
    ) -> TopClasses:
        """The k best classes of every image, best first; transport is solved only where it can
        matter to these."""
        if self.plain is not None:
            return best_classes(self.plain(views, sentences, settings), k)
        changed = self.change(settings, sentences)
        aligned = self._aligned(views, sentences, changed)
        return top_classes(*aligned, k=k, **aligning(changed, memory_bytes))

    def _aligned(
        self, views: Views, sentences: Sentences, settings: ScoringSettings
    ) -> tuple[Tensor, Tensor, Tensor, PackedAttributes, Tensor | None]:
        """What the functions of `alignment` take of the images and the sentences."""
        if settings.one_sided:
            regions, keep = views.regions
            return regions, views.whole, keep, sentences.attributes, keep
        keep = views.keep if self.select else views.every
        return views.crops, views.whole, keep, sentences.attributes, views.valid


def best_classes(scores: Tensor, k: int) -> TopClasses:
    """The k best of (B, C) scores, best first; among equal scores the lower index is first."""
    best, classes = scores.sort(dim=1, descending=True, stable=True)
    return TopClasses(classes[:, :k], best[:, :k])


def aligning(settings: ScoringSettings, memory_bytes: int = MEMORY_BYTES) -> Settings:
    """What the functions of `alignment` take of scoring settings."""
    return cast("Settings", settings.aligning(memory_bytes))


def with_rule(settings: ScoringSettings, rule: Rule) -> ScoringSettings:
    """The paper's settings under a stopping rule; if it is another one, with that one's own limits.
    Where the run has one-sided plans, they are the defaults."""
    if settings.one_sided:
        return ScoringSettings(rule=rule)
    if settings.rule == rule:
        return settings
    return ScoringSettings(
        rule=rule, theta=settings.theta, epsilon=settings.epsilon, gamma=settings.gamma
    )


def _clip(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    return _cosines(views.whole, sentences.names)


def _ensemble(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    assert sentences.ensemble is not None  # `methods_for` leaves it out otherwise
    return _cosines(views.whole, sentences.ensemble)


def _cupl(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    assert sentences.cupl is not None
    return _cosines(views.whole, sentences.cupl)


def _dclip(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    return dclip_scores(views.whole, sentences.attributes)


def _crop_mean(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    return crop_mean_scores(views.crops, sentences.attributes, views.valid)


def _region_weighted(views: Views, sentences: Sentences, settings: ScoringSettings) -> Tensor:
    settings = with_rule(settings, "paper")
    assert settings.epsilon is not None  # only one-sided plans wait for a model
    crops = views.crops.double()
    agreement = (crops @ views.whole.double()[:, :, None])[:, :, 0]
    agreement = agreement.masked_fill(~views.every, -torch.inf)
    weights = torch.softmax(agreement / settings.epsilon, dim=1)
    return dclip_scores((weights[:, None] @ crops)[:, 0], sentences.attributes)


def _cosines(whole: Tensor, classes: Tensor) -> Tensor:
    return (whole.double() @ classes.double().T).float()


def _paper(settings: ScoringSettings, _: Sentences) -> ScoringSettings:
    return with_rule(settings, "paper")


def _converged(settings: ScoringSettings, _: Sentences) -> ScoringSettings:
    return with_rule(settings, "converged")


def _without_mix(settings: ScoringSettings, _: Sentences) -> ScoringSettings:
    return with_rule(settings, "paper").model_copy(update={"theta": 1.0})


def _one_sided(settings: ScoringSettings, sentences: Sentences) -> ScoringSettings:
    if settings.one_sided:
        return settings
    assert sentences.one_sided is not None  # `methods_for` leaves it out otherwise
    return sentences.one_sided


METHODS: tuple[Method, ...] = (
    Method("clip", "CLIP, class name", "<f_0, 'a photo of a {class}.'>", _clip),
    Method(
        "clip-ensemble",
        "CLIP, templates",
        "<f_0, unit(mean_k t_ck)> over the 80 templates of CLIP's authors",
        _ensemble,
    ),
    Method("dclip", "DCLIP", "mean_j <f_0, t_cj> over the attributes of the class", _dclip),
    Method(
        "cupl",
        "CuPL",
        "<f_0, unit(mean_j s_cj)> over the class's sentences s_cj",
        _cupl,
    ),
    Method("crop-mean", "mean over crops", "mean_ij <f_i, t_cj>", _crop_mean),
    Method(
        "region-weighted",
        "crops weighted",
        "mean_j sum_i w_i <f_i, t_cj>, w_i = exp(<f_i, f_0> / epsilon) / sum_m exp(<f_m, f_0> / "
        "epsilon), over all crops",
        _region_weighted,
    ),
    Method(
        "ot-all",
        "OT, all crops",
        "sum_ij T_ij <f_i, t_cj> over all crops (theta = 1, paper rule)",
        change=_without_mix,
        select=False,
    ),
    Method(
        "ot",
        "OT, selected",
        "sum_ij T_ij <f_i, t_cj> over selected crops (theta = 1, paper rule)",
        change=_without_mix,
    ),
    Method(
        "lazsl",
        "LaZSL",
        "sum_ij T_ij S_ij over selected crops, S_ij = theta <f_i, t_cj> + (1 - theta) <f_0, t_cj>, "
        "paper rule",
        change=_paper,
    ),
    Method(
        "lazsl-converged",
        "LaZSL, converged",
        "the same, iterated until the plan's marginals hold",
        change=_converged,
    ),
    Method(
        "one-sided",
        "one-sided plan",
        "mean_j sum_i w_ij <f_i, t_cj>, w_ij = exp(<f_i, t_cj> / epsilon) / sum_m exp(<f_m, t_cj> "
        "/ epsilon), over the whole image and all crops",
        change=_one_sided,
    ),
)
"""In the order of the table."""


def method(name: str) -> Method:
    """The method of this name.

    Raises:
        KeyError: there is none.
    """
    return {listed.name: listed for listed in METHODS}[name]


def methods_for(sentences: Sentences) -> tuple[Method, ...]:
    """The methods for which there are sentences, in the order of the table."""
    return tuple(listed for listed in METHODS if listed.name not in sentences.left_out)

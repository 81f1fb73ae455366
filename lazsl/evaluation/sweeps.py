"""How accuracy moves with one setting, all else as in the run, from stored embeddings alone.

theta, epsilon, gamma and the number of regions (the first m crops of every image: a crop does not
depend on how many follow it) are exact. The range of crop sides is narrowed to a part of the
stored crops, which leaves fewer of them; a wider range needs new embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lazsl.alignment.align import TopClasses, select_regions
from lazsl.errors import UserError
from lazsl.evaluation.answers import DEPTH, Ask, views_of
from lazsl.evaluation.compared_sentences import Sentences
from lazsl.evaluation.methods import REFERENCE, Method, Views, method
from lazsl.evaluation.stored import Images
from lazsl.settings import RegionSettings, ScoringSettings

SETTINGS = ("theta", "epsilon", "gamma", "regions", "crops")
"""What can be swept, in the order of the page."""

THETAS = tuple(round(0.1 * step, 1) for step in range(11))
EPSILONS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
GAMMAS = (-0.1, -0.05, -0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.05, 0.1)
COUNTS = (1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 150, 250, 500, 1000)
STEPS = 6  # of crop sides, from the smallest to the largest that is stored


@dataclass(frozen=True)
class Probe:
    """One value of one setting.

    Attributes:
        setting: which of SETTINGS.
        series: the line of the picture it belongs to.
        value: of the setting.
        current: it is the run's own value.
        ask: images to their best classes.
    """

    setting: str
    series: str
    value: float
    current: bool
    ask: Ask

    @property
    def name(self) -> str:
        """What it is called among answers."""
        return f"{self.setting} {self.value:g} {self.series}"


def own_method(settings: ScoringSettings) -> Method:
    """The method that a run with these settings labels by."""
    if settings.one_sided:
        return method("one-sided")
    return method(REFERENCE if settings.rule == "paper" else "lazsl-converged")


def parse_settings(text: str) -> tuple[str, ...]:
    """The settings in a list such as `theta,gamma`; `all` means all of them.

    Raises:
        UserError: one of them is not known.
    """
    names = {name.strip() for name in text.split(",") if name.strip()}
    if names == {"all"}:
        return SETTINGS
    if unknown := sorted(names - set(SETTINGS)):
        raise UserError(
            f"{unknown[0]!r} cannot be swept; there are {', '.join(SETTINGS)}, or all of them: all"
        )
    return tuple(setting for setting in SETTINGS if setting in names)


def sweepable(scoring: ScoringSettings, regions: RegionSettings) -> tuple[str, ...]:
    """The settings that can be swept of a run, in the order of the page: of one-sided plans neither
    theta nor gamma, and of crops that were not drawn at random neither their number nor sides."""
    left_out = {"theta", "gamma"} if scoring.one_sided else set()
    if regions.layout not in (None, "random"):
        left_out |= {"regions", "crops"}
    return tuple(setting for setting in SETTINGS if setting not in left_out)


def probes(
    settings: Iterable[str], scoring: ScoringSettings, regions: RegionSettings, sentences: Sentences
) -> tuple[Probe, ...]:
    """Every value of these settings that is tried, the run's own among them.

    Args:
        settings: of SETTINGS.
        scoring: of the run.
        regions: of the run.
        sentences: what methods compare with.
    """
    run_method = own_method(scoring)

    def changed(setting: str, values: Sequence[float]) -> list[Probe]:
        current = getattr(scoring, setting)

        def ask(value: float) -> Ask:
            changed_settings = scoring.model_copy(update={setting: value})
            return lambda images: run_method.top(
                views_of(images, changed_settings), sentences, changed_settings, DEPTH
            )

        return [
            Probe(setting, run_method.title, value, value == current, ask(value))
            for value in sorted({*values, current})
        ]

    def first(count: int, by: Method) -> Ask:
        def ask(images: Images) -> TopClasses:
            crops = images.crops[:, :count]
            keep = select_regions(crops, images.whole, scoring.gamma)
            return by.top(Views(crops, images.whole, keep), sentences, scoring, DEPTH)

        return ask

    def between(smallest: float, largest: float) -> Ask:
        def ask(images: Images) -> TopClasses:
            valid = _sides_between(images, smallest, largest)
            keep = select_regions(images.crops, images.whole, scoring.gamma, valid)
            views = Views(images.crops, images.whole, keep, valid)
            return run_method.top(views, sentences, scoring, DEPTH)

        return ask

    all_probes: list[Probe] = []
    for setting in settings:
        if setting == "theta":
            all_probes += changed(setting, THETAS)
        elif setting == "epsilon":
            all_probes += changed(setting, EPSILONS)
        elif setting == "gamma":
            all_probes += changed(setting, GAMMAS)
        elif setting == "regions":
            counts = sorted({*(m for m in COUNTS if m <= regions.count), regions.count})
            for series, by in (
                (each_method.title, each_method)
                for each_method in (run_method, method("crop-mean"))
            ):
                all_probes += [
                    Probe(setting, series, m, by is run_method and m == regions.count, first(m, by))
                    for m in counts
                ]
        elif setting == "crops":
            low, high = regions.smallest, regions.largest
            sides = np.round(np.linspace(low, high, STEPS + 1), 4).tolist()
            all_probes += [
                Probe(setting, "sides from this up", side, side == low, between(side, high))
                for side in sides[:-1]
            ]
            all_probes += [
                Probe(setting, "sides up to this", side, side == high, between(low, side))
                for side in sides[1:]
            ]
    return tuple(all_probes)


def _sides_between(images: Images, smallest: float, largest: float) -> torch.Tensor:
    """(B, M) bool: crops whose side is within these parts of the image's shorter side; where an
    image has none, the one that is nearest."""
    sides = images.boxes[:, :, 2] - images.boxes[:, :, 0]
    shorter = images.sizes.min(axis=1)[:, None]
    # As the boxes were drawn: rounded down to whole pixels.
    low, high = ((part * shorter).astype(np.int64) for part in (smallest, largest))
    away = np.maximum(low - sides, sides - high)
    valid = away <= 0
    none = ~valid.any(axis=1)
    valid[none, away[none].argmin(axis=1)] = True
    return torch.from_numpy(valid)

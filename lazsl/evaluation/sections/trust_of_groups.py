"""How far labels can be trusted, by group of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lazsl.evaluation.calibration import lower_bound
from lazsl.evaluation.trust import Trust
from lazsl.intervals import effective_size

FEWEST_OF_A_GROUP = 20
"""Labels of a group below which its precision is not shown."""

GROUPS_SHOWN = 12


@dataclass(frozen=True)
class OfGroup:
    """Labels given to the images of a group, at the threshold for all of them.

    Attributes:
        group: its name.
        images: of the group.
        labelled: how many of them.
        right: how many of the labels.
        precision: part of the labels that is right.
        at_least: lower bound of that precision.
    """

    group: str
    images: int
    labelled: int
    right: int
    precision: float
    at_least: float


def by_group(trust: Trust, groups: Sequence[str]) -> tuple[OfGroup, ...]:
    """What the threshold does to the images of each group that has labels enough, the least right
    first; nothing where there is no threshold or one group.

    Args:
        trust: measured on the images.
        groups: (B,) theirs.
    """
    names, number = np.unique(groups, return_inverse=True)
    if trust.threshold is None or len(names) < 2:
        return ()
    has_label = trust.held_against >= trust.threshold
    of_groups = []
    for place, name in enumerate(names.tolist()):
        labelled = has_label & (number == place)
        count = int(labelled.sum())
        if count < FEWEST_OF_A_GROUP:
            continue
        right = int(trust.right[labelled].sum())
        size = effective_size(trust.cluster[labelled])
        bound = lower_bound(np.array([right]), np.array([count]), np.array([size]))
        images = int((number == place).sum())
        of_groups.append(OfGroup(name, images, count, right, right / count, float(bound[0])))
    return tuple(sorted(of_groups, key=lambda group: (group.precision, group.group)))


TOO_SMALL = (
    f"No group is shown: none but the whole has {FEWEST_OF_A_GROUP} labels above a threshold."
)
BY_GROUP = "What is promised for all images holds for no group of them alone"


def group_rows(groups: tuple[OfGroup, ...]) -> list[list[str]]:
    rows = [
        [
            group.group,
            f"{group.labelled:,} of {group.images:,}",
            f"{group.precision:.1%} (at least {group.at_least:.1%})",
        ]
        for group in groups[:GROUPS_SHOWN]
    ]
    if len(groups) > GROUPS_SHOWN:
        rows.append([f"{len(groups) - GROUPS_SHOWN:,} more", "", "better"])
    return rows

"""An open set made of a closed one: classes are taken out of the label set, their images stay.

What a run with the smaller label set says of those images can only be wrong, so they show whether
confidence falls where it should.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from lazsl.errors import UserError
from lazsl.labelset.labels import LabelSet


def open_set_split(
    labelset: LabelSet, fraction: float, seed: int = 0, groups: Mapping[str, str] | None = None
) -> tuple[LabelSet, tuple[str, ...]]:
    """The label set without some of its classes, and the names of these, in label set order.

    Which ones depends on the names and the seed, not on the order of the classes.

    Args:
        labelset: at least three classes.
        fraction: of the classes to take out, rounded; at least one, and at least two are left.
        seed: another seed takes out others.
        groups: the group of every class, such as its family: then it is a fraction of the groups,
            and classes go with their group. Without it, what is left may resemble what is gone.

    Raises:
        UserError: the fraction is none, or leaves too few classes.
    """
    group_of = groups or {label: label for label in labelset.classes}
    names = sorted({group_of[label] for label in labelset.classes})
    count = max(1, round(fraction * len(names))) if 0 < fraction < 1 else 0
    out = set(random.Random(seed).sample(names, count))
    unknown = tuple(label for label in labelset.classes if group_of[label] in out)
    kept = [i for i, label in enumerate(labelset.classes) if group_of[label] not in out]
    if not unknown or len(kept) < 2:
        raise UserError(
            f"a fraction of {fraction} of {len(labelset)} classes was to be taken out; take out "
            "one or more, and leave two or more"
        )
    known = replace(
        labelset,
        name=f"{labelset.name}-without-{len(unknown)}",
        classes=tuple(labelset.classes[i] for i in kept),
        attributes=tuple(labelset.attributes[i] for i in kept),
        synonyms={k: v for k, v in labelset.synonyms.items() if k not in unknown},
        spoken_names={k: v for k, v in labelset.spoken_names.items() if k not in unknown},
        parents={k: v for k, v in labelset.parents.items() if k not in unknown},
        sources={k: v for k, v in labelset.sources.items() if k not in unknown},
    )
    return known, unknown

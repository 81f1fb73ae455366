"""Published weights as they were trained: their activation and preprocessing, by name and tag.

Nothing is downloaded here; open_clip ships what it knows about every tag.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import open_clip
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import PreprocessCfg

QUICK = "-quickgelu"
_PIXELS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Recipe:
    """How a model has to be built for its weights.

    `name` is the architecture, `preprocess` what overrides open_clip's default preprocessing (None
    where the default, or the tag, says it), `note` what the person who named the model should know.
    """

    name: str
    preprocess: dict[str, Any] | None = None
    note: str | None = None


def for_tag(name: str, tag: str) -> Recipe:
    """The recipe of published weights.

    open_clip builds `ViT-B-32:openai` with GELU although these weights were trained with QuickGELU,
    and warns; every such pair has a twin called `-quickgelu`, which is what is built here. A tag
    that does not mention QuickGELU says nothing: there, the architecture decides.
    """
    config, published = open_clip.get_model_config(name) or {}, get_pretrained_cfg(name, tag)
    twin = name + QUICK
    if not published.get("quick_gelu") or config.get("quick_gelu"):
        return Recipe(name)
    return Recipe(
        twin,
        note=f"the weights {tag} of {name} were trained with the activation QuickGELU, so the "
        f"model is built as {twin}; write --model {twin}:{tag} to say so",
    )


def for_file(name: str) -> Recipe:
    """The recipe of weights in a file, which says neither its activation nor its preprocessing.

    The activation is that of the architecture's name. The preprocessing is what all published
    weights of the architecture share.
    """
    notes: list[str] = []
    base = name.removesuffix(QUICK)
    twins = {base, base + QUICK} & set(open_clip.list_models())
    if len(twins) == 2 and open_clip.list_pretrained_tags_by_model(base + QUICK):
        quick = ", ".join(open_clip.list_pretrained_tags_by_model(base + QUICK))
        activation, other = ("QuickGELU", base) if name != base else ("GELU", base + QUICK)
        notes.append(
            f"a file of weights does not say which activation it was trained with; {name} means "
            f"{activation}. Published weights with QuickGELU: {quick}. For the other activation "
            f"write {other}"
        )
    recipes = _preprocessings(base)
    default = _pixels(asdict(PreprocessCfg()))
    if len(recipes) > 1:
        notes.append(
            f"a file of weights does not say how pictures are preprocessed; {_worded(default)} is "
            f"used, but some published weights of {base} need another: "
            + "; ".join(
                f"{', '.join(tags)}: {_worded(recipe)}"
                for recipe, tags in recipes.items()
                if recipe != default
            )
        )
    preprocess = None
    if len(recipes) == 1 and (recipe := next(iter(recipes))) != default:
        preprocess = dict(zip(_PIXELS, recipe, strict=True))
        notes.append(
            f"pictures are preprocessed as for all published weights of {base}: {_worded(recipe)}"
        )
    return Recipe(name, preprocess, "; ".join(notes) or None)


def twin_with(name: str, tag: str) -> str | None:
    """The other activation's architecture if it is that which has the tag."""
    other = name.removesuffix(QUICK) if name.endswith(QUICK) else name + QUICK
    return other if tag.lower() in open_clip.list_pretrained_tags_by_model(other) else None


def _preprocessings(name: str) -> dict[tuple[Any, ...], list[str]]:
    tags: dict[tuple[Any, ...], list[str]] = {}
    for tag in open_clip.list_pretrained_tags_by_model(name):
        tags.setdefault(_pixels(get_pretrained_cfg(name, tag)), []).append(tag)
    return tags


def _pixels(config: dict[str, Any]) -> tuple[Any, ...]:
    values = (config[key] for key in _PIXELS)
    return tuple(tuple(value) if isinstance(value, list | tuple) else value for value in values)


def _worded(recipe: tuple[Any, ...]) -> str:
    mean, std, interpolation, resize = recipe
    return f"mean {_few(mean)}, std {_few(std)}, {interpolation}, resized by {resize}"


def _few(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:.3g}" for value in values)

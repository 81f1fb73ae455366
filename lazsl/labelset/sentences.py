"""The sentence made of a class and an attribute, which is what a model reads."""

from __future__ import annotations

import re

NAME_TEMPLATE = "a photo of a {class}."
"""CLIP's plain prompt: the sentence of the bare class name."""

WHOLE = "{attribute}"
"""The template of a label set whose attributes are whole prompts, as CuPL's are."""

PUBLISHED = "published"
"""The template that makes sentences to the letter as LaZSL's published script does."""

PUBLISHED_STOPPED = "published."
"""The same with a full stop, which the published script adds for ImageNet alone."""

_FIELD = re.compile(r"\{class\}|\{attribute\}")
_IS = re.compile(r"(a|an|used)\b", re.IGNORECASE)
_VERB = re.compile(r"(has|have|often|typically|usually|may|can|is|are)\b", re.IGNORECASE)
_PUBLISHED_VERBS = ("has", "often", "typically", "may", "can")


def sentence(label: str, attribute: str, template: str | None = None) -> str:
    """The prompt of one attribute.

    Without a template: "{class}, which has {attribute}.", but "which is" before an article or
    "used", and the bare verb before "has", "often", "may", ... as the published prompts do;
    word boundaries keep "antennae" from reading as an article. The template PUBLISHED does without
    them, and without the full stop, as the published script does.
    """
    if template in (PUBLISHED, PUBLISHED_STOPPED):
        return _published(label, attribute) + ("." if template == PUBLISHED_STOPPED else "")
    if template is not None:
        # In one pass: a name or an attribute that holds a field's name says just that.
        fields = {"{class}": label, "{attribute}": attribute}
        return _FIELD.sub(lambda field: fields[field[0]], template)
    if _IS.match(attribute):
        return f"{label}, which is {attribute}."
    if _VERB.match(attribute):
        return f"{label}, which {attribute}."
    return f"{label}, which has {attribute}."


def _published(label: str, attribute: str) -> str:
    if attribute.startswith(("a", "used")):
        return f"{label}, which is {attribute}"
    if attribute.startswith(_PUBLISHED_VERBS):
        return f"{label}, which {attribute}"
    return f"{label}, which has {attribute}"

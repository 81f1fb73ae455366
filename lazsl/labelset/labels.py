"""Classes, the attributes that describe them, and the sentences made of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lazsl.store.keys import digest, readable

NAME_TEMPLATE = "a photo of a {class}."
"""CLIP's plain prompt: the sentence of the bare class name."""

WHOLE = "{attribute}"
"""The template of a label set whose attributes are whole prompts, as CuPL's are."""

PENDING, REVIEWED = "pending", "reviewed"
"""The states of review of a label set that a language model wrote."""

_FIELD = re.compile(r"\{class\}|\{attribute\}")
_IS = re.compile(r"(a|an|used)\b", re.IGNORECASE)
_VERB = re.compile(r"(has|have|often|typically|usually|may|can|is|are)\b", re.IGNORECASE)


@dataclass(frozen=True)
class LabelSet:
    """Classes in file order, each with its attributes (possibly none: then the name speaks).

    `template` makes a sentence of a class and an attribute; without one, `sentence` does.
    `name_templates` are the sentences of a class without attributes; without any, NAME_TEMPLATE is.
    `synonyms` are other names of a class, by class: a truth may use them, no model ever reads them.
    `sources` say by class where its attributes are from; `provenance` says it for all of them.
    `review` is `pending` until a person has read what a language model wrote, then `reviewed`.
    """

    name: str
    classes: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]
    template: str | None = None
    name_templates: tuple[str, ...] = ()
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    description: Any = None
    provenance: Any = field(default=None, hash=False)
    sources: Mapping[str, Any] = field(default_factory=dict, hash=False)
    review: str | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Per class one sentence per attribute; a class without attributes has its name's."""
        nameless = self.name_templates or (NAME_TEMPLATE,)
        return tuple(
            tuple(sentence(label, attribute, self.template) for attribute in attributes)
            or tuple(template.replace("{class}", label) for template in nameless)
            for label, attributes in zip(self.classes, self.attributes, strict=True)
        )

    @property
    def phrases(self) -> tuple[tuple[str, ...], ...]:
        """Per class and sentence what a person is told it says: its attribute; where there is
        none, the class's name, or the sentence itself where several say the name."""
        return tuple(
            attributes or ((label,) if len(prompts) == 1 else prompts)
            for label, attributes, prompts in zip(
                self.classes, self.attributes, self.prompts, strict=True
            )
        )

    @property
    def name_prompts(self) -> tuple[str, ...]:
        """One sentence per class that names it and says nothing else."""
        return tuple(NAME_TEMPLATE.replace("{class}", label) for label in self.classes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sentences per class (N_c), at least 1."""
        return tuple(len(prompts) for prompts in self.prompts)

    @cached_property
    def called(self) -> dict[str, str]:
        """The class that a name means: every class's own name, and every synonym."""
        others = {other: label for label in self.classes for other in self.synonyms.get(label, ())}
        return others | {label: label for label in self.classes}

    @property
    def key(self) -> str:
        """Name of the label set: what its sentences are, not where the file lies."""
        return (
            f"{readable(self.name)}-{digest('labels', self.classes, self.attributes, self.prompts)}"
        )


def sentence(label: str, attribute: str, template: str | None = None) -> str:
    """The prompt of one attribute.

    Without a template: "{class}, which has {attribute}.", but "which is" before an article or
    "used", and the bare verb before "has", "often", "may", ... as the published prompts do;
    word boundaries keep "antennae" from reading as an article.
    """
    if template is not None:
        # In one pass: a name or an attribute that holds a field's name says just that.
        said = {"{class}": label, "{attribute}": attribute}
        return _FIELD.sub(lambda field: said[field[0]], template)
    if _IS.match(attribute):
        return f"{label}, which is {attribute}."
    if _VERB.match(attribute):
        return f"{label}, which {attribute}."
    return f"{label}, which has {attribute}."

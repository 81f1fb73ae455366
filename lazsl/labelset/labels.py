"""Classes, and the attributes that describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lazsl.labelset.sentences import NAME_TEMPLATE, PUBLISHED, PUBLISHED_STOPPED, sentence
from lazsl.store.keys import digest, readable

PENDING, REVIEWED = "pending", "reviewed"
"""The states of review of a label set that a language model wrote."""


@dataclass(frozen=True)
class LabelSet:
    """Classes in file order, each with its attributes (possibly none: then the name speaks).

    `template` makes a sentence of a class and an attribute; without one, `sentence` does.
    `name_templates` are the sentences of a class without attributes; without any, NAME_TEMPLATE is.
    `spoken_names` are what a model reads where that is not the name that is shown, by class.
    `synonyms` are other names of a class, by class: a truth may use them, no model ever reads them.
    `parents` are what a class or a parent is a kind of, by class or parent: together a forest.
    `notes` are what the reader of a file had to decide, for a person.
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
    spoken_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    parents: Mapping[str, str] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Per class one sentence per attribute; a class without attributes has its name's."""
        nameless = self.name_templates or (NAME_TEMPLATE,)
        if self.template in (PUBLISHED, PUBLISHED_STOPPED) and any(self.attributes):
            nameless = (sentence("{class}", "", self.template),)
        return tuple(
            tuple(sentence(name, attribute, self.template) for attribute in attributes)
            or tuple(template.replace("{class}", name) for template in nameless)
            for name, attributes in zip(self.spoken, self.attributes, strict=True)
        )

    @property
    def spoken(self) -> tuple[str, ...]:
        """The classes' names as they are said to a model."""
        return tuple(self.spoken_names.get(label, label) for label in self.classes)

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
        return tuple(NAME_TEMPLATE.replace("{class}", name) for name in self.spoken)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sentences per class (N_c), at least 1."""
        return tuple(len(prompts) for prompts in self.prompts)

    @cached_property
    def called(self) -> dict[str, str]:
        """The class that a name means: every class's own name, and every synonym."""
        others = {other: label for label in self.classes for other in self.synonyms.get(label, ())}
        return others | {label: label for label in self.classes}

    def spoken_note(self) -> str | None:
        """Which names a model reads otherwise than they are shown, in a sentence; None if none."""
        if not self.spoken_names:
            return None
        label, name = next(iter(self.spoken_names.items()))
        many = f"{len(self.spoken_names)} names are" if len(self.spoken_names) > 1 else "1 name is"
        ellipsis = ", ..." if len(self.spoken_names) > 1 else ""
        return f"{many} said otherwise to the model: {label!r} as {name!r}{ellipsis}"

    @property
    def key(self) -> str:
        """Name of the label set: what its sentences are, not where the file lies."""
        return (
            f"{readable(self.name)}-{digest('labels', self.classes, self.attributes, self.prompts)}"
        )

"""What is wrong with a label set, so that a person can find it and put it right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

KINDS = {
    "unreviewed": "A language model wrote it, and nobody has said that they read it.",
    "empty-class": "A class has no name.",
    "repeated-class": "Two classes have one name, up to case and spaces.",
    "ambiguous-name": "A synonym is another class's name or synonym.",
    "empty-attribute": "An attribute says nothing.",
    "odd-characters": "A name or an attribute has control, invisible or direction-changing "
    "characters, a broken character, or markup.",
    "no-attributes": "A class has no attributes, while others have some.",
    "repeated-attribute": "A class lists an attribute twice, up to case and spaces.",
    "same-attributes": "Two classes have the same attributes.",
    "shared-attribute": "More than half of the classes have this attribute.",
    "too-long": "A sentence is longer than the model reads (with `--model`).",
    "look-alike": "Two classes are nearly one to the text encoder (with `--model`).",
    "names-class": "An attribute repeats the name of its class.",
    "names-other": "An attribute names another class.",
    "says-absent": "An attribute says what is not there, which no picture shows.",
    "not-visible": "An attribute says what cannot be seen: where a thing lives, how it tastes.",
    "other-language": "Texts are in another language or script than the sentences around them.",
    "grammar": "A sentence does not read as English: "
    '"which is antennae", "has has", "a a", "a wings", "a orange bill", "has made of", '
    '"feathers..".',
}
"""Every kind of finding, and what it says."""


@dataclass(frozen=True)
class Finding:
    """One thing that a careful reader would object to.

    `reason` and `suggestion` are clauses that end without a full stop; `line` counts from 1 and is
    None where the label set came from no file. `mended` is the attribute put right where that is
    mechanical; an empty text removes it.
    """

    kind: str
    label: str
    reason: str
    suggestion: str
    line: int | None = None
    attribute: str | None = None
    mended: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as values that JSON can hold; `class` is what Python calls `label`."""
        values = asdict(self)
        return {"line": values.pop("line"), "class": values.pop("label"), **values}

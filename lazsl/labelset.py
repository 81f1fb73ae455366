"""Label sets: classes, the attributes that describe them, and the sentences made of both.

Two JSON forms are read. The plain one is what DCLIP and CuPL publish:

    {"Kingfisher": ["a long straight beak", "blue wings"], ...}

The native one may also say how a sentence is made:

    {"template": "{class}, which has {attribute}.", "classes": {"Kingfisher": [...], ...}}
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lazsl.errors import UserError
from lazsl.identity import digest, readable
from lazsl.storage import Folder, masked, split_url

NAME_TEMPLATE = "a photo of a {class}."
"""CLIP's plain prompt: the sentence of the bare class name."""

_IS = re.compile(r"(a|an|used)\b", re.IGNORECASE)
_VERB = re.compile(r"(has|have|often|typically|usually|may|can|is|are)\b", re.IGNORECASE)


@dataclass(frozen=True)
class LabelSet:
    """Classes in file order, each with its attributes (possibly none: then the name speaks)."""

    name: str
    classes: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]
    template: str | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """Per class one sentence per attribute; a class without attributes has its name's."""
        return tuple(
            tuple(sentence(label, attribute, self.template) for attribute in attributes)
            or (NAME_TEMPLATE.replace("{class}", label),)
            for label, attributes in zip(self.classes, self.attributes, strict=True)
        )

    @property
    def name_prompts(self) -> tuple[str, ...]:
        """One sentence per class that names it and says nothing else."""
        return tuple(NAME_TEMPLATE.replace("{class}", label) for label in self.classes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sentences per class (N_c), at least 1."""
        return tuple(len(prompts) for prompts in self.prompts)

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
        return template.replace("{class}", label).replace("{attribute}", attribute)
    if _IS.match(attribute):
        return f"{label}, which is {attribute}."
    if _VERB.match(attribute):
        return f"{label}, which {attribute}."
    return f"{label}, which has {attribute}."


def load_labelset(url: str) -> LabelSet:
    """The label set in a JSON file, local or behind any fsspec URL.

    Raises:
        UserError: the file is missing, is no JSON, or does not have one of the two forms; the
            sentence says what was found, with the line where there is one.
    """
    where = f"label set {masked(url)!r}"
    folder, name = split_url(url)
    try:
        text = Folder(folder).read_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text ({error}); save it as UTF-8 JSON") from None
    except UserError as error:
        raise UserError(f"{where} cannot be read: {error}") from None
    except Exception as error:  # what is no store's trouble: a folder, a name that cannot be one
        said = " ".join(str(error).split()) or type(error).__name__
        reason = "no such file" if isinstance(error, FileNotFoundError) else said
        raise UserError(
            f"{where} cannot be read: {reason}; give the path or URL of a JSON file"
        ) from None
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates)
        json.dumps(document, ensure_ascii=False).encode()  # half a character cannot be stored
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON: {error.msg} at line {error.lineno}") from None
    except (RecursionError, ValueError) as error:
        raise UserError(f"{where} cannot be used: {error}; write plain text in it") from None
    except _Duplicate as error:
        raise UserError(f"{where} names {error.args[0]!r} twice; merge the two entries") from None
    return parse_labelset(document, name.rsplit(".", 1)[0] or "labels", where)


def parse_labelset(document: Any, name: str, where: str = "the label set") -> LabelSet:
    """A label set from parsed JSON of either form.

    Raises:
        UserError: the document has neither form.
    """
    template = None
    if isinstance(document, dict) and isinstance(document.get("classes"), dict):
        template = document.get("template")
        unknown = set(document) - {"template", "classes", "description", "provenance"}
        if unknown:
            raise UserError(
                f"{where} has unknown fields {sorted(unknown)}; use template and classes"
            )
        if template is not None and not (
            isinstance(template, str) and "{class}" in template and "{attribute}" in template
        ):
            raise UserError(
                f"{where}: the template {template!r} must be a sentence with {{class}} and "
                "{attribute}"
            )
        document = document["classes"]
    if not isinstance(document, dict):
        raise UserError(
            f"{where} must be a JSON object of class -> list of attributes, "
            f"but is a {type(document).__name__}"
        )
    if not document:
        raise UserError(f"{where} holds no class; add at least one")
    for label, attributes in document.items():
        if not label.strip():
            raise UserError(f"{where} has a class without a name; give it one or remove it")
        if not isinstance(attributes, list):
            raise UserError(
                f"{where}: class {label!r} must have a list of attributes, "
                f"but has a {type(attributes).__name__}"
            )
        for attribute in attributes:
            if not isinstance(attribute, str) or not attribute.strip():
                raise UserError(
                    f"{where}: class {label!r} has the attribute {attribute!r}; "
                    "every attribute must be a non-empty string"
                )
    return LabelSet(
        name=name,
        classes=tuple(document),
        attributes=tuple(tuple(a.strip() for a in attributes) for attributes in document.values()),
        template=template,
    )


@dataclass(frozen=True)
class Finding:
    """One thing `lazsl labels check` has to say about a label set."""

    label: str
    message: str


def check(
    labels: LabelSet, tokens: dict[str, int] | None = None, context: int = 0
) -> list[Finding]:
    """What a careful reader would object to; empty when there is nothing.

    Args:
        labels: the label set.
        tokens: tokens per prompt by a model's tokenizer, if one is at hand.
        context: that model's context length.
    """
    found: list[Finding] = []
    carriers = Counter(a.lower() for attributes in labels.attributes for a in set(attributes))
    seen: dict[tuple[str, ...], str] = {}
    folded: dict[str, str] = {}
    for label, attributes, prompts in zip(
        labels.classes, labels.attributes, labels.prompts, strict=True
    ):
        if label.casefold() in folded:
            found.append(Finding(label, f"reads like {folded[label.casefold()]!r}; keep one"))
        folded.setdefault(label.casefold(), label)
        if not attributes:
            found.append(
                Finding(label, "has no attributes: its bare name will be used; describe it")
            )
        for attribute, times in Counter(a.lower() for a in attributes).items():
            if times > 1:
                found.append(Finding(label, f"lists {attribute!r} {times} times; keep one"))
            if len(labels) >= 4 and carriers[attribute] > len(labels) / 2:
                found.append(
                    Finding(
                        label,
                        f"shares {attribute!r} with {carriers[attribute] - 1} other classes, "
                        "so it tells little; make it more specific",
                    )
                )
        description = tuple(sorted(a.lower() for a in attributes))
        if attributes and description in seen:
            found.append(
                Finding(
                    label, f"has the same attributes as {seen[description]!r}; add what differs"
                )
            )
        seen.setdefault(description, label)
        for prompt in prompts:
            if tokens is not None and tokens[prompt] > context:
                found.append(
                    Finding(
                        label,
                        f"{prompt!r} is {tokens[prompt]} tokens long but the model reads "
                        f"{context}; shorten it",
                    )
                )
    return found


class _Duplicate(Exception):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise _Duplicate(key)
        document[key] = value
    return document

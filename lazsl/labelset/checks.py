"""What a careful reader would object to in a label set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lazsl.labelset.contents import ClassNames, absent, language, unseen
from lazsl.labelset.finding import Finding
from lazsl.labelset.grammar import complaints
from lazsl.labelset.labels import PENDING, LabelSet
from lazsl.labelset.native_form import Lines, Read
from lazsl.labelset.sentences import WHOLE
from lazsl.labelset.text import folded, oddity

LOOK_ALIKE = 0.98
"""Cosine of two classes' mean sentences from which they are nearly one to the text encoder."""

_ROWS = 1024  # classes compared with all others at a time


def check(read: Read, tokens: Mapping[str, int] | None = None, context: int = 0) -> list[Finding]:
    """What can be found by reading alone, in the order of the file; empty when there is nothing.

    Args:
        read: the label set as it was written down; `Read(labels)` for one from no file.
        tokens: tokens per prompt by a model's tokenizer, if one is at hand.
        context: that model's context length.
    """
    labels, at = read.labels, read.lines
    findings = [*read.problems, *_review(read)]
    findings += [*_classes(labels, at), *_odd(labels, at), *_attributes(labels, at)]
    findings += [*_contents(labels, at), *_language(labels), *_shared(labels, at)]
    if tokens is not None:
        findings += _too_long(labels, tokens, context, at)
    return in_order(findings)


def look_alikes(
    read: Read,
    vectors: npt.NDArray[np.float32],
    threshold: float = LOOK_ALIKE,
    limit: int = 20,
) -> list[Finding]:
    """Pairs of classes that a text encoder hardly tells apart, the most alike first.

    Args:
        read: the label set as it was written down.
        vectors: its embedded prompts in order, float32 (N, D), of unit length.
        threshold: cosine of the mean embeddings of a pair's sentences from which it counts.
        limit: pairs named at most.
    """
    labels = read.labels
    starts = np.cumsum([0, *labels.sizes[:-1]])
    means = np.add.reduceat(vectors.astype(np.float64), starts, axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pairs: list[tuple[float, int, int]] = []
    for start in range(0, len(means), _ROWS):
        cosines = means[start : start + _ROWS] @ means.T
        rows, columns = np.nonzero(np.triu(cosines >= threshold, k=start + 1))
        values = cosines[rows, columns]
        best = np.lexsort((columns, rows, -values))[:limit]
        pairs += [(-values[b], start + int(rows[b]), int(columns[b])) for b in best]
        pairs = sorted(pairs)[:limit]
    return [
        Finding(
            "look-alike",
            labels.classes[j],
            f"class {labels.classes[j]!r} is nearly {labels.classes[i]!r} to the text encoder: "
            f"their mean sentences have cosine {-minus:.3f}",
            "describe what tells them apart",
            read.lines.get((labels.classes[j], None)),
        )
        for minus, i, j in pairs
    ]


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Findings by line; those without one stay where they are, behind."""
    return sorted(findings, key=lambda finding: finding.line if finding.line is not None else 2**62)


def _review(read: Read) -> Iterator[Finding]:
    if read.labels.review == PENDING:
        yield Finding(
            "unreviewed",
            "",
            "a language model wrote these attributes and their review is pending",
            'correct what is wrong, then set "review" to "reviewed"',
            read.review_line,
        )


def _odd(labels: LabelSet, at: Lines) -> Iterator[Finding]:
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        for other in (label, *labels.synonyms.get(label, ())):
            if odd := oddity(other):
                line = at.get((label, None))
                reason = f"the name {other!r} has {odd}"
                yield Finding("odd-characters", label, reason, "write it in plain text", line)
        for j, attribute in enumerate(attributes):
            if odd := oddity(attribute):
                reason = f"attribute {attribute!r} has {odd}"
                line = at.get((label, j))
                yield Finding(
                    "odd-characters", label, reason, "write it in plain text", line, attribute
                )


def _classes(labels: LabelSet, at: Lines) -> Iterator[Finding]:
    names: dict[str, str] = {}
    described: dict[tuple[str, ...], str] = {}
    any_described = any(labels.attributes)
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        line = at.get((label, None))
        name, description = folded(label), tuple(sorted({folded(a) for a in attributes}))
        if name in names:
            yield Finding(
                "repeated-class",
                label,
                f"class {label!r} reads like {names[name]!r}",
                "keep one",
                line,
            )
        if not attributes and any_described:
            yield Finding(
                "no-attributes",
                label,
                f"class {label!r} has no attributes: its bare name will be used",
                "describe it",
                line,
            )
        if attributes and description in described:
            yield Finding(
                "same-attributes",
                label,
                f"class {label!r} has the same attributes as {described[description]!r}",
                "add what differs",
                line,
            )
        names.setdefault(name, label)
        described.setdefault(description, label)


def _attributes(labels: LabelSet, at: Lines) -> Iterator[Finding]:
    has_names = labels.template is None or "{class}" in labels.template
    for label, attributes, prompts in zip(
        labels.classes, labels.attributes, labels.prompts, strict=True
    ):
        seen: set[str] = set()
        name = f" {folded(label)} "
        for j, attribute in enumerate(attributes):
            line, text = at.get((label, j)), folded(attribute)
            if text in seen:
                yield Finding(
                    "repeated-attribute",
                    label,
                    f"class {label!r} lists {attribute!r} again",
                    "keep one",
                    line,
                    attribute,
                    "",
                )
            seen.add(text)
            if has_names and name in f" {text} ":
                yield Finding(
                    "names-class",
                    label,
                    f"attribute {attribute!r} repeats the name of its class {label!r}",
                    "say what is to be seen; the sentence names the class already",
                    line,
                    attribute,
                )
            for complaint in complaints(prompts[j], attribute, labels.template):
                yield Finding(
                    "grammar",
                    label,
                    complaint.reason,
                    complaint.suggestion,
                    line,
                    attribute,
                    complaint.mended,
                )


def _contents(labels: LabelSet, at: Lines) -> Iterator[Finding]:
    """What attributes say of other classes, of what is absent, and of what cannot be seen."""
    spoken = dict(zip(labels.classes, labels.spoken, strict=True))
    names = ClassNames(spoken)
    for label, attributes in zip(labels.classes, labels.attributes, strict=True):
        for j, attribute in enumerate(attributes):
            line = at.get((label, j))
            if other := names.in_text(attribute, label):
                yield Finding(
                    "names-other",
                    label,
                    f"attribute {attribute!r} of {label!r} names the class {other!r}",
                    "say what is to be seen, so that it does not draw pictures of the other",
                    line,
                    attribute,
                )
            if word := absent(attribute):
                yield Finding(
                    "says-absent",
                    label,
                    f"{attribute!r} says what is not there ({word!r}); text encoders read it "
                    "as if it were",
                    "say what is there instead",
                    line,
                    attribute,
                )
            if word := unseen(attribute):
                yield Finding(
                    "not-visible",
                    label,
                    f"{attribute!r} says what no picture shows ({word!r})",
                    "say what is to be seen, or remove it",
                    line,
                    attribute,
                )


def _language(labels: LabelSet) -> Iterator[Finding]:
    """At most one: the language of most attributes, or names, is not that of the template."""
    only_names = not any(labels.attributes)
    if labels.template == WHOLE and not only_names:
        return
    frame = " ".join(labels.name_templates) if only_names else labels.template or ""
    texts = (
        list(labels.spoken)
        if only_names
        else [attribute for attributes in labels.attributes for attribute in attributes]
    )
    spoken = language(texts)
    if spoken is None or (frame and _same_language(frame)):
        return
    field, kind = ("name_templates", "names") if only_names else ("template", "attributes")
    yield Finding(
        "other-language",
        "",
        f"most {kind} are in another language than the sentences made of them ({spoken}), such as "
        f"{(labels.prompts[0][0])!r}",
        f"set {field} to a sentence in that language",
    )


def _same_language(frame: str) -> bool:
    """True for a template of the user's own that is not plainly English."""
    words = set(frame.casefold().replace("{class}", "").replace("{attribute}", "").split())
    english = {"a", "of", "photo", "which", "has", "is", "the", "with", "an", "picture", "this"}
    return not words & english


def _shared(labels: LabelSet, at: Lines) -> Iterator[Finding]:
    """One finding per attribute that more than half of at least four classes have."""
    carriers: dict[str, list[int]] = defaultdict(list)
    for index, attributes in enumerate(labels.attributes):
        for text in dict.fromkeys(folded(a) for a in attributes):
            carriers[text].append(index)
    for text, indices in carriers.items():
        if len(labels) < 4 or len(indices) <= len(labels) / 2:
            continue
        label, attributes = labels.classes[indices[0]], labels.attributes[indices[0]]
        j = [folded(a) for a in attributes].index(text)
        yield Finding(
            "shared-attribute",
            label,
            f"{attributes[j]!r} is shared by {len(indices)} of {len(labels)} classes, so it tells "
            "little",
            "make it more specific, or remove it",
            at.get((label, j)),
            attributes[j],
        )


def _too_long(
    labels: LabelSet, tokens: Mapping[str, int], context: int, at: Lines
) -> Iterator[Finding]:
    for label, attributes, prompts in zip(
        labels.classes, labels.attributes, labels.prompts, strict=True
    ):
        for j, prompt in enumerate(prompts):
            if tokens[prompt] > context:
                yield Finding(
                    "too-long",
                    label,
                    f"{prompt!r} is {tokens[prompt]} tokens long but the model reads {context}",
                    "shorten it",
                    at.get((label, j if attributes else None)),
                    attributes[j] if attributes else None,
                )

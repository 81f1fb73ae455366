"""Label sets in files that were not written for lazsl, turned into documents of the native form.

| form | what it is |
| --- | --- |
| names | a list of names, JSON or YAML, or a text with one a line |
| coco | COCO categories: `{"categories": [{"id": 1, "name": "person", "supercategory": ...}]}` |
| id2label | a mapping of numbers or ids to names, alone or as `id2label` in a model's config |
| class-index | Keras' `{"0": ["n01440764", "tench"], ...}` |
| clip-benchmark | CLIP_benchmark's own JSON: data set -> class names |
| csv | a table with the columns class and attribute |
"""

from __future__ import annotations

import re
from typing import Any

from lazsl.errors import UserError
from lazsl.labelset.document import Document, Place
from lazsl.labelset.foreign import LONG_LIST, TEMPLATE, Foreign, named, refuse_templates

_DATA_SETS = frozenset(
    "caltech101 cars cifar10 cifar100 clevr country211 diabetic_retinopathy dmlab dsprites dtd "
    "eurosat fer2013 fgvc_aircraft flickr8k flowers food101 gtsrb imagenet1k imagenet imagenet-a "
    "imagenet-r imagenet_sketch imagenetv2 kitti mnist objectnet pcam pets places365 renderedsst2 "
    "resisc45 smallnorb stl10 sun397 svhn voc2007 voc2007_multilabel".split()
)


def recognise(document: Document, member: str | None, where: str) -> Foreign | None:
    """What a JSON or YAML document of another form means; None for the plain and native forms.

    Args:
        document: the parsed file.
        member: which of several lists is meant (`FILE.json#NAME`).
        where: how sentences name the file.

    Raises:
        UserError: it is not clear what is meant, or it is no label set; says what to do.
    """
    value = document.value
    if isinstance(value, list):
        if value and all(isinstance(entry, dict) and "name" in entry for entry in value):
            return _coco(value, document, (), where)
        return _listed(document, where)
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("categories"), list):
        return _coco(value["categories"], document, ("categories",), where)
    for field in ("id2label", "label2id"):
        if isinstance(value.get(field), dict):
            return _by_id(value[field], document, (field,))
    if value and all(isinstance(name, str) for name in value.values()) and _are_ids(value):
        return _by_id(value, document, ())
    if value and all(isinstance(number, int) for number in value.values()):
        return _by_id(value, document, ())
    if value and _are_ids(value) and all(_is_index_entry(entry) for entry in value.values()):
        pairs = (
            (f"{entry[0]} {entry[1]}", document.lines.get((key,))) for key, entry in value.items()
        )
        return Foreign(named(pairs), "class-index")
    if member is not None or _holds_lists_of_names(value):
        return _of_data_sets(document, member, where)
    return None


def _listed(document: Document, where: str) -> Foreign:
    names: list[tuple[str, int | None]] = []
    for index, name in enumerate(document.value):
        line = document.lines.get((index,))
        if not isinstance(name, str):
            raise UserError(f"{where}: {name!r} is no name (line {line}); write text")
        names.append((name.strip(), line))
    refuse_templates([name for name, _ in names if name], where)
    return Foreign(named(names), "names")


def _coco(entries: list[Any], document: Document, below: Place, where: str) -> Foreign:
    classes: dict[str, Any] = {}
    lines: dict[Place, int] = {}
    repeated: list[tuple[Place, int]] = []
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        line = document.lines.get((*below, index))
        if not isinstance(name, str):
            raise UserError(
                f"{where}: a category has no name (line {line}); each needs one, as in "
                '{"id": 1, "name": "person"}'
            )
        if name in classes:
            repeated.append((("classes", name), line or 0))
            continue
        parent = entry.get("supercategory")
        parented = isinstance(parent, str) and parent.strip() and parent != name
        classes[name] = {"attributes": []} | ({"parent": parent} if parented else {})
        lines["classes", name] = line or 0
    _without_own_parents(classes)
    return Foreign(Document({"classes": classes}, lines, tuple(repeated)), "coco")


def _without_own_parents(classes: dict[str, Any]) -> None:
    """COCO's `person` may be its own supercategory's name; a class is no parent."""
    for entry in classes.values():
        if entry.get("parent") in classes:
            del entry["parent"]


def _by_id(value: dict[str, Any], document: Document, below: Place) -> Foreign:
    numbers = all(isinstance(number, int) for number in value.values())
    pairs = [
        (
            key
            if numbers
            else f"{key} {name}"
            if key.startswith("n0") or key.startswith("n1")
            else str(name),
            document.lines.get((*below, key)),
        )
        for key, name in value.items()
    ]
    return Foreign(named(pairs), "id2label")


def _are_ids(value: dict[str, Any]) -> bool:
    return all(re.fullmatch(r"\d+|n\d{8}", key) for key in value)


def _is_index_entry(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and re.fullmatch(r"n\d{8}", entry[0]) is not None
    )


def _holds_lists_of_names(value: dict[str, Any]) -> bool:
    if not value or not all(isinstance(texts, list) for texts in value.values()):
        return False
    if 2 * sum(key.casefold() in _DATA_SETS for key in value) > len(value):
        return True
    texts = [text for texts in value.values() for text in texts if isinstance(text, str)]
    sentences = sum(text.rstrip().endswith((".", "!", "?")) for text in texts)
    templates = sum(TEMPLATE.search(text) is not None for text in texts)
    many = len(texts) > LONG_LIST * len(value)
    return 2 * templates > len(texts) > 0 or (many and 2 * sentences <= len(texts))


def _of_data_sets(document: Document, member: str | None, where: str) -> Foreign:
    value: dict[str, Any] = document.value
    for texts in value.values():
        if isinstance(texts, list):
            refuse_templates([text for text in texts if isinstance(text, str)], where)
    known = all(name.casefold() in _DATA_SETS for name in value)
    if member is None and not (known and len(value) == 1):
        names = ", ".join(list(value)[:20]) + (", ..." if len(value) > 20 else "")
        first = next(iter(value))
        raise UserError(
            f"{where} looks like {len(value)} list{'s' * (len(value) > 1)} of class names "
            f"({names}), not like attributes of classes; say which list is meant, as in "
            f"FILE.json#{first}, or, if these are "
            'attributes, put {"classes": ...} around them'
        )
    chosen = next(iter(value)) if member is None else member
    if chosen not in value:
        raise UserError(f"{where} has no list {chosen!r}; there are {', '.join(list(value)[:40])}")
    if not isinstance(value[chosen], list):
        raise UserError(f"{where}: {chosen!r} is no list of names; write a list of texts")
    lines = {place[1:]: line for place, line in document.lines.items() if place[:1] == (chosen,)}
    foreign = _listed(Document(value[chosen], lines), where)
    note = f"read as the class names of {chosen}"
    return Foreign(foreign.document, "clip-benchmark", (note, *foreign.notes))

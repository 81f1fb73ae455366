"""JSON and YAML text as values, with the line on which everything stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lazsl.errors import in_one_line

Place = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists, from the outside in."""

DEPTH = 50
"""Mappings and lists inside each other, at most; a label set needs four."""

VALUES = 2_000_000
"""Values in a document after aliases are written out, at most; a long text counts as several."""

_TEXT = 64  # characters of a text that count as one value

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|[^\s{}\[\],:"]+', re.DOTALL)
_PLAIN_TAGS = {None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):
    """The text is not what it should be; its message says why, and on which line."""


@dataclass(frozen=True)
class Document:
    """A parsed text.

    `lines` has the line (from 1) of every key and every list item by its place; of a key that
    stands twice in one mapping the first entry counts, and `repeated` has the others with theirs.
    """

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)
    repeated: tuple[tuple[Place, int], ...] = ()
    again: tuple[tuple[Place, Any], ...] = ()


def read_json(text: str) -> Document:
    """The document in a JSON text.

    Raises:
        Unreadable: it is no JSON.
    """
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"is not JSON: {error.msg} at line {error.lineno}") from None
    except (RecursionError, ValueError) as error:
        raise Unreadable(f"cannot be used: {error}; write plain text in it") from None
    return _build(_json_events(text))


def read_yaml(text: str) -> Document:
    """The document in a YAML text, in which every scalar is text: a class may be called `no`.

    Nothing is constructed from tags. Aliases are followed as long as the whole stays below VALUES.

    Raises:
        Unreadable: it is no YAML, holds several documents, a tag, or an alias of itself.
    """
    try:
        return _build(_yaml_events(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}" if mark else ""
        raise Unreadable(f"is not YAML: {error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"is not YAML: {in_one_line(error)}") from None


@dataclass(frozen=True)
class _Event:
    """What a text says next: `{` or `[` opens, `end` closes, `value` is whole, `alias` repeats."""

    kind: str
    line: int
    value: Any = None
    anchor: str | None = None


def _json_events(text: str) -> Iterator[_Event]:
    """Events of valid JSON: its commas and colons say nothing that its brackets do not."""
    line, read = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", read, match.start())
        read = match.start()
        token = match[0]
        if token in ("{", "["):
            yield _Event(token, line)
        elif token in ("}", "]"):
            yield _Event("end", line)
        else:
            yield _Event("value", line, json.loads(token))


def _yaml_events(text: str) -> Iterator[_Event]:
    documents = 0
    for event in yaml.parse(text, _Loader):
        assert event.start_mark is not None  # the parser always says where
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        if tag not in _PLAIN_TAGS:
            raise Unreadable(f"has the tag {tag!r} at line {line}; take it out and write text")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable(f"holds a second document at line {line}; keep one")
        elif isinstance(event, yaml.MappingStartEvent):
            yield _Event("{", line, anchor=event.anchor)
        elif isinstance(event, yaml.SequenceStartEvent):
            yield _Event("[", line, anchor=event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            yield _Event("end", line)
        elif isinstance(event, yaml.AliasEvent):
            yield _Event("alias", line, anchor=event.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            nothing = event.value == "" and event.style in (None, "")
            yield _Event("value", line, None if nothing else event.value, event.anchor)


@dataclass
class _Open:
    """A mapping or list that is being filled; `key` is the one whose value comes next."""

    value: dict[str, Any] | list[Any]
    place: Place
    anchor: str | None
    key: str | None = None
    again: bool = False
    size: int = 1


def _build(events: Iterator[_Event]) -> Document:
    root: list[Any] = []
    open_: list[_Open] = [_Open(root, (), None)]
    anchors: dict[str, tuple[Any, int]] = {}
    lines: dict[Place, int] = {}
    repeated: list[tuple[Place, int]] = []
    again: list[tuple[Place, Any]] = []
    for event in events:
        inner = open_[-1]
        if event.kind == "end":
            open_.pop()
            if inner.anchor is not None:
                anchors[inner.anchor] = (inner.value, inner.size)
            _add_size(open_[-1], inner.size, event.line)
            continue
        value, size = event.value, _size(event.value)
        if event.kind == "alias":
            if event.anchor not in anchors:
                raise Unreadable(
                    f"has the alias *{event.anchor} at line {event.line} before what it stands "
                    "for is complete; write it out"
                )
            value, size = anchors[event.anchor]
        elif event.kind in ("{", "["):
            value = {} if event.kind == "{" else []
        elif event.anchor is not None:
            anchors[event.anchor] = (value, size)

        if isinstance(inner.value, dict) and inner.key is None:
            inner.key = _key(value, event.line)
            place = (*inner.place, inner.key)
            inner.again = inner.key in inner.value
            if inner.again:
                repeated.append((place, event.line))
            else:
                lines[place] = event.line
            continue
        if isinstance(inner.value, dict):
            # What stands below a repeated key is nowhere: no line of it may hide the first one's.
            place = (*inner.place, inner.key or "", *((-event.line,) if inner.again else ()))
            if inner.again:
                again.append(((*inner.place, inner.key or ""), value))
            else:
                inner.value[inner.key or ""] = value
            inner.key = None
        else:
            place = (*inner.place, len(inner.value)) if inner is not open_[0] else ()
            lines[place] = event.line
            inner.value.append(value)
        if event.kind in ("{", "["):
            if len(open_) > DEPTH:
                raise Unreadable(
                    f"cannot be used: more than {DEPTH} lists or mappings inside each other at "
                    f"line {event.line}; write class: [attributes]"
                )
            open_.append(_Open(value, place, event.anchor))
        else:
            _add_size(inner, size, event.line)
    return Document(root[0] if root else None, lines, tuple(repeated), tuple(again))


def _size(value: Any) -> int:
    return 1 + len(value) // _TEXT if isinstance(value, str) else 1


def _key(value: Any, line: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"has a list or a mapping for a name at line {line}; write text")
    return value


def _add_size(inner: _Open, size: int, line: int) -> None:
    inner.size += size
    if inner.size > VALUES:
        raise Unreadable(
            f"holds more than {VALUES:,} values (a text of {_TEXT} characters is one) with its "
            f"aliases written out, at line {line}; write a smaller file without aliases"
        )

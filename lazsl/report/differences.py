"""What two runs were told differently: settings, and the words of their label sets."""

from __future__ import annotations

from typing import Any

from lazsl.warehouse import sqlfiles
from lazsl.warehouse.sqlfiles import Connection

LISTED = 20
"""Classes that are named; the others are counted."""

_ELSEWHERE = ("workspace", "warehouse", "truth", "scratch", "archive")
"""Settings that say where things lie, and change no label."""


def settings_that_differ(
    before: dict[str, Any], after: dict[str, Any]
) -> list[tuple[str, str, str]]:
    """Name, value before and value now of every setting that differs; empty text: it was not set.

    Args:
        before, now: jobs, as runs record them.
    """
    flat = [_flat(before), _flat(after)]
    names = [name for name in {**flat[0], **flat[1]} if name.partition(".")[0] not in _ELSEWHERE]
    pairs = [(name, flat[0].get(name), flat[1].get(name)) for name in names]
    return [(name, _value(a), _value(b)) for name, a, b in pairs if a != b]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _flat(job: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in job.items():
        if isinstance(value, dict):
            values |= _flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def words_that_differ(connection: Connection, before: str, after: str) -> dict[str, Any]:
    """How the label sets of two runs differ.

    `classes` has, for each of the first `LISTED` classes that differ, its name, the attributes that
    only the run before has and those that only the run of now has; a class that one of them lacks
    says so in `only`. `others` counts the classes that differ and are not among them.
    """
    old, new = _label_set(connection, before), _label_set(connection, after)
    different = []
    for name in {**old, **new}:
        was, is_now = old.get(name), new.get(name)
        if was == is_now:
            continue
        different.append(
            {
                "class": name,
                "only": "now" if was is None else "before" if is_now is None else None,
                "gone": [text for text in was or [] if text not in (is_now or [])],
                "added": [text for text in is_now or [] if text not in (was or [])],
            }
        )
    return {"classes": different[:LISTED], "others": max(0, len(different) - LISTED)}


def _label_set(connection: Connection, run: str) -> dict[str, list[str]]:
    rows = sqlfiles.run(connection, "report/label_set.sql", run=run).fetchall()
    return {label: list(texts) for _, label, texts in rows}

"""An explanation in a few sentences, for the picture and for the terminal."""

from __future__ import annotations

from lazsl.display import short
from lazsl.explain.explanation import Explanation
from lazsl.explain.side_by_side import Pair

_ENOUGH = 0.6
"""Part of a lead that a sentence accounts for before it stops counting attributes."""


def headline(explanation: Explanation) -> str:
    """What the image was called, and whether that is right."""
    verdict = explanation.verdict
    label = short(verdict.label)
    called = f"no label (best guess: {label})" if verdict.abstained else label
    if verdict.right is None:
        return called
    return f"{called}  ✓" if verdict.right else f"{called}  ✗  truly {short(verdict.truth or '')}"


def facts(explanation: Explanation) -> list[str]:
    """Which image it is, and how sure the run was; short, to be set in a row."""
    verdict = explanation.verdict
    found = [short(explanation.image.key, 96), f"score {number(verdict.score)}"]
    if verdict.runner_up is not None and verdict.margin is not None:
        found.append(f"{verdict.margin:.4f} ahead of {short(verdict.runner_up)}")
    if verdict.confidence is not None:
        found.append(f"confidence {verdict.confidence:.0%}")
    if verdict.abstained:
        found.append("abstained")
    return [*found, f"run {explanation.run.key}"]


def because(explanation: Explanation, pairs: list[Pair]) -> str:
    """The attributes that made the difference to the other class, in a sentence."""
    label = short(explanation.verdict.label)
    if explanation.other is None or explanation.margin is None:
        best = short(next(p.this.text for p in pairs if p.this))
        return f"What speaks most for {label}: “{best}”."
    rival = short(explanation.other.label)
    decisive = sorted((p for p in pairs if p.difference > 0), key=lambda p: -p.difference)
    told: list[str] = []
    sum_told = 0.0
    for one in decisive[:3]:
        told.append(_told(one, rival))
        sum_told += one.difference
        if sum_told >= _ENOUGH * explanation.margin:
            break
    lead = f"{label} rather than {rival} ({signed(explanation.margin)})"
    return f"{lead} because of {'; '.join(told)}"


def number(value: float) -> str:
    """A score, its minus as wide as a digit."""
    return f"{value:.4f}".replace("-", "−")


def signed(value: float) -> str:
    """A contribution or a score with its sign."""
    return f"{value:+.4f}".replace("-", "−")


def percent(part: float) -> str:
    """A share in whole percent; what rounds to nothing has no sign."""
    return f"{round(100 * part)}%".replace("-", "−")


def _told(one: Pair, rival: str) -> str:
    if one.this is None:
        assert one.other is not None
        return f"no “{short(one.other.text)}”, which {rival} has ({signed(one.difference)})"
    mine = f"“{short(one.this.text)}”"
    if one.other is not None and not one.shared:
        return f"{mine} instead of “{short(one.other.text)}” ({signed(one.difference)})"
    return f"{mine} ({signed(one.difference)})"

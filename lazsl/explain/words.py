"""An explanation in a few sentences, for the picture and for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lazsl.explain.side_by_side import Pair, decisive
from lazsl.visible_text import short

if TYPE_CHECKING:
    from lazsl.explain.explanation import Explanation


def headline(explanation: Explanation) -> str:
    """What the image was called, and whether that is right."""
    verdict = explanation.verdict
    label = short(verdict.label)
    verdict_text = f"no label (best guess: {label})" if verdict.abstained else label
    if verdict.right is None:
        return verdict_text
    return (
        f"{verdict_text}  ✓"
        if verdict.right
        else f"{verdict_text}  ✗  truly {short(verdict.truth or '')}"
    )


def facts(explanation: Explanation) -> list[str]:
    """Which image it is, and how sure the run was; short, to be set in a row."""
    verdict = explanation.verdict
    parts = [short(explanation.image.key, 96), f"score {number(verdict.score)}"]
    if verdict.runner_up is not None and verdict.margin is not None:
        parts.append(f"{verdict.margin:.4f} ahead of {short(verdict.runner_up)}")
    if verdict.confidence is not None:
        parts.append(f"confidence {verdict.confidence:.0%}")
    if verdict.abstained:
        floor = explanation.run.job.scoring.floor
        below = floor is not None and verdict.score < floor
        parts.append("abstained" + (f": below the floor {number(floor or 0)}" if below else ""))
    return [*parts, f"run {explanation.run.key}"]


def because(explanation: Explanation, pairs: list[Pair]) -> str:
    """What made the difference to the other class, in a sentence."""
    label = short(explanation.verdict.label)
    if explanation.other is None or explanation.margin is None:
        best = short(next(p.this.text for p in pairs if p.this))
        return f"What speaks most for {label}: {best}."
    return f"{label} {reasons(explanation.other.label, pairs)}"


def reasons(rival: str, pairs: list[Pair]) -> str:
    """What decided against another class: `rather than Wren, because of a hooked bill ...`."""
    rival_name = short(rival)
    chosen = decisive(pairs)
    shared = [short(p.this.text) for p in chosen if p.shared and p.this is not None]
    telling = [_reason(p, rival_name) for p in chosen if not p.shared]
    parts = [_listed(telling)] if telling or not shared else []
    # A reason that speaks for the other class as well is no more than half of one.
    parts += [f"{_listed(shared)}, which both have"] if shared else []
    return f"rather than {rival_name}, because of {', and of '.join(parts)}."


def number(value: float) -> str:
    """A score, its minus as wide as a digit."""
    return f"{value:.4f}".replace("-", "−")


def signed(value: float) -> str:
    """A contribution or a score with its sign."""
    return f"{value:+.4f}".replace("-", "−")


def percent(part: float) -> str:
    """A share in whole percent; what rounds to nothing has no sign."""
    return f"{round(100 * part)}%".replace("-", "−")


def _reason(pair: Pair, rival: str) -> str:
    """What a pair says: `a hooked bill instead of a straight one`."""
    if pair.this is None:
        assert pair.other is not None
        return f"no sign of {short(pair.other.text)}, which {rival} has"
    reason = short(pair.this.text)
    if pair.other is None:
        return reason
    return f"{reason} instead of {_other(pair.this.text, pair.other.text)}"


def _other(text: str, other: str) -> str:
    """The other attribute, whose last word is not said twice: `a straight one`."""
    words, others = text.split(), other.split()
    if len(others) > 1 and words[-1].casefold() == others[-1].casefold():
        single = others[0].casefold() in ("a", "an", "the", "one")
        return short(" ".join([*others[:-1], "one" if single else "ones"]))
    return short(other)


def _listed(parts: list[str]) -> str:
    if not parts:
        return "nothing that tells them apart"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

"""The rows of an explanation's picture: the attributes of both classes, like beside like."""

from __future__ import annotations

from lazsl.explain.evidence import Evidence
from lazsl.explain.picture.canvas import FAINT, Canvas, Frame, Style, height, wrap
from lazsl.explain.picture.overlay import OTHER, THIS, dimmed, lay_over
from lazsl.explain.picture.places import draw_badge, draw_crop
from lazsl.explain.picture.scene import HEAD, INNER, MARGIN, NOTE, SMALL, Band, Scene
from lazsl.explain.side_by_side import Pair, Spoken
from lazsl.explain.words import number, percent, signed
from lazsl.visible_text import short

SHOWN = 6
"""Rows at most; what is left out is counted."""

_SIDE = 0.95  # inches of a thumbnail
_STEP = _SIDE + 0.12
_MIDDLE = 1.5  # inches for the difference between the two classes
_HEADED = 0.34  # inches of a class's name and the rule below it


def rows(scene: Scene) -> Band:
    """The attributes that tell the two classes apart, then a line about those that do not."""
    this, other = scene.explanation.this, scene.explanation.other
    telling = sorted((p for p in scene.pairs if not p.shared), key=lambda p: -abs(p.difference))
    if other is None:
        telling = scene.pairs
    shown = telling[:SHOWN]
    rest = _about_the_rest([p for p in scene.pairs if p not in shown], other)
    lines = wrap(rest, NOTE, INNER, 3) if rest else []
    half = INNER if other is None else (INNER - _MIDDLE) / 2
    largest = max((abs(p.difference) for p in shown), default=1.0) or 1.0

    def draw(canvas: Canvas, top: float) -> None:
        right = MARGIN + half + _MIDDLE
        _name(canvas, MARGIN, top, half, this, THIS)
        if other is not None:
            _name(canvas, right, top, half, other, OTHER)
            centre = MARGIN + half + _MIDDLE / 2
            canvas.text(centre, top + 0.03, ["difference"], NOTE, "center")
        for place, pair in enumerate(shown):
            y = top + _HEADED + place * _STEP
            _attribute(canvas, MARGIN, y, half, scene, this, pair.this, THIS)
            if other is not None:
                _attribute(canvas, right, y, half, scene, other, pair.other, OTHER)
                _difference(canvas, MARGIN + half, y, pair, largest)
        canvas.text(MARGIN, top + _HEADED + len(shown) * _STEP, lines, NOTE)

    return Band(_HEADED + len(shown) * _STEP + height(lines, NOTE) + 0.12, draw)


def _name(
    canvas: Canvas, left: float, top: float, width: float, evidence: Evidence, colour: str
) -> None:
    name = f"{short(evidence.label)}   {number(evidence.score)}"
    canvas.text(left, top, wrap(name, HEAD, width), Style(HEAD.size, True, colour))
    canvas.fill(Frame(left, top + 0.24, width, 0.02), colour)


def _attribute(
    canvas: Canvas,
    left: float,
    top: float,
    width: float,
    scene: Scene,
    evidence: Evidence,
    spoken: Spoken | None,
    colour: str,
) -> None:
    """What its best region shows, where it was found, and what it says in words and figures."""
    if spoken is None:
        canvas.text(left, top + _SIDE / 2 - 0.1, ["nothing like it"], NOTE)
        return
    draw_crop(canvas, Frame(left, top, _SIDE, _SIDE), scene, evidence, spoken, colour)
    place = Frame(left + _SIDE + 0.1, top, _SIDE, _SIDE).fitted(scene.aspect)
    maps = scene.maps(evidence)
    peak = maps.peak(spoken.index)
    base = dimmed(scene.pixels, place.pixels)
    canvas.image(base if peak is None else lay_over(base, maps.maps[spoken.index], colour), place)
    if spoken in scene.decisive and evidence is scene.explanation.this:
        draw_badge(canvas, left, top, scene.decisive.index(spoken))
    text = left + 2 * (_SIDE + 0.1) + 0.05
    room = width - (text - left)
    style = Style(SMALL.size, spoken in scene.decisive)
    top += canvas.text(text, top, wrap(spoken.text, style, room, 3), style) + 0.03
    figures = f"strength {number(spoken.similarity)}, share {percent(spoken.share)}"
    notes = [figures]
    if spoken.presence is not None:
        seen = "not seen" if spoken.unseen else "seen"
        notes.append(f"{seen} (presence {percent(spoken.presence)})")
    if peak is None:
        notes.append("not localised")
    for note in notes:
        top += canvas.text(text, top, wrap(note, NOTE, room), NOTE)


def _difference(canvas: Canvas, left: float, top: float, pair: Pair, largest: float) -> None:
    """A bar towards the class that the pair speaks for."""
    centre, reach = left + _MIDDLE / 2, _MIDDLE / 2 - 0.1
    ahead = pair.difference >= 0
    length = reach * abs(pair.difference) / largest
    canvas.fill(Frame(centre - 0.005, top + 0.1, 0.01, _SIDE - 0.2), FAINT)
    start = centre - length if ahead else centre
    canvas.fill(Frame(start, top + _SIDE / 2 - 0.09, length, 0.18), THIS if ahead else OTHER)
    colour = THIS if ahead else OTHER
    # On the bar's other side.
    beside = (centre + 0.06, "left") if ahead else (centre - 0.06, "right")
    style = Style(8, True, colour)
    canvas.text(beside[0], top + _SIDE / 2 - 0.07, [signed(pair.difference)], style, beside[1])


def _about_the_rest(pairs: list[Pair], other: Evidence | None) -> str:
    """What is not drawn: attributes that both have, and how many more there are."""
    shared = [short(p.this.text) for p in pairs if p.shared and p.this is not None]
    sentences = []
    if shared:
        together = sum(p.difference for p in pairs if p.shared)
        sentences.append(f"Both have {'; '.join(shared)} (difference {signed(together)}).")
    unshared = sum(not p.shared for p in pairs) if other is not None else len(pairs)
    if unshared:
        sentences.append(
            f"{unshared} more attribute{'s' * (unshared > 1)}, which lazsl explain lists."
        )
    return " ".join(sentences)

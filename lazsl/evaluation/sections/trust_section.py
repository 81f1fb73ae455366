"""Trust as a part of an evaluation: calibration, abstaining, and the file that `label` applies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lazsl.errors import UserError
from lazsl.evaluation.answers import Answers
from lazsl.evaluation.calibration import auroc
from lazsl.evaluation.grouping import CLASS, FOLDER, read_groups
from lazsl.evaluation.sections.section import plain, table
from lazsl.evaluation.sections.trust_of_groups import (
    BY_GROUP,
    TOO_SMALL,
    OfGroup,
    by_group,
    group_rows,
)
from lazsl.evaluation.stored import StoredRun, stored_presence
from lazsl.evaluation.sweeps import own_method
from lazsl.evaluation.trust import Trust
from lazsl.evaluation.trust_file import write_trust
from lazsl.evaluation.trust_measurement import measure_trust
from lazsl.scoring.tree import make_tree

TRUST_FILE = "trust.json"


@dataclass(frozen=True)
class TrustSection:
    """How far the labels of a run can be trusted, or why that was not measured.

    Attributes:
        stored: the run.
        trust: what was found; None where it could not be measured.
        reason: why not; empty where it was.
        groups: what the threshold does to the images of each group, the least right first: a
            promise for a mix holds for no part of it alone.
        grouped_by: what makes the groups: `folder`, `class`, or a file.
        without_presence: why presence is left out where the archive is open; empty where it counts.
    """

    stored: StoredRun
    trust: Trust | None
    reason: str
    groups: tuple[OfGroup, ...] = ()
    grouped_by: str = FOLDER
    without_presence: str = ""

    name = "trust"

    def to_json(self) -> dict[str, Any]:
        """As `Trust.to_json`, or the reason."""
        if self.trust is None:
            return {"reason": self.reason}
        groups = [asdict(group) for group in self.groups]
        return {**self.trust.to_json(), "grouped_by": self.grouped_by, "groups": groups}

    def show(self, console: Console) -> None:
        """Confidence in a few lines, and what the threshold promises."""
        if self.trust is None:
            console.print(f"[dim]trust was not measured: {escape(self.reason)}[/]", highlight=False)
            return
        shown = Table("how far to trust a label", "", title_justify="left")
        shown.columns[1].justify = "right"
        for name, value in self._facts():
            shown.add_row(name, value)
        console.print(shown)
        console.print(escape(self.trust.sentence), highlight=False)
        if self.groups:
            shown = Table(self._head, "labelled", "right", title=BY_GROUP, title_justify="left")
            for row in group_rows(self.groups):
                shown.add_row(*map(escape, row))
            console.print(shown)
        elif self.grouped_by != FOLDER:
            console.print(TOO_SMALL, highlight=False)

    def to_markdown(self) -> str:
        """Figures, pictures, and how to apply them."""
        if self.trust is None:
            return f"## Trust\n\nNot measured: {plain(self.reason)}\n"
        parts = [
            "## Trust",
            "Confidence is the softmax of an image's best scores over a temperature that was "
            "fitted on these images; what is said of its calibration was measured on halves, each "
            "at the temperature of the other.",
            table(["", ""], self._facts()),
            plain(self.trust.sentence),
            "![how often labels of like confidence are right](reliability.png)",
            "![part wrong over part labelled](risk_coverage.png)",
            "![how sure labels were](confidence.png)",
        ]
        if self.groups:
            rows = [[plain(cell) for cell in row] for row in group_rows(self.groups)]
            parts += [f"{BY_GROUP}:", table([self._head, "labelled", "right"], rows)]
        elif self.grouped_by != FOLDER:
            parts.append(TOO_SMALL)
        if self.trust.threshold is not None:
            parts.append(
                f"`lazsl relabel {self.stored.key} --trust {TRUST_FILE}` gives images below this "
                "confidence no label; `lazsl label --trust` does so from the start."
            )
        return "\n\n".join(parts) + "\n"

    def _facts(self) -> list[tuple[str, str]]:
        assert self.trust is not None
        further = (
            [("presence of attributes", self.without_presence)] if self.without_presence else []
        )
        return _facts(self.trust) + further

    @property
    def _head(self) -> str:
        return self.grouped_by if self.grouped_by in (FOLDER, CLASS) else "group"

    def write(self, folder: Path) -> list[Path]:
        """trust.json, and three PNG files."""
        from lazsl.evaluation.sections.trust_plots import plot_trust

        if self.trust is None:
            return []
        write_trust(folder / TRUST_FILE, self.trust, self.stored)
        return [folder / TRUST_FILE, *plot_trust(self.trust, folder)]


def trust_section(
    stored: StoredRun, answers: Answers, precision: float, seed: int = 0, group_by: str = FOLDER
) -> TrustSection:
    """Trust in the labels of a run, by its own scores.

    Args:
        stored: the run.
        answers: of the run's own method, among others.
        precision: the part of the given labels that is to be right, above 0 and below 1.
        seed: of the halves.
        group_by: as `grouping.read_groups` takes it.

    Raises:
        UserError: the precision is none, or the groups cannot be read. Where there are too few
            images or classes, the section says so instead.
    """
    if not 0 < precision < 1:
        raise UserError(f"a precision of {precision} is not between 0 and 1")
    groups = read_groups(group_by, answers.keys, answers.shown, "groups")
    run_method = own_method(stored.job.scoring).name
    # What `label` sees of an image: the scores that are stored.
    top_scores = answers.scores[run_method][:, : stored.job.scoring.top_k]
    known = answers.truth >= 0
    opened = stored.job.open_set or not bool(known.all())
    presence, without_presence = None, ""
    if opened:
        presence, without_presence = usable_presence(
            stored_presence(stored, answers.image_ids), top_scores[:, 0], known
        )
    try:
        trust = measure_trust(
            top_scores,
            answers.right(run_method),
            known,
            precision,
            seed,
            presence=presence,
            floored=True,
            tree=make_tree(stored.labelset.classes, stored.labelset.parents),
            best=answers.best[run_method][:, : top_scores.shape[1]],
            truth=answers.truth,
            cluster=answers.cluster,
        )
    except UserError as error:
        return TrustSection(stored, None, str(error))
    return TrustSection(stored, trust, "", by_group(trust, groups), group_by, without_presence)


def usable_presence(
    presence: np.ndarray | None, best_score: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """The presence that thresholds are put on, and why it is left out; one of the two is nothing.

    Args:
        presence: (B,), or None where the run did not measure it.
        best_score: (B,).
        known: (B,) bool, the label set has what is shown.
    """
    if presence is None or (presence == 1).all():
        return None, _NO_PRESENCE
    if known.any() and not known.all():
        of_presence, of_score = auroc(presence, known), auroc(best_score, known)
        if of_presence < of_score:
            return None, _WEAK_PRESENCE.format(of_presence, of_score)
    return presence, ""


_NO_PRESENCE = "left out: it takes one-sided plans, and attributes that have rivals"
_WEAK_PRESENCE = (
    "left out: it tells known from unknown less well than the best score (AUROC {:.3f} against "
    "{:.3f}), as where each class words the same in its own way"
)


def _facts(trust: Trust) -> list[tuple[str, str]]:
    facts = [
        ("temperature", f"{trust.temperature:.4g}"),
        ("calibration error (ECE), fitted", f"{trust.ece_after:.3f}"),
        ("calibration error (ECE), as CLIP is trained", f"{trust.ece_before:.3f}"),
        ("area under risk and coverage (AURC)", f"{trust.aurc:.3f}"),
        (f"threshold for {trust.precision:.1%} right", _or_none(trust.threshold, ".4f")),
        ("labelled then", _or_none(trust.coverage_at_threshold, ".1%")),
        ("right then", _or_none(trust.precision_at_threshold, ".1%")),
        (
            "held out: labelled, right",
            f"{trust.held_out_coverage:.1%}, {_or_none(trust.held_out_precision, '.1%')}",
        ),
    ]
    if trust.floor is not None:
        facts.append(("floor under the best score", f"{trust.floor:.4f}"))
    if (tree := trust.backing_off) is not None:
        facts += [
            (
                f"with parents: threshold (chances summed over the {trust.classes} classes kept)",
                f"{tree.threshold:.4f}",
            ),
            ("with parents: labelled, right", f"{tree.coverage:.1%}, {tree.precision:.1%}"),
            (
                "with parents, held out: labelled, right",
                f"{tree.held_out_coverage:.1%}, {_or_none(tree.held_out_precision, '.1%')}",
            ),
        ]
        facts += [
            (
                "labels that are classes" if depth.level == 0 else f"parents, level {depth.level}",
                f"{depth.labelled:,}, {depth.right / depth.labelled:.1%} right",
            )
            for depth in tree.depths
            if depth.labelled
        ]
        if tree.severity is not None:
            facts.append(("steps from a wrong class to a shared parent", f"{tree.severity:.2f}"))
    if trust.auroc_open_set is not None:
        facts.append(("images of no known class", f"{trust.unknown} of {trust.images}"))
        facts.append(("AUROC known against unknown, confidence", f"{trust.auroc_open_set:.3f}"))
        facts += [
            (f"AUROC known against unknown, {name}", f"{area:.3f}")
            for name, area in trust.auroc_scores.items()
            if name != "confidence"
        ]
    return facts


def _or_none(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)

"""`forward_passes.md` of docs/research/evaluation and its pictures, from measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lazsl.evaluation.sections.figures import BLUE, GREEN, GREY, OLIVE, ORANGE, figure, percent
from lazsl.evaluation.sections.section import table
from studies.guide import WORLDS
from studies.pages.filled import filled

Found = dict[str, Any]

WANTED = 0.995
"""Of the images to keep the label of all crops, at a third of the forward passes."""

_COLOURS = {
    "photo": BLUE, "sketch": GREY, "painting": ORANGE, "print": "#a4508b", "clutter": GREEN,
    "dusk": OLIVE,
}  # fmt: skip


def draw(document: Found, folder: Path) -> list[Path]:
    """The PNG files that were written: agreement, and accuracy, over forward passes."""
    written = [folder / "forward_passes.png", folder / "forward_passes_accuracy.png"]
    with figure(written[0], (6.8, 4.8)) as axes:
        _agreement(axes, document)
    with figure(written[1], (6.8, 4.8)) as axes:
        _accuracy(axes, document)
    return written


def _agreement(axes: Any, document: Found) -> None:
    for world, measured in document["worlds"].items():
        colour = _COLOURS[world]
        rows = measured["anytime"]
        axes.plot(
            [row["passes"] for row in rows],
            [row["agreement"] for row in rows],
            color=colour, marker="o", markersize=4, label=world,
        )  # fmt: skip
        axes.plot(
            [row["passes"] for row in measured["first"]],
            [row["drawn"] for row in measured["first"]],
            color=colour, linewidth=0.9, linestyle=":",
        )  # fmt: skip
    third = document["passes"] / 3
    axes.axvline(third, color=GREY, linewidth=0.8, linestyle="--")
    axes.axhline(WANTED, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"a third, {WANTED:.1%}", (third, WANTED), xytext=(6, -12), color=GREY, fontsize=8,
        textcoords="offset points",
    )  # fmt: skip
    axes.set(
        xlim=(0, document["passes"]), ylim=(0.85, 1.003), xlabel="forward passes per image",
        ylabel="images with the label of all crops",
    )  # fmt: skip
    percent(axes.yaxis)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.set_title("Seen enough: each image by itself (lines), or all alike (dots)", fontsize=11)


def _accuracy(axes: Any, document: Found) -> None:
    for world, measured in document["worlds"].items():
        colour = _COLOURS[world]
        every, *looks = measured["dense"]
        axes.plot(
            [row["passes"] for row in looks],
            [row["accuracy"] for row in looks],
            color=colour, marker="s", markersize=5, label=world,
        )  # fmt: skip
        axes.plot(every["passes"], every["accuracy"], color=colour, marker="o", linestyle="")
        axes.plot(
            [looks[-1]["passes"], every["passes"]],
            [looks[-1]["accuracy"], every["accuracy"]],
            color=colour, linewidth=0.8, linestyle=":",
        )  # fmt: skip
    axes.set(
        xscale="log", ylim=(0, 1), xlabel="forward passes per image, by area",
        ylabel="labels right",
    )  # fmt: skip
    ticks = [2, 3, 5, 10, 20, 50, document["passes"]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    percent(axes.yaxis)
    axes.legend(loc="center right", frameon=False, fontsize=9)
    axes.set_title("Dense regions (squares) and all crops (circles)", fontsize=11)


def page(document: Found) -> str:
    """The page in Markdown; pictures lie in `pictures` beside it."""
    worlds = document["worlds"]
    half = document["pictures"] // 2
    first = next(iter(worlds.values()))
    return filled(
        "forward_passes.md",
        passes=document["passes"],
        crops=document["passes"] - 1,
        doubt=chosen_doubt(worlds),
        after=half + 1,
        third=document["passes"] / 3,
        images=first["images"],
        half=half,
        last=document["pictures"],
        worlds="\n".join(f"- `{world}`: {WORLDS[world]}" for world in worlds),
        anytime=_by_doubt(worlds, "anytime"),
        choosing=_by_doubt(worlds, "choosing"),
        verdict=_verdict(document),
        pooled=_pooled(worlds),
        margins=table(
            ("world", "accuracy of all crops", "margin, a tenth below", "median"),
            [
                (f"`{w}`", f"{o['accuracy']:.1%}", f"{o['margin'][0]:.4f}", f"{o['margin'][1]:.4f}")
                for w, o in worlds.items()
            ],
        ),
        first=table(
            ("forward passes", *(f"`{world}`" for world in worlds)),
            [
                (
                    rows[0]["passes"],
                    *(f"{100 * r['drawn']:.1f} / {100 * r['visited']:.1f}" for r in rows),
                )
                for rows in zip(*(measured["first"] for measured in worlds.values()), strict=True)
            ],
        ),
        certain=table(
            ("crops seen", *(f"`{world}`" for world in worlds)),
            [
                (rows[0]["seen"], *(f"{r['changed']:.0%}" for r in rows))
                for rows in zip(*(measured["certain"] for measured in worlds.values()), strict=True)
            ],
        ),
        looked=first["dense"][0]["images"],
        dense=table(
            (
                "world",
                "regions",
                "forward passes",
                "ms",
                "same label",
                "LaZSL right",
                "only it : only crops",
                "mean right",
            ),
            [
                (
                    f"`{world}`",
                    f"dense, scale {row['scale']:g}" if row["scale"] else "crops",
                    f"{row['passes']:.1f}",
                    f"{row['milliseconds']:.0f}",
                    f"{row['agreement']:.1%}" if row["scale"] else "",
                    f"{row['accuracy']:.1%}",
                    f"{row['only_right']} : {row['only_crops_right']} (p {row['p']:.1g})"
                    if row["scale"]
                    else "",
                    f"{row['mean_accuracy']:.1%}",
                )
                for world, measured in worlds.items()
                for row in measured["dense"]
            ],
        ),
    )


def _by_doubt(worlds: Found, which: str) -> str:
    return table(
        ("doubt", *(f"`{world}`" for world in worlds)),
        [
            (
                f"{rows[0]['doubt']:g}",
                *(
                    f"{row['passes']:.1f}: {100 * row['agreement']:.1f} % "
                    f"({row['changed']} of {row['images']})"
                    for row in rows
                ),
            )
            for rows in zip(*(measured[which] for measured in worlds.values()), strict=True)
        ],
    )


def _together(worlds: Found, which: str) -> list[dict[str, Any]]:
    """The figures of every doubt over all worlds, with the interval of what changed."""
    from studies.pages.forward_passes import interval

    rows = []
    for cells in zip(*(measured[which] for measured in worlds.values()), strict=True):
        images = sum(row["images"] for row in cells)
        changed = sum(row["changed"] for row in cells)
        low, high = interval(changed, images)
        rows.append(
            {
                "doubt": cells[0]["doubt"],
                "images": images,
                "changed": changed,
                "low": low,
                "high": high,
                **{
                    name: sum(row[name] * row["images"] for row in cells) / images
                    for name in ("passes", "stated")
                },
            }
        )
    return rows


def _pooled(worlds: Found) -> str:
    """All worlds together: stated against measured."""
    return table(
        ("doubt", "forward passes", "changed, as stated", "changed, as measured"),
        [
            (
                f"{row['doubt']:g}",
                f"{row['passes']:.1f}",
                f"{row['stated']:.2%}",
                f"{row['changed'] / row['images']:.2%} "
                f"({100 * row['low']:.2f}-{100 * row['high']:.2f})",
            )
            for row in _together(worlds, "anytime")
        ],
    )


def chosen_doubt(worlds: Found) -> float:
    """The largest doubt that is sure, on the pictures for choosing, to keep what is wanted; the
    smallest one where none is."""
    rows = _together(worlds, "choosing")
    sure = [row["doubt"] for row in rows if row["high"] <= 1 - WANTED]
    return float(max(sure, default=rows[0]["doubt"]))


def _verdict(document: Found) -> str:
    """Whether the target is met with the chosen doubt: over all worlds, and in each."""
    worlds, third = document["worlds"], document["passes"] / 3
    doubt = chosen_doubt(worlds)
    (all_of,) = (row for row in _together(worlds, "anytime") if row["doubt"] == doubt)
    same = 1 - all_of["changed"] / all_of["images"]
    sentences = [
        f"- all worlds: {_met(same, all_of['passes'], third)}. {all_of['passes']:.1f} forward "
        f"passes, {same:.2%} the same label ({100 - 100 * all_of['high']:.2f} to "
        f"{100 - 100 * all_of['low']:.2f})"
    ]
    for world, measured in worlds.items():
        (row,) = (row for row in measured["anytime"] if row["doubt"] == doubt)
        sentences.append(
            f"- `{world}`: {_met(row['agreement'], row['passes'], third)}. {row['passes']:.1f} "
            f"forward passes, {row['agreement']:.1%} the same label ({100 * row['low']:.1f} to "
            f"{100 * row['high']:.1f}), {row['accuracy']:.1%} right against "
            f"{measured['accuracy']:.1%} with all crops"
        )
    return "\n".join(sentences)


def _met(agreement: float, passes: float, third: float) -> str:
    return "met" if agreement >= WANTED and passes <= third else "**not met**"

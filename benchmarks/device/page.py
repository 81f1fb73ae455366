"""What was measured, as a page of Markdown and as a short table."""

from __future__ import annotations

from typing import Any

ABOUT = {
    "machine": "What the device can do.",
    "overflow": "A model whose values float16 cannot hold: is that reported, and does bfloat16 "
    "hold them?",
    "embeddings": "Random models on the device, against float32 on the processor.",
    "labels": "The field guide with its own model, against float32 crops on the processor.",
    "bits": "Embeddings to the last bit, against one pass of all crops at the usual batch size.",
    "regions": "Crops cut on the device and dense regions, against the processor's.",
    "scores": "The same embeddings scored on the device and on the processor.",
    "first": "Seconds to the first batch, once everything is imported.",
    "throughput": "JPEGs in memory to embeddings, over the model alone on ready tensors.",
    "forward": "The model alone: batch sizes, memory, and other ways to compute.",
    "scoring": "The 5 best classes of 6 attributes each, from embeddings on the device.",
    "decoders": "How many threads feed the device.",
    "profile": "How busy the device is meanwhile, and with what.",
}

Found = dict[str, Any]


def figures(document: Found) -> str:
    """The figures as Markdown: where they come from, then a table for each section."""
    parts = [origin(document["surroundings"])]
    for name, section in document["sections"].items():
        parts.append(f"### {name}\n\n{ABOUT[name]}")
        if section["rows"]:
            parts.append(table(section["rows"]))
        if section["error"]:
            parts.append(f"Not whole: {section['error']}.")
    return "\n\n".join(parts)


def origin(about: dict[str, Any]) -> str:
    """A sentence that says on what the figures were measured."""
    where = (
        f"on **{about['card']}** ({about['memory_GiB']} GiB, CUDA {about['cuda']})"
        if about["card"]
        else "**on a processor alone**; no figure here says anything of a GPU"
    )
    return (
        f"Measured {where}, {about['date'][:10]} at commit {about['commit']}: "
        f"{about['processor']}, {about['cores']} cores, {about['threads']} threads, Python "
        f"{about['python']}, torch {about['torch']}, load {about['load']} when it began, size "
        f"`{about['size']}`."
    )


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with every column that a row has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[name.replace("_", " ") for name in columns], ["---"] * len(columns)]
    lines += [[cell(row.get(name)) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(value: Any) -> str:
    """A value fit for a table."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value).replace("|", "/")


def summary(document: Found) -> str:
    """A short table: a line for each section."""
    width = max(map(len, document["sections"]))
    lines = [origin(document["surroundings"]).replace("**", "")]
    for name, section in document["sections"].items():
        words = section["error"] or verdict(name, section["rows"])
        lines.append(f"{name:{width}}  {section['seconds']:6.1f} s  {words}")
    return "\n".join(lines)


def verdict(name: str, rows: list[dict[str, Any]]) -> str:
    """What a section's rows come to, in a few words."""
    skipped = sum("not_measured" in row for row in rows)
    rows = [row for row in rows if "not_measured" not in row]
    words = VERDICTS.get(name, lambda rows: f"{len(rows)} rows")(rows) if rows else "no rows"
    return words + (f"; {skipped} not measured" if skipped else "")


def _least(rows: list[dict[str, Any]], name: str) -> str:
    values = [row[name] for row in rows if name in row]
    return f"{min(values):g}" if values else "none"


def _labels(rows: list[dict[str, Any]]) -> str:
    same, images = (sum(row[name] for row in rows) for name in ("same_label", "images"))
    return f"{same} of {images} labels the same"


def _bits(rows: list[dict[str, Any]]) -> str:
    differing = sorted({row["against"] for row in rows if not row["same_bits"]})
    return "same bits in every case" if not differing else "bits differ: " + ", ".join(differing)


VERDICTS = {
    "embeddings": lambda rows: f"least cosine {_least(rows, 'least_cosine')}",
    "labels": _labels,
    "scores": _labels,
    "bits": _bits,
    "throughput": lambda rows: (
        "of the model alone: "
        + ", ".join(
            f"{row['model']} {row['regions']} {row['of_the_model_alone']:g}" for row in rows
        )
    ),
    "overflow": lambda rows: rows[0]["said"][:60],
}

"""Every Arrow schema that passes between stations, with a comment per column.

Keys: `image_id` names one version of one object; `shard` names an unchanging list of images;
`region` counts the boxes of an image (0 is the whole image, 1..M are its crops); `class_index`
and `attribute_index` count within a label set.
"""

from __future__ import annotations

import pyarrow as pa

_id = pa.string()
_text = pa.string()


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, metadata={"comment": c}) for name, kind, c in columns])


MANIFEST = _schema(
    ("image_id", _id, "digest of uri and version; another version is another image"),
    ("key", _text, "path below the archive's root, as listed"),
    ("uri", _text, "full URL of the object"),
    ("size", pa.int64(), "bytes, as listed"),
    ("version", _text, "etag, or mtime where the store has none: changes when the object does"),
    ("shard", _id, "shard the image belongs to, for good"),
    ("event", _text, "added: listed from now on; removed: no longer listed (deleted or replaced)"),
)

IMAGES = _schema(
    ("image_id", _id, "as in the manifest; one row per image of the shard, usable or not"),
    ("key", _text, "path below the archive's root"),
    ("uri", _text, "full URL of the object"),
    ("size", pa.int64(), "bytes, as listed"),
    ("version", _text, "etag or mtime, as listed"),
    ("digest", _text, "SHA-256 of the bytes; null when they could not be read"),
    ("format", _text, "what the bytes are (JPEG, PNG, ...); null when unknown"),
    ("width", pa.int32(), "pixels, after EXIF orientation; null for rejects"),
    ("height", pa.int32(), "pixels, after EXIF orientation; null for rejects"),
    ("orientation", pa.int8(), "EXIF orientation that was applied, 1..8; null for rejects"),
    ("reason", _text, "stable code of why the image was rejected; null when it was embedded"),
    ("detail", _text, "the same as a sentence; null when it was embedded"),
    (
        "notes",
        _text,
        "what decoding converted or set right, and what the decoder complained of; null: nothing, "
        "or an older lazsl decoded it",
    ),
)

STAGED = _schema(
    ("image_id", _id, "as in the manifest; one row per image of the shard, in its order"),
    ("key", _text, "path below the archive's root"),
    ("uri", _text, "full URL of the object"),
    ("size", pa.int64(), "bytes, as listed"),
    ("version", _text, "etag or mtime, as listed"),
    (
        "path",
        _text,
        "of the bytes: relative to the staging directory, or absolute in a local archive; "
        "null for rejects",
    ),
    ("reason", _text, "stable code of why the image was rejected; null when it was staged"),
    ("detail", _text, "the same as a sentence; null when it was staged"),
)


def regions(dimension: int) -> pa.Schema:
    """Region embeddings of one shard, a row per box; `dimension` is the model's D."""
    return _schema(
        ("image_id", _id, "image the box lies in; rows of an image are consecutive"),
        ("region", pa.int16(), "0: the whole image, 1..M: its crops in the order drawn or visited"),
        ("left", pa.int32(), "source pixels after EXIF orientation, inclusive"),
        ("top", pa.int32(), "source pixels after EXIF orientation, inclusive"),
        ("right", pa.int32(), "source pixels, exclusive"),
        ("bottom", pa.int32(), "source pixels, exclusive"),
        ("embedding", pa.list_(pa.float16(), dimension), "unit length up to float16 rounding"),
    )


def attributes(dimension: int) -> pa.Schema:
    """Embedded label set; one row per attribute, and one per class name (attribute_index -1)."""
    return _schema(
        ("class_index", pa.int32(), "position of the class in the label set"),
        ("class", _text, "class name"),
        ("attribute_index", pa.int16(), "position within the class; -1: the bare class name"),
        ("attribute", _text, "the attribute as given; null for the bare class name"),
        ("prompt", _text, "the sentence that was embedded"),
        ("embedding", pa.list_(pa.float32(), dimension), "unit length"),
    )


def sketches(kept: int, dimension: int) -> pa.Schema:
    """A few vectors per image, of 8 bits each number."""
    return _schema(
        ("image_id", _id, "one row per image, in the order of the embeddings"),
        (
            "scales",
            pa.list_(pa.float32(), kept),
            "what the codes of each vector are multiplied by; the first is the whole image",
        ),
        ("codes", pa.binary(kept * dimension), "vector by vector, a signed byte each number"),
    )


def class_means(dimension: int) -> pa.Schema:
    """One vector per class: the mean over the sentences of an ensemble of templates."""
    return _schema(
        ("class_index", pa.int32(), "position of the class in the label set"),
        ("class", _text, "class name"),
        ("embedding", pa.list_(pa.float32(), dimension), "unit length"),
    )


PREDICTIONS = _schema(
    ("image_id", _id, "one row per labelled image"),
    ("label", _text, "class of the best score; null where abstained (it is rank 1 in scores)"),
    ("score", pa.float32(), "transported similarity of the best class, -1..1"),
    ("runner_up", _text, "class of the second best score; null when there is one class"),
    ("margin", pa.float32(), "score minus the runner-up's; null when there is one class"),
    ("confidence", pa.float32(), "chance that the best class is right; null: no temperature set"),
    (
        "abstained",
        pa.bool_(),
        "true where the confidence, or the best score, is below what was asked for",
    ),
    ("kept", pa.int16(), "regions that passed the selection (M'); of one-sided plans, all"),
    ("clip_label", _text, "best class by the bare class name on the whole image"),
    ("clip_score", pa.float32(), "its cosine"),
    ("dclip_label", _text, "best class by the mean over attributes on the whole image"),
    ("dclip_score", pa.float32(), "its mean cosine"),
    ("crop_mean_label", _text, "best class by the mean over all crops and attributes"),
    ("crop_mean_score", pa.float32(), "its mean cosine"),
    ("seen", pa.int16(), "crops the label was made from; null where older code scored: all"),
    ("doubt", pa.float32(), "chance that its other crops change the label; null: all were asked"),
    (
        "presence",
        pa.float32(),
        "geometric mean of the presence of the best class's attributes, 0..1; null: paper's plans",
    ),
    (
        "gap",
        pa.float32(),
        "minus the mean similarity that the best class's attributes lack to their best rivals, "
        "0 where they lead; null: paper's plans",
    ),
    (
        "parent_label",
        _text,
        "where abstained, the deepest parent of the best class that can be defended; null: none",
    ),
    (
        "parent_chance",
        pa.float32(),
        "chance that it is right, held against the threshold: of those of the top_k best classes, "
        "the sum over the classes below it",
    ),
    ("parent_level", pa.int16(), "steps up from the best class, 1 the nearest; null: no parent"),
    (
        "shown",
        pa.list_(_text),
        "the attributes of the whole label set that the image shows most strongly, the strongest "
        "first; null where older code scored",
    ),
    (
        "shown_strength",
        pa.list_(pa.float32()),
        "their strengths: of one-sided plans; of paper's, the mean similarity of the regions",
    ),
)

SCORES = _schema(
    ("image_id", _id, "top_k rows per labelled image"),
    ("rank", pa.int16(), "1 is the best class"),
    ("class", _text, "class name"),
    ("score", pa.float32(), "transported similarity"),
    ("clip_score", pa.float32(), "cosine of the bare class name and the whole image"),
    ("dclip_score", pa.float32(), "mean cosine of the attributes and the whole image"),
    ("crop_mean_score", pa.float32(), "mean cosine over all crops and attributes"),
)

EVIDENCE = _schema(
    ("image_id", _id, "a row per attribute of each of the image's top_k classes"),
    ("rank", pa.int16(), "of the class, 1 is the best"),
    ("class", _text, "class name"),
    ("attribute_index", pa.int16(), "position within the class"),
    ("attribute", _text, "the attribute as given"),
    ("contribution", pa.float32(), "sum of plan x similarity over regions; adds up to the score"),
    ("similarity", pa.float32(), "transported mean similarity: contribution x attributes of class"),
    ("best_region", pa.int16(), "region that contributes most; of most mass where none adds to it"),
    ("best_share", pa.float32(), "that region's part of the attribute's mass, 0..1"),
    (
        "presence",
        pa.float32(),
        "chance that it is there rather than one of its rivals, 0..1; null: paper's plans",
    ),
)

PLANS = _schema(
    ("image_id", _id, "a row per kept plan"),
    ("rank", pa.int16(), "of the class, 1 is the best"),
    ("class", _text, "class name"),
    ("score", pa.float32(), "sum of plan x similarity"),
    ("iterations", pa.int32(), "Sinkhorn iterations done; 0: one-sided plans need none"),
    ("residual", pa.float32(), "largest error of a row marginal; 0: one-sided plans hold none"),
    ("regions", pa.list_(pa.int16()), "the kept regions: rows of the plan"),
    ("attributes", pa.int16(), "columns of the plan (N_c)"),
    ("mass", pa.list_(pa.float32()), "the plan T, row by row; sums to 1"),
    ("similarity", pa.list_(pa.float32()), "the similarities S, row by row"),
    (
        "passed_over",
        pa.list_(pa.float32()),
        "S of the regions that were not kept, region by region; null where older code scored",
    ),
    (
        "marginals",
        pa.list_(pa.float32()),
        "mass of each kept region: how much it spoke; sums to 1; null where older code scored",
    ),
)

RUN_TABLES: dict[str, pa.Schema] = {
    "predictions": PREDICTIONS,
    "scores": SCORES,
    "evidence": EVIDENCE,
    "plans": PLANS,
}
"""What the scoring task writes per shard, below `runs/{run}/{table}/{shard}.parquet`."""

LATER: dict[str, dict[str, bool | None]] = {
    "images": {"notes": None},
    "predictions": {
        "confidence": None,
        "abstained": False,
        "seen": None,
        "doubt": None,
        "presence": None,
        "gap": None,
        "parent_label": None,
        "parent_chance": None,
        "parent_level": None,
        "shown": None,
        "shown_strength": None,
    },
    "evidence": {"presence": None},
    "plans": {"passed_over": None, "marginals": None},
}
"""By table, columns that shards of an older lazsl lack, and what they mean there."""


def with_later(kind: str, schema: pa.Schema, table: pa.Table) -> pa.Table:
    """The table with the columns of LATER that it lacks, as what they mean; others are kept."""
    for column in LATER.get(kind, {}).keys() - set(table.column_names):
        field = schema.field(column)
        default = pa.repeat(pa.scalar(LATER[kind][column], field.type), len(table))
        table = table.append_column(field, default)
    return table


TRUTH = _schema(
    ("key", _text, "path below the archive's root; one row per key"),
    ("label", _text, "class name, or another name where the truth is open"),
)

SAMPLES = _schema(
    ("sample", _id, "names the drawn images; one row per image, stratum by stratum"),
    ("archive", _id, "archive key"),
    ("run", _id, "run key; drawn from the listed images it labelled"),
    ("image_id", _id, "the drawn image"),
    ("key", _text, "path below the archive's root"),
    ("digest", _text, "SHA-256 of its bytes"),
    ("label", _text, "best class of the run, as the person is shown it"),
    ("stratum", pa.int32(), "counts the strata of the sample, 0 is the largest"),
    ("population", pa.int64(), "images in the stratum"),
    ("drawn", pa.int64(), "images drawn from it; drawn / population: each one's probability"),
    ("strata", _text, "what the strata were made by: label, margin, label margin, or nothing"),
    ("seed", pa.int64(), "of the draw"),
)

REVIEWS = _schema(
    ("batch", _id, "names the judgements that were imported together; one row per judgement"),
    ("archive", _id, "archive key"),
    ("image_id", _id, "the judged image"),
    ("key", _text, "path below the archive's root"),
    ("digest", _text, "SHA-256 of the bytes that were judged"),
    ("label", _text, "best class of the run, as the person was shown it"),
    ("judged_label", _text, "class that the image shows; null: none of the classes"),
    ("verdict", _text, "on the label. right; wrong: another class; none: none of the classes"),
    ("reviewer", _text, "who judged"),
    ("judged_at", pa.timestamp("us"), "UTC; time of the import where the file does not say"),
    ("comment", _text, "what the reviewer wrote besides; null when nothing"),
    ("source", _text, "kind of file: csv, label-studio, fiftyone"),
    ("run", _id, "run key; whose label was judged"),
    ("sample", _id, "the sample it was drawn with; null when it was chosen otherwise"),
)

AUDIT_TABLES: dict[str, pa.Schema] = {"samples": SAMPLES, "reviews": REVIEWS}
"""What an audit writes, below `{table}/{archive}/{batch}.parquet`."""

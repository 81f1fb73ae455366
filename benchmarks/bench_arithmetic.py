"""The same crops through the same model in other arithmetic: how fast, how near, the same labels?

Crops per core-second of the vision tower over those in float32, in turns in one process on one
thread, so that what else the machine does hardly counts; and the cosine of its embeddings with the
float32 ones. For a ViT-B-32 of random weights and the embedded model; with the embedded model also
the labels of the sample archive, for what may be faster and is no float32. The ways:

- bfloat16 and float16 (--compile): weights and activations
- `autocast`: bfloat16 in matrix products alone
- channels last: the memory format of pixels and of the patch embedding
- fused attention: torch's scaled_dot_product_attention. Otherwise open_clip's attention takes
  torch's fast path for multi-head attention, which on a processor has kernels of its own
- int8: weights of linear layers, activations quantised as they come (`torch.ao`; torchao's with
  --compile, because it is slow without)
- compiled: `torch.compile` (--compile; minutes of compiling)
- ONNX Runtime, OpenVINO: where they are installed (`pip install onnxruntime onnxscript openvino`)

What was decided by these figures are the targets: bfloat16 is a setting because it is at least one
and a half times as fast on a processor that multiplies in it; nothing else is one, because nothing
else that needs no compiler is clearly ahead of it, and of float32 where both are float32.

    python benchmarks/bench_arithmetic.py [--json] [--rounds N] [--compile] [--images N] [--model M]
"""

from __future__ import annotations

import hashlib
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_embedding import plates
from crop_agreement import SCORING, Seen, compare, random_model
from figures import Figure, best_of_turns, conclude, options
from history import processor
from noise import photographs

from lazsl import fieldguide
from lazsl.alignment.align import class_scores, select_regions
from lazsl.embedding.label_set import embed_labels
from lazsl.images.crop_boxes import draw_boxes
from lazsl.images.crops import cut_crops
from lazsl.images.decoding import Picture, decode
from lazsl.labelset.reading import load_labelset
from lazsl.model.checkpoints import find_model
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.scoring.embedded import EmbeddedLabels
from lazsl.settings import RegionSettings

QUICK = ("--rounds", "1", "--images", "10")

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")


BY_HALF = 1.5
"""Times as fast: worth a setting."""

CLEARLY = 1.25
"""Times as fast: clearly ahead, so that the decision would have to be another one."""

SAME = 0.98
"""Of the labels, in bfloat16: all but one near tie of those 60 that are looked at."""

NOT_AHEAD = ("channels last", "fused attention")
ENGINES = ("int8, torch.ao", "ONNX Runtime", "OpenVINO", "OpenVINO, bfloat16")


def loaded(model: str, precision: str = "float32") -> Encoder:
    return load_encoder(find_model(model, precision), "cpu", "vision")


def through(encoder: Encoder, forward: Callable[[torch.Tensor], torch.Tensor]) -> Encoder:
    """The encoder with another forward pass in place of the model's own."""
    encoder.model.encode_image = forward
    return encoder


def autocast(model: str) -> Encoder:
    encoder = loaded(model)
    encode_image = encoder.model.encode_image

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return encode_image(pixels)

    return through(encoder, forward)


def channels_last(model: str) -> Encoder:
    encoder = loaded(model)
    encoder.model.visual.to(memory_format=torch.channels_last)
    encode_image = encoder.model.encode_image
    return through(encoder, lambda p: encode_image(p.contiguous(memory_format=torch.channels_last)))


@contextmanager
def fused() -> Iterator[None]:
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def fused_attention(model: str, precision: str = "float32") -> Encoder:
    encoder = loaded(model, precision)
    encode_image = encoder.model.encode_image

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        with fused():
            return encode_image(pixels)

    return through(encoder, forward)


def int8(model: str) -> Encoder:
    encoder = loaded(model)
    linear = {torch.nn.Linear}
    encoder.model = torch.ao.quantization.quantize_dynamic(encoder.model, linear, torch.qint8)
    return encoder


def compiled(model: str, precision: str = "float32") -> Encoder:
    encoder = loaded(model, precision)
    return through(encoder, torch.compile(encoder.model.encode_image))


def torchao_int8(model: str) -> Encoder:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    encoder = loaded(model)
    quantize_(encoder.model.visual, Int8DynamicActivationInt8WeightConfig())
    return through(encoder, torch.compile(encoder.model.encode_image))


class _Visual(torch.nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.visual = encoder.model.visual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.visual(pixels)


def _example(encoder: Encoder) -> torch.Tensor:
    width, height = encoder.framing.size
    return torch.zeros(16, 3, height, width)


def onnx_runtime(model: str) -> Encoder:
    import onnxruntime

    encoder = loaded(model)
    with tempfile.TemporaryDirectory() as folder, fused():
        file = str(Path(folder) / "visual.onnx")
        batch = {"pixels": {0: torch.export.Dim("batch", min=2, max=4096)}}
        torch.onnx.export(
            _Visual(encoder), (_example(encoder),), file, dynamo=True, dynamic_shapes=batch,
            verbose=False,
        )  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(file, options)
    [pixels] = session.get_inputs()
    return through(
        encoder, lambda p: torch.from_numpy(session.run(None, {pixels.name: p.numpy()})[0])
    )


def openvino(model: str, precision: str = "f32") -> Encoder:
    import openvino as ov

    encoder = loaded(model)
    size = encoder.framing.size
    with fused():
        converted = ov.convert_model(
            _Visual(encoder), example_input=_example(encoder), input=[-1, 3, size[1], size[0]]
        )
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    ready = ov.compile_model(converted, "CPU", settings)
    return through(encoder, lambda p: torch.from_numpy(ready(p.numpy())[0]))


WAYS: dict[str, Callable[[str], Encoder]] = {
    "float32": loaded,
    "bfloat16": lambda model: loaded(model, "bfloat16"),
    "autocast to bfloat16": autocast,
    "channels last": channels_last,
    "fused attention": fused_attention,
    "bfloat16, fused attention": lambda model: fused_attention(model, "bfloat16"),
    "int8, torch.ao": int8,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "OpenVINO, bfloat16": lambda model: openvino(model, "bf16"),
}
SLOW: dict[str, Callable[[str], Encoder]] = {
    "float16": lambda model: loaded(model, "float16"),
    "compiled": compiled,
    "compiled bfloat16": lambda model: compiled(model, "bfloat16"),
    "compiled int8, torchao": torchao_int8,
}
LABELLED = (
    "float32",
    "bfloat16",
    "int8, torch.ao",
    "OpenVINO, bfloat16",
    "compiled bfloat16",
    "compiled int8, torchao",
)


def crops_of(encoder: Encoder, data: bytes, count: int) -> torch.Tensor:
    picture = decode(data, max_pixels=10**8)
    assert isinstance(picture, Picture)
    digest = hashlib.sha256(data).hexdigest()
    boxes = draw_boxes(*picture.size, digest, RegionSettings(count=count - 1))
    return torch.from_numpy(cut_crops(picture.image, boxes, encoder.framing))


def labelled(encoders: dict[str, Encoder], images: int) -> dict[str, Any]:
    """The labels of the sample archive in LABELLED arithmetics, against those in float32."""
    texts = load_encoder(encoders["float32"].source, "cpu")
    table = embed_labels(load_labelset(str(fieldguide.LABELS_FILE)), texts)
    labels = EmbeddedLabels.from_table(table)
    crops = [crops_of(texts, data, RegionSettings().count + 1) for data in plates(images)]
    seen = {}
    for way in filter(encoders.__contains__, LABELLED):
        encoder = encoders[way]
        vectors = torch.stack([encoder.encode_crops(batch).half().float() for batch in crops])
        regions, whole = vectors[:, 1:], vectors[:, 0]
        keep = select_regions(regions, whole, SCORING.gamma)
        scores = class_scores(regions, whole, keep, labels.packed)
        seen[way] = Seen(np.zeros(len(crops)), vectors, scores)
    return compare(seen, "float32")


def measure(
    model: str, data: bytes, batch: int, rounds: int, ways: dict[str, Callable[[str], Encoder]]
) -> tuple[dict[str, dict[str, object]], dict[str, Encoder]]:
    """Of each way: crops per core-second, times those of float32, and the cosine; or why there is
    none. And the encoders."""
    speeds: dict[str, dict[str, object]] = {}
    encoders: dict[str, Encoder] = {}
    first: dict[str, float] = {}
    for name, make in ways.items():
        started = time.perf_counter()
        try:
            encoder = make(model)
            if name == "float32":
                crops = crops_of(encoder, data, batch)
            vectors = encoder.encode_crops(crops)
        except Exception as error:  # of any kind: a library is missing, or does not fit the others
            reason = str(error).strip() or type(error).__name__
            speeds[name] = {"not_measured": reason.splitlines()[0][:160]}
            continue
        first[name] = time.perf_counter() - started
        encoders[name] = encoder
        if name == "float32":
            expected = vectors
        cosine = (vectors * expected).sum(dim=1)
        speeds[name] = {"least_cosine": round(float(cosine.min()), 5)}
    turns = {name: partial(encoder.encode_crops, crops) for name, encoder in encoders.items()}
    best = best_of_turns(turns, rounds, time.process_time)
    for name, spent in best.items():
        speeds[name] |= {
            "crops_per_core_second": round(batch / spent, 1),
            "times_float32": round(best["float32"] / spent, 2),
            "seconds_to_the_first_batch": round(first[name], 1),
        }
    return speeds, encoders


def main() -> int:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile and float16 too")
    parser.add_argument("--images", type=int, default=60, help="of the sample, for the labels")
    parser.add_argument("--model", help="ViT-B-32 or fieldguide; default: both")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = WAYS | (SLOW if args.compile else {})
    speeds: dict[str, dict[str, dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.model != "fieldguide":
            data = photographs(1)[0]
            speeds["ViT-B-32"], _ = measure(random_model(folder), data, 16, args.rounds, ways)
        if args.model != "ViT-B-32":
            # As many rows as the crops of a picture are padded to: nothing is compiled once more.
            rows, encoders = measure("fieldguide", plates(1)[0], 96, 4 * args.rounds, ways)
            for way, row in labelled(encoders, args.images).items():
                rows[way] |= row
            speeds["fieldguide"] = rows
    lines = []
    for model, rows in speeds.items():
        for way, row in rows.items():
            columns = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items())
            lines.append(f"arithmetic on one core | {model} | {way}: {columns}")
    figures = [figure for model, rows in speeds.items() for figure in held(model, rows)]
    return conclude(args, "arithmetic", figures, "\n".join(lines), **speeds)


def held(model: str, rows: dict[str, dict[str, Any]]) -> list[Figure]:
    """Every way's speed over float32, and what was decided by such figures."""
    times = {way: row["times_float32"] for way, row in rows.items() if "times_float32" in row}
    multiplies = "bfloat16" in processor()
    figures = []
    for way in times:
        least = BY_HALF if way == "bfloat16" and multiplies else None
        most = CLEARLY if model == "ViT-B-32" and way in NOT_AHEAD else None
        if way != "float32":
            figures.append(Figure(f"{model} {way}", times[way], "float32", least, most))
    engines = [times[way] for way in ENGINES if way in times]
    if engines and multiplies:
        best = max(engines) / times["bfloat16"]
        figures.append(Figure(f"{model} best other engine", best, "bfloat16", None, CLEARLY))
    labels = rows["bfloat16"]
    if "images" in labels:
        same = labels["same_label"] / labels["images"]
        name = f"{model} bfloat16, labels that stay"
        figures.append(Figure(name, same, "float32", at_least=SAME))
    return figures


if __name__ == "__main__":
    sys.exit(main())

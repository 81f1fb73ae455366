"""Claims about dense regions: pooled as the model pools, from the cells of the box alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import VisionTransformer
from PIL import Image
from sample import content, copy_sample, label_plainly, small_job

from lazsl.errors import UserError
from lazsl.fieldguide import IMAGES_DIR, TRUTH_FILE
from lazsl.model.checkpoints import find_model
from lazsl.model.dense import DenseEncoder, coverage, grid_size, make_pooling
from lazsl.model.encoder import Encoder, load_encoder
from lazsl.run import models
from lazsl.run.embed_step import is_embedded
from lazsl.run.run import open_relabelling, open_run
from lazsl.run.status import run_status
from lazsl.settings import RegionSettings, make_job


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(find_model("fieldguide", "float32"), "cpu")


@pytest.fixture(scope="module")
def transformer() -> Any:
    """A small ViT of CLIP's kind with random weights: 4 x 4 patches."""
    torch.manual_seed(0)
    shape = {"layers": 3, "heads": 4, "mlp_ratio": 2.0, "output_dim": 24}
    visual = VisionTransformer(64, 16, 48, ls_init_value=0.3, **shape)
    return visual.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_box_of_a_whole_picture_has_the_models_own_embedding(
    encoder: Encoder, transformer: Any
) -> None:
    for visual, cells in ((encoder.model.visual, 2.0), (transformer, 4.0)):
        pixels = noise(1, 3, 64, 64)
        pooled = make_pooling(visual, "m")(pixels, torch.tensor([[0.0, 0, cells, cells]]))
        close(pooled, visual(pixels))


@torch.inference_mode()
def test_a_box_of_a_resnets_cells_is_pooled_like_a_crop_of_these_cells(encoder: Encoder) -> None:
    visual = encoder.model.visual
    pixels = noise(1, 3, 128, 192)
    x = visual.stem(pixels)
    features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(x))))
    assert features.shape[2:] == (4, 6)
    for left, top in ((0, 0), (3, 1), (4, 2)):
        box = torch.tensor([[left, top, left + 2, top + 2]], dtype=torch.float32)
        pooled = make_pooling(visual, "m")(pixels, box)
        close(pooled, visual.attnpool(features[:, :, top : top + 2, left : left + 2]))


@torch.inference_mode()
def test_a_box_of_patches_is_a_class_token_that_sees_these_patches_alone(transformer: Any) -> None:
    pixels = noise(1, 3, 64, 64, seed=1)
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[1:3, 0:3] = True
    x = transformer._embeds(pixels)
    x = torch.cat([x[:, :1], x], 1)  # the box's class token before all others
    mask = torch.zeros(len(x[0]), len(x[0]))
    mask[1:, 0] = -torch.inf
    mask[0, 1] = -torch.inf
    mask[0, 2:][~inside.flatten()] = -torch.inf
    for block in transformer.transformer.resblocks:
        x = block(x, attn_mask=mask)
    expected = transformer.ln_post(x[:, 0]) @ transformer.proj
    box = torch.tensor([[0.0, 1, 3, 3]])
    close(make_pooling(transformer, "m")(pixels, box), expected)


@torch.inference_mode()
def test_boxes_do_not_see_each_other(encoder: Encoder, transformer: Any) -> None:
    boxes = torch.tensor([[0.2, 0.1, 3.7, 3.0], [1.0, 1.5, 2.2, 4.0], [0.0, 0.0, 4.0, 4.0]])
    for visual, side in ((encoder.model.visual, 128), (transformer, 64)):
        pool, pixels = make_pooling(visual, "m"), noise(1, 3, side, side)
        together = pool(pixels, boxes)
        alone = torch.cat([pool(pixels, box[None]) for box in boxes])
        close(together, alone)
        assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_a_cell_counts_by_its_share_in_the_box() -> None:
    box = (0.25, 1.5, 2.5, 3.0)
    shares = coverage(torch.tensor([box]), columns=4, rows=3)[0]
    for row in range(3):
        for column in range(4):
            across = max(0.0, min(box[2], column + 1) - max(box[0], column))
            down = max(0.0, min(box[3], row + 1) - max(box[1], row))
            assert shares[row, column] == pytest.approx(across * down)


@torch.inference_mode()
def test_a_vit_b_32_pools_every_box_of_a_picture_that_is_not_square() -> None:
    visual = VisionTransformer(224, 32, 768, layers=12, heads=12, mlp_ratio=4.0, output_dim=512)
    pool = make_pooling(visual.eval(), "ViT-B-32")
    columns, rows = grid_size(1600, 1200, 224, pool.stride, scale=1.5)
    assert (columns, rows) == (14, 10)
    corner = torch.rand(90, 2) * torch.tensor([columns - 7.0, rows - 7.0])
    pooled = pool(noise(1, 3, 32 * rows, 32 * columns), torch.cat([corner, corner + 7], 1))
    assert pooled.shape == (90, 512) and pooled.isfinite().all()
    assert pooled.std(dim=0).min() > 0


def test_a_thread_of_a_picture_is_squeezed_and_not_stretched_over_gigabytes() -> None:
    assert grid_size(100_000, 10, 64, 32, scale=2.0) == (32, 4)
    assert grid_size(1, 1, 64, 32, scale=1.0) == (2, 2)
    assert grid_size(160, 100, 64, 32, scale=1.5) == (5, 3), "4.8 cells are nearly five"


def cubic(values: np.ndarray, size: int) -> np.ndarray:
    """Along the first axis, by Keys' kernel (a = -0.75) between cells' middles; edges repeated."""
    actual = []
    for middle in (np.arange(size) + 0.5) * len(values) / size - 0.5:
        first = int(np.floor(middle)) - 1
        total = np.zeros(values.shape[1:])
        for cell in range(first, first + 4):
            x = abs(middle - cell)
            near = 1.25 * x**3 - 2.25 * x**2 + 1
            far = -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            total += (near if x <= 1 else far) * values[min(max(cell, 0), len(values) - 1)]
        actual.append(total)
    return np.stack(actual)


def test_positions_are_stretched_over_the_grid_of_the_picture(transformer: Any) -> None:
    reshaped = transformer.positional_embedding[1:].numpy().astype("f8").reshape(4, 4, -1)
    expected = cubic(cubic(reshaped, 3).swapaxes(0, 1), 7).swapaxes(0, 1).reshape(3 * 7, -1)
    positions = make_pooling(transformer, "m")._positions(3, 7)  # type: ignore[attr-defined]
    close(positions, torch.from_numpy(expected).float())


def test_other_towers_are_refused_in_a_sentence() -> None:
    averaging = VisionTransformer(
        32, 16, 16, layers=1, heads=2, mlp_ratio=1.0, output_dim=8, pool_type="avg"
    )
    custom = open_clip.create_model(
        "ViT-B-32",
        load_weights=False,
        vision_cfg={
            "timm_model_name": "resnet18",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": 32,
        },
        text_cfg={"context_length": 8, "vocab_size": 10, "width": 8, "heads": 1, "layers": 1},
    )
    for visual in (averaging, custom.visual):
        with pytest.raises(UserError, match=r"regions\.source is dense.*leave regions\.source at"):
            make_pooling(visual, "some model")


@torch.inference_mode()
def test_boxes_follow_the_picture_whatever_it_is_scaled_to(encoder: Encoder) -> None:
    path = sorted(IMAGES_DIR.glob("18*/*.jpg"))[0]
    image = Image.open(path).convert("RGB")
    boxes = np.array([[0, 0, image.width, image.height], [10, 20, 90, 100]])
    looking = DenseEncoder(encoder, 2.0)
    look = looking.look(image, image.size, boxes)
    height, width = look.pixels.shape[:2]
    assert min(height, width) == 128
    assert look.boxes[0].tolist() == [0, 0, width / 32, height / 32]
    assert look.boxes[1] / look.boxes[0, [2, 3, 2, 3]] == pytest.approx(
        boxes[1] / np.tile(image.size, 2)
    )
    assert looking.passes(look) == pytest.approx(width * height / 64**2)
    assert torch.linalg.norm(looking.encode(look), dim=1) == pytest.approx(1.0, abs=1e-5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The same small archive, dense, in two ways that must not matter."""
    home = tmp_path_factory.mktemp("dense")
    archive = copy_sample(home / "archive", 20)
    actual = []
    for name, changes in (("one", {}), ("two", {"shard_size": 9, "batch_size": 3, "decoders": 1})):
        job = small_job(
            archive,
            home / name,
            regions={"source": "dense", "count": 30},
            truth=str(TRUTH_FILE),
            **{"shard_size": 100, **changes},
        )
        actual.append(label_plainly(job, home / "scratch"))
    return actual


def test_dense_regions_label_right_for_a_few_forward_passes(runs: list[Any]) -> None:
    status = run_status(runs[0].workspace, runs[0].key)
    assert (status["listed"], status["labelled"], status["rejected"]) == (34, 27, 7)
    assert status["accuracy"]["lazsl"] > 0.7
    assert 5 < status["crops"] / status["labelled"] < 7


def test_shards_batches_and_threads_change_no_dense_region(runs: list[Any]) -> None:
    first, two = (content(run.job.warehouse_path, by_shard=False) for run in runs)
    assert first == two


def test_dense_regions_are_other_embeddings_that_can_be_scored_anew(runs: list[Any]) -> None:
    run = runs[0]
    crops = open_run(run.job.model_copy(update={"regions": RegionSettings(count=30)}))
    assert crops.regions != run.regions
    other = open_relabelling(run.workspace, run.key, {"scoring": {"theta": 0.5}})
    shards = [row[1] for row in content(run.job.warehouse_path)["images"]]
    assert other.regions == run.regions and is_embedded(other, shards[0])


def test_dense_regions_from_pictures_decoded_smaller_are_nearly_the_same(
    encoder: Encoder, tmp_path: Path
) -> None:
    path = sorted(IMAGES_DIR.glob("18*/*.jpg"))[1]
    large = Image.open(path).convert("RGB").resize((1400, 1050))
    looking = DenseEncoder(encoder, 1.0)
    boxes = np.array([[100, 100, 900, 900], [300, 0, 1350, 1050]])
    factor = looking.decoding_factor(1050)
    assert factor == 4
    assert DenseEncoder(encoder, 2.0).decoding_factor(1050) == 2, "of a look twice as large"
    small = large.reduce(factor)
    exact, fast = (looking.encode(looking.look(i, large.size, boxes)) for i in (large, small))
    assert (exact * fast).sum(1).min() > 0.99


def test_settings_that_exclude_each_other_are_told() -> None:
    dense = {"source": "dense"}
    with pytest.raises(UserError, match="set one of source and doubt"):
        make_job(archive="a", labels="l", regions={**dense, "doubt": 0.02})
    with pytest.raises(UserError, match="dense regions are not cut"):
        make_job(archive="a", labels="l", cut_on="device", regions={**dense, "resampling": "fast"})


def test_a_model_that_cannot_is_refused_before_anything_is_embedded(
    runs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(model=SimpleNamespace(visual=torch.nn.Identity()))
    monkeypatch.setattr(models, "_load_model", lambda *_: other)
    with pytest.raises(UserError, match=r"vision tower of 'fieldguide' \(Identity\)"):
        models.load_model(runs[0], "vision")

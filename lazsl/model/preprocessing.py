"""The geometric half of a model's own preprocessing."""

from __future__ import annotations

from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import Compose, ToTensor

from lazsl.images.framing import Framing


def framing_of(preprocess: PreprocessCfg) -> Framing:
    """The transforms of open_clip's own preprocessing that come before pixels become a tensor."""
    steps = image_transform_v2(preprocess, is_train=False).transforms
    end = next(
        i
        for i, step in enumerate(steps)
        if isinstance(step, ToTensor) or type(step).__name__ == "MaybeToTensor"
    )
    geometry = Compose(steps[:end])
    size = preprocess.size if isinstance(preprocess.size, tuple | list) else (preprocess.size,) * 2
    resample = (
        Image.Resampling.BILINEAR
        if preprocess.interpolation == "bilinear"
        else Image.Resampling.BICUBIC
    )
    # A thread of pixels that is resized by its shorter side becomes gigabytes, of which the centre
    # crop leaves the middle; resized by its longer side, it has no shorter side left.
    narrowest = {"shortest": 200, "longest": 2 * min(size) - 1}.get(preprocess.resize_mode)

    def frame(image: Image.Image) -> Image.Image:
        if narrowest is not None:
            image = _middle(image, narrowest * min(image.size))
        framed: Image.Image = geometry(image)
        return framed

    def resized(width: int, height: int) -> tuple[int, int] | None:
        if preprocess.resize_mode == "squash":
            return int(size[1]), int(size[0])
        shorter, longer = sorted((width, height))
        if preprocess.resize_mode != "shortest" or size[0] != size[1] or longer > 200 * shorter:
            return None
        long = int(size[0] * longer / shorter)
        return (long, int(size[0])) if width > height else (int(size[0]), long)

    return Framing((int(size[1]), int(size[0])), resample, frame, resized)


def _middle(image: Image.Image, longest: int) -> Image.Image:
    """The picture without what makes it longer than this, at both ends alike."""
    width, height = image.size
    if max(width, height) <= longest:
        return image
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))

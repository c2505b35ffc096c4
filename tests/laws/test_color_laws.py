"""TrivialAugment's operations are torchvision's, and colour jitter moves along the images' own colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from convscope.data.augment import Augmentation, augment, fitted, generator_for
from convscope.data.augmentation.batch_rng import BatchPart, BatchRng
from convscope.data.augmentation.pca_lighting import measure_color_axes
from convscope.data.augmentation.trivial_augment import BINS, SPACE, magnitude_of, trivial_augment
from convscope.data.batches import to_floats
from convscope.data.open import probe
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import DataError, RunError
from convscope.recipe.recipe import Recipe
from convscope.training.resolve.resolve import resolve
from torchvision_oracle import torchvision_or_skip

NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
COUNT, SIDE = 56, 40
TORCHVISION_NAME = {
    "identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
    "translate_y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "color": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "autocontrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip


def pictures(channels: int = 3, count: int = COUNT) -> np.ndarray:
    """Smooth colours with some grain, of low contrast, so that stretching and equalizing have something to do."""
    draws = np.random.default_rng(0)
    waves = draws.uniform(0.02, 0.2, (count, 1, 1, channels)) * np.arange(SIDE)[None, :, None, None]
    waves = waves + draws.uniform(0.02, 0.2, (count, 1, 1, channels)) * np.arange(SIDE)[None, None, :, None]
    levels = 120 + 70 * np.sin(waves) + draws.normal(0, 9, (count, SIDE, SIDE, channels))
    return np.clip(levels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", SPACE)
def test_each_operation_is_torchvisions_at_every_strength(name: str, channels: int) -> None:
    torchvision = torchvision_or_skip()
    from torchvision.transforms import autoaugment

    space = autoaugment.TrivialAugmentWide()._augmentation_space(BINS)
    magnitudes, signed = space[TORCHVISION_NAME[name]]
    operation = SPACE[name]
    assert operation.signed == signed
    for negative in (False, True):
        sign = -1 if signed and negative else 1
        expected = sign * (magnitudes.float() if magnitudes.ndim else torch.zeros(BINS))
        ours = magnitude_of(operation, torch.arange(BINS), torch.full((BINS,), negative))
        assert torch.allclose(ours, expected, atol=1e-5)
    images = torch.from_numpy(pictures(channels, BINS)).permute(0, 3, 1, 2)
    for sign in (1, -1) if signed else (1,):
        # torch.linspace may lie a last digit below a whole number of pixels: the operations get the same magnitudes.
        theirs = sign * (magnitudes.float() if magnitudes.ndim else torch.zeros(BINS))
        found = operation.apply(images.float(), theirs)
        expected = torch.stack(
            [
                autoaugment._apply_op(
                    image,
                    TORCHVISION_NAME[name],
                    float(magnitude),
                    interpolation=torchvision.transforms.InterpolationMode.NEAREST,
                    fill=None,
                )
                for image, magnitude in zip(images, theirs, strict=True)
            ]
        )
        assert torch.equal(found, found.round()) and float(found.min()) >= 0 and float(found.max()) <= 255
        away = (found - expected.float()).abs()
        # Where a place falls between two pixels, or a level between two, the last digit decides.
        if name in ("shear_x", "shear_y", "rotate"):
            assert float((away > 0).float().mean()) < 0.003
        else:
            assert float(away.max()) <= 1 and float((away > 0).float().mean()) < 0.05


@pytest.mark.parametrize("name", ["equalize", "autocontrast", "posterize", "solarize"])
def test_operations_on_levels_are_pillows(name: str) -> None:
    from PIL import Image, ImageOps

    of_pillow = {
        "equalize": ImageOps.equalize,
        "autocontrast": ImageOps.autocontrast,
        "posterize": lambda image: ImageOps.posterize(image, 4),
        "solarize": lambda image: ImageOps.solarize(image, 128),
    }[name]
    magnitude = torch.full((8,), {"posterize": 4.0, "solarize": 128.0}.get(name, 0.0))
    arrays = pictures(count=8)
    found = SPACE[name].apply(torch.from_numpy(arrays).permute(0, 3, 1, 2).float(), magnitude)
    expected = np.stack([np.asarray(of_pillow(Image.fromarray(array))) for array in arrays])
    assert np.abs(found.permute(0, 2, 3, 1).numpy() - expected).max() <= 1


def test_an_image_without_contrast_stays() -> None:
    flat = torch.full((2, 3, 8, 8), 90.0)
    for name in ("equalize", "autocontrast"):
        assert torch.equal(SPACE[name].apply(flat, torch.zeros(2)), flat)
    tiny = torch.full((1, 3, 2, 2), 90.0)
    assert torch.equal(SPACE["sharpness"].apply(tiny, torch.ones(1)), tiny)


def test_each_image_gets_one_operation_of_its_own_and_all_occur() -> None:
    pixels = to_floats(pictures(count=600), NORMALIZATION)
    draws = BatchRng(600, BatchPart(), generator_for(0, 0, 0))
    done = trivial_augment(pixels, NORMALIZATION, draws)
    again = BatchRng(600, BatchPart(), generator_for(0, 0, 0))
    chosen, strength, negative = again.integers(len(SPACE)), again.integers(BINS), again.integers(2) == 1
    # A count of 600 / 14 = 43 for each operation; six standard deviations of it.
    counts = torch.bincount(chosen, minlength=len(SPACE))
    assert float((counts - 600 / len(SPACE)).abs().max()) < 6 * (600 / len(SPACE)) ** 0.5
    levels = torch.from_numpy(pictures(count=600)).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(part)[:, None, None] for part in (NORMALIZATION.mean, NORMALIZATION.std))
    for place, operation in enumerate(SPACE.values()):
        rows = torch.where(chosen == place)[0]
        expected = operation.apply(levels[rows], magnitude_of(operation, strength[rows], negative[rows]))
        assert torch.allclose(done[rows], (expected / 255 - mean) / std, atol=1e-5)


def of_colors() -> ImageSet:
    """Pixels that vary most along (2, 1, 1)."""
    draws = np.random.default_rng(5)
    along = draws.normal(0, 20, (30, 16, 16, 1)) * np.array([2, 1, 1])
    pixels = np.clip(128 + along + draws.normal(0, 3, (30, 16, 16, 3)), 0, 255).astype(np.uint8)
    return ImageSet(pixels, np.zeros(30, np.int64), [str(n) for n in range(30)])


def test_color_axes_are_numpys_principal_components() -> None:
    axes = np.array(measure_color_axes(of_colors()))
    values = of_colors().images.reshape(-1, 3) / 255
    covariance = np.cov(values.T, bias=True)
    sizes = np.linalg.norm(axes, axis=1)
    assert np.allclose(sizes, np.sort(np.linalg.eigvalsh(covariance))[::-1], rtol=1e-6)
    for axis, size in zip(axes, sizes, strict=True):
        assert np.allclose(covariance @ axis, size * axis)
    assert np.allclose(axes[0] / axes[0, 1], [2, 1, 1], atol=0.05)
    grey = ImageSet(of_colors().images[..., :1].copy(), np.zeros(30, np.int64), of_colors().names)
    assert measure_color_axes(grey)[0][0] == pytest.approx(float((grey.images / 255).var()))


def test_color_jitter_shifts_all_pixels_of_an_image_alike_along_the_axes() -> None:
    train = of_colors()
    augmentation = fitted(Augmentation(pca_lighting=0.1), train, NORMALIZATION)
    many = torch.zeros(4000, 3, 2, 2)
    shifts = augment(many, augmentation, generator=generator_for(0, 0, 0))
    assert torch.equal(shifts, shifts[:, :, :1, :1].expand_as(shifts))
    intensities = shifts[:, :, 0, 0].double() * torch.tensor(NORMALIZATION.std, dtype=torch.float64)
    axes = torch.tensor(measure_color_axes(train), dtype=torch.float64)
    draws = torch.linalg.solve(axes.T, intensities.T)
    # Standard errors of 4,000 draws: 0.1 / 63 of the mean, a ninetieth of the deviation.
    assert float(draws.mean(1).abs().max()) < 0.01
    assert torch.allclose(draws.std(1), torch.full((3,), 0.1, dtype=torch.float64), rtol=0.06)


EACH = [{"trivial_augment": True}, {"pca_lighting": 0.1}, {"trivial_augment": True, "pca_lighting": 0.2}]


@pytest.mark.parametrize("settings", EACH)
def test_the_seed_decides_and_parts_are_the_whole(settings: dict[str, object]) -> None:
    images = pictures()
    train = ImageSet(images, np.zeros(COUNT, np.int64), [str(n) for n in range(COUNT)])
    augmentation = fitted(Augmentation(**settings), train, NORMALIZATION)
    pixels = to_floats(images, NORMALIZATION)
    before = pixels.clone()
    whole = augment(pixels, augmentation, generator=generator_for(0, 0, 0))
    assert torch.equal(pixels, before) and whole.dtype == pixels.dtype
    assert not torch.equal(whole, augment(pixels, augmentation, generator=generator_for(1, 0, 0)))
    parts = [
        augment(
            pixels[start:end], augmentation, generator=generator_for(0, 0, 0), part=BatchPart(start=start, total=COUNT)
        )
        for start, end in ((0, 21), (21, 22), (22, COUNT))
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_what_cant_be_is_refused() -> None:
    with pytest.raises(DataError, match="need to know the training images"):
        augment(torch.zeros(1, 3, 4, 4), Augmentation(trivial_augment=True), generator=generator_for(0, 0, 0))
    with pytest.raises(DataError, match="standard deviation"):
        Augmentation(pca_lighting=-1)
    with pytest.raises(RunError, match="for colour images, and these are grey"):
        resolve(Recipe(pca_lighting=0.1), probe("digits"))
    with pytest.raises(RunError, match="cutout 33 is larger than images of 32 pixels"):
        resolve(Recipe(cutout=33), probe("digits"))

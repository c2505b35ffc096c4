"""What "auto" becomes, rule by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.open import Probe, probe
from convscope.errors import CaptureError, GeometryError, RunError
from convscope.nets import catalogue
from convscope.nets.build import smallest_input
from convscope.nets.entry import Entry
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import choice_lines


def _folder(folder: Path, *, side: int, colour: bool, classes: tuple[str, ...] = ("cat", "dog")) -> Probe:
    for name in classes:
        (folder / name).mkdir()
        for number in range(3):
            shape = (side, side, 3) if colour else (side, side)
            pixels = np.random.default_rng(number).integers(0, 255, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return probe(str(folder))


def test_nothing_is_left_open() -> None:
    resolved = resolve(Recipe(data="digits"), probe("digits"))
    # The range of values goes by each image's own kind, and epochs are whole.
    assert [name for name, value in resolved.recipe.to_dict().items() if value == AUTO] == ["value_range", "steps"]
    assert resolve(resolved.recipe, probe("digits")).recipe == resolved.recipe


def test_patience_needs_a_validation_wherever_it_is_from(tmp_path: Path) -> None:
    recipe = Recipe(patience=1, validation_fraction=0.0)
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    found = _folder(tmp_path / "train", side=32, colour=True)
    with pytest.raises(RunError, match="patience 1 waits for a better validation, and there is none"):
        resolve(recipe, found)
    _folder(tmp_path / "val", side=32, colour=True)
    assert resolve(recipe, probe(str(tmp_path))).recipe.patience == 1


def test_digits() -> None:
    resolved = resolve(Recipe(data="digits"), probe("digits"))
    assert (resolved.recipe.model, resolved.decoding.size, resolved.decoding.channels) == ("lenet5", (32, 32), 1)
    assert (resolved.augmentation.flip, resolved.augmentation.random_crop_padding) == (False, 2)
    assert (resolved.epochs, resolved.batch_size, resolved.mode.precision, resolved.mode.threads) == (40, 32, "fp32", 1)


@pytest.mark.parametrize("native", [True, False])
def test_bf16_that_the_processor_emulates_is_said(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.training.resolve.machine.has_bf16", lambda device: native)
    resolved = resolve(Recipe(data="digits", device="cpu", precision="bf16"), probe("digits"))
    said = [notice.text for notice in resolved.notices]
    assert resolved.mode.precision == "bf16"
    assert any("emulates bf16, which may take many times as long as fp32" in text for text in said) is not native
    assert not resolve(Recipe(data="digits", device="cpu", model="alexnet-mini"), probe("digits")).notices


@pytest.mark.parametrize(
    ("side", "colour", "expected"),
    [
        (32, True, ("cifarnet", (32, 32), True, 2, False)),
        (44, True, ("cifarnet", (44, 44), True, 2, False)),
        (75, False, ("cifarnet", (75, 75), False, 2, False)),
        (28, False, ("lenet5", (28, 28), False, 2, False)),
        (64, True, ("cifarnet", (64, 64), True, 2, False)),
        (130, True, ("resnet18", (130, 130), True, 0, True)),
        (300, False, ("resnet18", (224, 224), False, 14, False)),
    ],
)
def test_pictures(tmp_path: Path, side: int, colour: bool, expected: tuple[object, ...]) -> None:
    resolved = resolve(Recipe(), _folder(tmp_path, side=side, colour=colour))
    augmentation = resolved.augmentation
    assert (
        resolved.recipe.model,
        resolved.decoding.size,
        augmentation.flip,
        augmentation.random_crop_padding,
        augmentation.random_resized_crop,
    ) == expected


def test_a_larger_image_gets_a_stem_stride_which_the_recipe_records(tmp_path: Path) -> None:
    found = _folder(tmp_path, side=64, colour=False)
    resolved = resolve(Recipe(), found)
    assert resolved.recipe.model_options == "stem_stride=2"
    assert resolved.architecture.on_meta().get_submodule("whiten").stride == (2, 2)
    reason = "stem stride 2: images of 64x64 then cost about what those of 32x32 do"
    assert reason in choice_lines(resolved.choices)
    assert resolve(resolved.recipe, found).recipe == resolved.recipe
    for asked in (Recipe(model_options="stem_stride=1"), Recipe(image_size="48"), Recipe(model="resnet18")):
        assert "stem stride" not in " ".join(choice_lines(resolve(asked, found).choices))
        assert resolve(asked, found).recipe.model_options == asked.model_options
    assert resolve(Recipe(model="cifarnet-tiny", image_size="128"), found).recipe.model_options == "stem_stride=3"


def test_coloured_characters_are_not_mirrored(tmp_path: Path) -> None:
    resolved = resolve(Recipe(), _folder(tmp_path, side=32, colour=True, classes=("b", "d")))
    assert not resolved.augmentation.flip
    assert any(
        "no flips in training or in test views: by their names the classes are characters, such as" in reason
        for reason in choice_lines(resolved.choices)
    )
    assert resolve(Recipe(flip=True), probe(str(tmp_path))).augmentation.flip


def test_what_was_said_is_not_chosen() -> None:
    said = Recipe(model="resnet18", image_size="48", channels=3, epochs=7, batch_size=9, learning_rate=0.3, threads=2)
    resolved = resolve(said, probe("digits"))
    assert (resolved.decoding.size, resolved.epochs, resolved.batch_size) == ((48, 48), 7, 9)
    assert (resolved.learning_rate, resolved.mode.threads, resolved.decoding.channels) == (0.3, 2, 3)
    assert not any("epochs" in reason for reason in choice_lines(resolved.choices))


def test_what_was_asked_for_is_not_said_to_be_chosen(tmp_path: Path) -> None:
    found = _folder(tmp_path, side=32, colour=True)
    plain = choice_lines(resolve(Recipe(), found).choices)
    asked = Recipe(trivial_augment=True, mixup=0.2, cutmix=1.0, cutout=4)
    assert choice_lines(resolve(asked, found).choices) == plain
    assert "alternating flip, random crop (padding 2): augmentation for 32x32 colour images" in plain
    said = choice_lines(resolve(Recipe(flip=True, flip_mode="random", random_crop_padding=3), found).choices)
    assert not any("augmentation for" in reason for reason in said)
    grey = choice_lines(resolve(Recipe(channels=1, random_crop_padding=0), found).choices)
    assert "no flips in training or in test views: grey; flip=True turns them on" in grey
    growing = Recipe(progressive_resize_start=0.5, progressive_resize_share=0.5)
    assert any("progressive resizing" in reason for reason in plain)
    assert not any("progressive resizing" in reason for reason in choice_lines(resolve(growing, found).choices))


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        (Recipe(model="lenet6"), CaptureError, "Did you mean lenet5"),
        (Recipe(model="lenet5", image_size="3"), GeometryError, "the smallest that works"),
        (Recipe(random_crop_padding=32), RunError, "random_crop_padding 32 is too large"),
        (Recipe(device="cpu", precision="tf32"), RunError, "tf32 is arithmetic of NVIDIA's GPUs"),
        (Recipe(device="cpu", compile="graphs"), RunError, "graphs needs CUDA"),
        (Recipe(model="alexnet-mini", progressive_resize_start=0.5), RunError, "too small for the network"),
        (Recipe(model="cifarnet", weight_decay=0.1), RunError, "weight_decay 0.1 does nothing to what cifarnet"),
        (Recipe(progressive_resize_share=0.3), RunError, "progressive_resize_share needs progressive_resize_start"),
        (Recipe(preset="finetune"), RunError, "moves trained weights: give weights=FILE"),
        (Recipe(preset="classic", validation_fraction=0.0), RunError, "plateau follows the validation"),
    ],
)
def test_the_impossible_is_refused(recipe: Recipe, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(recipe, probe("digits"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 8, 11])
def test_the_network_that_is_chosen_takes_the_size_that_is_asked_for(side: int, channels: int) -> None:
    found = probe("digits")
    for preset in ("fast", "classic"):
        asked = Recipe(data="digits", preset=preset, image_size=str(side), channels=channels)
        assert resolve(asked, found).decoding.size == (side, side)


def test_it_is_said_why_it_is_not_the_usual_network() -> None:
    reasons = choice_lines(resolve(Recipe(data="digits", image_size="8"), probe("digits")).choices)
    assert reasons[0] == "model alexnet-mini: for images of about 8 pixels, and lenet5 does not take 8x8"


@pytest.mark.long
@pytest.mark.parametrize("entry", [e for e in catalogue.ENTRIES if len(e.image_size) == 2 and not e.per_pixel])
def test_the_size_that_is_chosen_fits_every_network(tmp_path: Path, entry: Entry) -> None:
    found = _folder(tmp_path, side=30, colour=True)
    resolved = resolve(Recipe(model=entry.name), found)
    assert all(least <= side for least, side in zip(smallest_input(entry.name), resolved.decoding.size, strict=True))


def test_a_network_of_larger_images_gets_the_smallest_that_it_takes(tmp_path: Path) -> None:
    found = _folder(tmp_path, side=30, colour=True)
    resolved = resolve(Recipe(model="alexnet"), found)
    assert resolved.decoding.size == (63, 63)
    assert "images at 63x63 pixels: they are about 30x30, and alexnet takes no smaller ones" in choice_lines(
        resolved.choices
    )

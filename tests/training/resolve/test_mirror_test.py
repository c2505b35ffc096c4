"""Whether a mirror changes labels, seen in the images: it does for arrows and turned figures, not for photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.stats import binomtest

from convscope.api.thread_count import threads_of_this_thread
from convscope.data.open import probe
from convscope.data.records import Decoding
from convscope.recipe.recipe import Recipe
from convscope.training.resolve.mirror_test import (
    FEWEST,
    MOST_CLASSES,
    Sample,
    _sign_test,
    find_confusion,
    read_sample,
    reduced,
    shape_features,
)
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import ResolvedRecipe, choice_lines

ARROW = ((0.5, 0.0), (0.95, 0.5), (0.65, 0.5), (0.65, 1.0), (0.35, 1.0), (0.35, 0.5), (0.05, 0.5))
POINTER = ((0.5, 0.0), (1.0, 1.0), (0.5, 0.7), (0.0, 1.0))
FLAG = ((0.2, 0.0), (1.0, 0.25), (0.4, 0.5), (0.4, 1.0), (0.2, 1.0))
Pixels = npt.NDArray[np.uint8]


def figure(turns: int, side: int, seed: int, *, of: tuple[tuple[tuple[float, float], ...], ...] = (ARROW, POINTER)):
    """An outline turned by quarters, of any size, place and colour, on a noisy ground: (side, side, 3)."""
    draw = np.random.default_rng(seed)
    size = int(side * draw.uniform(0.4, 0.75))
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).polygon([(x * (size - 1), y * (size - 1)) for x, y in of[seed % len(of)]], fill=255)
    ground = Image.new("RGB", (side, side), tuple(draw.integers(0, 120, 3).tolist()))
    place = tuple(draw.integers(0, side - size + 1, 2).tolist())
    ground.paste(tuple(draw.integers(140, 255, 3).tolist()), place, mask.rotate(-90 * turns))
    levels = np.asarray(ground).astype(float)
    if seed % 2:
        levels = 255 - levels
    return (levels + draw.normal(0, 12, levels.shape)).clip(0, 255).astype(np.uint8)


def sample_of(*classes: list[Pixels]) -> Sample:
    labels = np.repeat(np.arange(len(classes)), [len(images) for images in classes])
    names = tuple(f"k{number}x" for number in range(len(classes)))
    return Sample(
        images=reduced(np.stack([image for images in classes for image in images])), labels=labels, classes=names
    )


def crops(photo: int, count: int, side: int = 40) -> list[Pixels]:
    """Windows of one made photograph: smooth random colours, the same for one number."""
    draw = np.random.default_rng(photo)
    whole = Image.fromarray(draw.integers(0, 255, (7, 7, 3), dtype=np.uint8)).resize(
        (120, 120), Image.Resampling.BICUBIC
    )
    found = []
    for _ in range(count):
        size = int(draw.uniform(60, 118))
        left, top = draw.integers(0, 120 - size, 2).tolist()
        found.append(np.asarray(whole.crop((left, top, left + size, top + size)).resize((side, side))))
    return found


def mirrored(images: torch.Tensor) -> torch.Tensor:
    return images.flip(3)


@pytest.mark.parametrize("side", [40, 75])
def test_arrows_to_the_left_and_right_are_exchanged(side: int) -> None:
    left, right = ([figure(turns, side, 100 * turns + n) for n in range(30)] for turns in (3, 1))
    found = find_confusion(sample_of(left, right), mirrored, seed=0)
    assert found is not None and found.right > 0.9 and found.changed < 0.1
    assert "mirrored images of 'k0x' look like 'k1x'" in found.text("mirrored")


def test_of_four_turns_two_are_exchanged_and_all_by_a_quarter_turn() -> None:
    turns = sample_of(*([figure(turn, 45, 100 * turn + n) for n in range(30)] for turn in range(4)))
    found = find_confusion(turns, mirrored, seed=0)
    assert found is not None and {found.first, found.second} == {"k1x", "k3x"}
    assert find_confusion(turns, lambda images: images.rot90(1, (2, 3)), seed=0) is not None
    upright = sample_of(*([figure(turn, 45, 100 * turn + n) for n in range(30)] for turn in (0, 2)))
    assert find_confusion(upright, mirrored, seed=0) is None


def test_figures_and_their_mirror_images_and_one_way_likeness() -> None:
    plain, other = ([figure(0, 60, 1000 * part + n, of=(FLAG,)) for n in range(40)] for part in range(2))
    flipped = [image[:, ::-1] for image in other]
    assert find_confusion(sample_of(plain, flipped), mirrored, seed=0) is not None
    # Half of the second class are mirrored figures of the first: the other half is not exchanged.
    mixed = [*flipped[:25], *(figure(2, 60, 3000 + n, of=(FLAG,)) for n in range(25))]
    assert find_confusion(sample_of(plain, mixed), mirrored, seed=0) is not None


def test_photographs_and_figures_that_no_class_mirrors_keep_their_flips() -> None:
    assert find_confusion(sample_of(*(crops(photo, 20) for photo in range(12))), mirrored, seed=0) is None
    pointing = [
        [figure(1, 44, 500 + n, of=(ARROW,)) for n in range(30)],
        [figure(1, 44, 700 + n, of=(POINTER,)) for n in range(30)],
    ]
    assert find_confusion(sample_of(*pointing), mirrored, seed=0) is None


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from((1, 3)), st.integers(0, 9))
def test_features_of_any_size_are_numbers_that_ignore_the_sign_of_contrast(height, width, channels, seed) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, height, width, channels), dtype=np.uint8)
    with threads_of_this_thread(1):
        images = reduced(pixels)
        found, inverted = shape_features(images), shape_features(1 - images)
    assert max(images.shape[2:]) <= 48 and images.shape[:2] == (2, channels)
    assert np.isfinite(found).all()
    colours = 16 * channels
    assert np.allclose(found[:, colours:], inverted[:, colours:], atol=1e-3)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_scipys(losses: int, gains: int) -> None:
    expected = binomtest(losses, losses + gains, alternative="greater").pvalue if losses + gains else 1.0
    assert _sign_test(losses, gains) == pytest.approx(expected)


def folder_of(folder: Path, classes: dict[str, list[Pixels]]) -> str:
    for name, images in classes.items():
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / name / f"{number}.png")
    return str(folder)


def settled_on(source: str, **said: object) -> ResolvedRecipe:
    return resolve(Recipe(data=source).changed(said), probe(source))


def test_the_choice_is_said_with_its_reason_and_is_the_same_every_time(tmp_path: Path) -> None:
    arrows = {
        f"{name}7": [figure(turns, 50, 100 * turns + n) for n in range(20)] for name, turns in (("a", 3), ("b", 1))
    }
    source = folder_of(tmp_path / "arrows", arrows)
    (tmp_path / "arrows" / "a7" / "0.png").write_bytes(b"no image")
    resolved = settled_on(source)
    assert (resolved.recipe.flip, resolved.recipe.tta) == (False, "one")
    (reason,) = (line for line in choice_lines(resolved.choices) if line.startswith("no flips"))
    assert reason.startswith("no flips in training or in test views: mirrored images of 'a7' look like 'b7' (")
    assert reason.endswith("; flip=True turns them on")
    assert choice_lines(settled_on(source).choices) == choice_lines(resolved.choices)
    # What is settled is not decided again; what was said is not decided at all.
    assert choice_lines(resolve(resolved.recipe, probe(source)).choices) == ()
    asked = settled_on(source, flip=True)
    assert (
        asked.recipe.flip is True
        and not asked.notices
        and not any("no flips" in line for line in choice_lines(asked.choices))
    )


def test_turns_of_trivial_augment_are_said_to_change_labels(tmp_path: Path) -> None:
    turns = {f"{name}7": [figure(turn, 40, 100 * turn + n) for n in range(20)] for turn, name in enumerate("ab")}
    source = folder_of(tmp_path, turns)
    resolved = settled_on(source, trivial_augment=True)
    assert resolved.recipe.trivial_augment and resolved.recipe.flip
    (note,) = resolved.notices
    assert note.text.startswith(
        "trivial_augment turns images by up to 135 degrees, which changes labels here: turned images"
    )


def test_what_was_asked_for_against_the_names_is_done_and_said(tmp_path: Path) -> None:
    source = folder_of(tmp_path, {name: [figure(0, 33, n) for n in range(3)] for name in ("turn_left", "turn-right")})
    (reason,) = (line for line in choice_lines(settled_on(source).choices) if line.startswith("no flips"))
    assert "by their names a mirror turns 'turn-right' into 'turn_left'" in reason
    resolved = settled_on(source, flip=True)
    assert resolved.recipe.flip and resolved.recipe.tta != "one"
    assert any("flip yes mirrors images whose labels a mirror can change" in notice.text for notice in resolved.notices)


def test_too_few_images_or_too_many_classes_are_left_to_the_names(tmp_path: Path) -> None:
    arrows = {name: [figure(turns, 40, n) for n in range(FEWEST - 1)] for name, turns in (("a7", 3), ("b7", 1))}
    source = folder_of(tmp_path, arrows)
    listing = probe(source).listing
    assert read_sample(listing, listing.rows_of("all"), Decoding(size=(40, 40)), seed=0) is None
    assert settled_on(source).recipe.flip is True
    assert MOST_CLASSES < 1000


@pytest.mark.long
def test_cifar10_keeps_its_flips(datasets: Path) -> None:
    resolved = settled_on(str(datasets / "cifar10"))
    assert (resolved.recipe.flip, resolved.recipe.tta) == (True, "flip-shift")

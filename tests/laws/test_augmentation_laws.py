"""What each augmentation may do to an image, and nothing else."""

from __future__ import annotations

import pytest
import torch

from convscope.data.augment import AlternatingFlip, Augmentation, augment, generator_for
from convscope.data.augmentation.batch_rng import BatchPart
from convscope.errors import DataError

COUNT, CHANNELS, HEIGHT, WIDTH = 64, 3, 10, 12


def numbered() -> torch.Tensor:
    """Every value of the batch is another number."""
    return 1 + torch.arange(COUNT * CHANNELS * HEIGHT * WIDTH, dtype=torch.float32).reshape(
        COUNT, CHANNELS, HEIGHT, WIDTH
    )


def run(seed: int = 0, batch: torch.Tensor | None = None, **settings: object) -> torch.Tensor:
    batch = numbered() if batch is None else batch
    return augment(batch, Augmentation(**settings), generator=generator_for(seed, 0, 0))


EACH = [{"flip": True}, {"random_crop_padding": 2}, {"random_crop_padding": 2, "padding_mode": "zero"}, {"cutout": 4}]
EACH += [
    {"random_resized_crop": True},
    {"flip": True, "random_crop_padding": 3, "cutout": 4, "random_resized_crop": True},
]


def test_nothing_on_changes_nothing() -> None:
    assert torch.equal(run(), numbered())


@pytest.mark.parametrize("settings", EACH)
def test_the_seed_decides_everything_and_the_input_is_left_alone(settings: dict[str, object]) -> None:
    batch = numbered()
    first, again, other = run(0, batch, **settings), run(0, batch, **settings), run(1, batch, **settings)
    assert torch.equal(batch, numbered())
    assert first.shape == batch.shape and first.dtype == batch.dtype
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("settings", EACH)
def test_parts_of_a_batch_are_augmented_as_the_whole_is(settings: dict[str, object]) -> None:
    batch, augmentation = numbered(), Augmentation(**settings)
    parts = [
        augment(
            batch[start:end], augmentation, generator=generator_for(0, 0, 0), part=BatchPart(start=start, total=COUNT)
        )
        for start, end in ((0, 20), (20, 21), (21, COUNT))
    ]
    assert torch.equal(torch.cat(parts), run(batch=batch, **settings))


@pytest.mark.parametrize("rows", [(-1, 4), (2, None), (60, 62), (63, 62)])
def test_a_part_outside_its_batch_is_refused(rows: tuple[int, int | None]) -> None:
    with pytest.raises(DataError, match="batch"):
        augment(
            numbered()[:5],
            Augmentation(flip=True),
            generator=generator_for(0, 0, 0),
            part=BatchPart(start=rows[0], total=rows[1]),
        )


def test_each_image_is_flipped_or_not_and_half_are() -> None:
    many = numbered().repeat(32, 1, 1, 1)
    flipped = run(batch=many, flip=True)
    as_is = (flipped == many).flatten(1).all(1)
    mirrored = (flipped == many.flip(3)).flatten(1).all(1)
    assert bool((as_is ^ mirrored).all())
    # Six standard deviations of a fair coin.
    assert abs(int(mirrored.sum()) - len(many) / 2) < 3 * len(many) ** 0.5


def test_in_turn_each_image_is_mirrored_in_every_other_epoch_and_half_are_in_each() -> None:
    augmentation = Augmentation(flip=True, flip_mode="alternating")
    alternating = AlternatingFlip(1000, seed=3)
    rows = torch.tensor([5, 900, *range(62)])
    batch = numbered()
    shown = []
    for epoch in range(4):
        mirrored = alternating.mirrored(rows, epoch)
        seen = augment(batch, augmentation, generator=generator_for(0, epoch, 0), mirrored=mirrored)
        assert torch.equal(seen, torch.where(mirrored[:, None, None, None], batch.flip(3), batch))
        shown.append(mirrored)
    assert torch.equal(shown[0], shown[2]) and torch.equal(shown[0], ~shown[1]) and torch.equal(shown[1], shown[3])
    again = AlternatingFlip(1000, seed=3)
    assert torch.equal(again.mirrored(torch.tensor([900]), 0), shown[0][1:2])
    everyone = alternating.mirrored(torch.arange(1000), 0)
    assert abs(int(everyone.sum()) - 500) < 3 * 1000**0.5


@pytest.mark.parametrize("mode", ["reflect", "zero"])
def test_a_padded_crop_is_a_window_of_the_padded_image(mode: str) -> None:
    padding = 2
    batch = numbered()
    cut = run(batch=batch, random_crop_padding=padding, padding_mode=mode)
    settings = {"mode": "reflect"} if mode == "reflect" else {}
    padded = torch.nn.functional.pad(batch, (padding,) * 4, **settings)
    places = set()
    for image in range(COUNT):
        found = [
            (up, left)
            for up in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            if torch.equal(padded[image, :, up : up + HEIGHT, left : left + WIDTH], cut[image])
        ]
        assert len(found) == 1
        places.update(found)
    # Of the 25 places, 64 images miss few.
    assert len(places) > 15 and {up for up, _ in places} == {left for _, left in places} == set(range(5))


def test_a_cutout_is_one_square_and_the_rest_stays() -> None:
    side = 4
    batch = numbered()
    cut = run(batch=batch, cutout=side)
    for image in range(COUNT):
        hole = (cut[image] == 0).all(0)
        assert bool(((cut[image] == batch[image]) | hole).all())
        rows, columns = torch.where(hole)
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        assert height <= side and width <= side and int(hole.sum()) == height * width
        # Smaller than the square only at an edge.
        if height < side:
            assert rows.min() == 0 or rows.max() == HEIGHT - 1
        if width < side:
            assert columns.min() == 0 or columns.max() == WIDTH - 1


def ramps() -> torch.Tensor:
    """Images whose two channels hold each pixel's own row and column, so a window shows its place and scale."""
    rows = (torch.arange(HEIGHT) + 0.5)[:, None].expand(HEIGHT, WIDTH)
    columns = (torch.arange(WIDTH) + 0.5)[None, :].expand(HEIGHT, WIDTH)
    return torch.stack([rows, columns]).expand(COUNT, 2, HEIGHT, WIDTH).contiguous()


def test_a_resized_crop_is_a_window_scaled_up() -> None:
    cut = run(batch=ramps(), random_resized_crop=True, crop_area=(0.3, 0.9))
    inner = cut[:, :, 3:-3, 3:-3]  # away from the borders, where the reflection bends the ramps
    tall = (inner[:, 0, 1:] - inner[:, 0, :-1]).flatten(1)
    wide = (inner[:, 1, :, 1:] - inner[:, 1, :, :-1]).flatten(1)
    for steps in (tall, wide):
        # Evenly spaced within the image: a window, never magnified from outside.
        assert float((steps.max(1).values - steps.min(1).values).max()) < 1e-4
        assert float(steps.max()) <= 1 + 1e-5 and float(steps.min()) > 0.4
    areas = tall[:, 0] * wide[:, 0]
    assert float(areas.min()) > 0.29 and float(areas.max()) < 0.91 and float(areas.std()) > 0.05
    assert float(cut.min()) >= 0.5 - 1e-4
    assert float(cut[:, 0].max()) <= HEIGHT - 0.5 + 1e-4 and float(cut[:, 1].max()) <= WIDTH - 0.5 + 1e-4


def test_a_crop_of_the_whole_area_has_one_side_of_the_image_whole() -> None:
    cut = run(batch=ramps(), random_resized_crop=True, crop_area=(1.0, 1.0))
    tall = cut[:, 0, HEIGHT // 2 + 1, 0] - cut[:, 0, HEIGHT // 2, 0]
    wide = cut[:, 1, 0, WIDTH // 2 + 1] - cut[:, 1, 0, WIDTH // 2]
    # A window of another shape than the image's would be larger along one side, and is cut off there.
    assert torch.allclose(torch.maximum(tall, wide), torch.ones(COUNT), atol=1e-4)
    for steps in (tall, wide):
        assert (3 / 4) ** 0.5 - 1e-4 <= float(steps.min()) < 0.95


def test_generators_of_different_batches_differ() -> None:
    draws = {
        float(torch.rand((), generator=generator_for(seed, epoch, step)))
        for seed in range(3)
        for epoch in range(3)
        for step in range(3)
    }
    assert len(draws) == 27


@pytest.mark.parametrize(
    "settings",
    [
        {"random_crop_padding": -1},
        {"cutout": -2},
        {"padding_mode": "mirror"},
        {"crop_area": (0.9, 0.1)},
        {"crop_area": (0, 1)},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Augmentation(**settings)


def test_a_reflection_wider_than_the_image_is_refused() -> None:
    with pytest.raises(DataError, match="too large for 10x12 images: use at most 9"):
        run(random_crop_padding=10)

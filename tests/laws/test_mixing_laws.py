"""What Mixup and CutMix may do to images and labels, and nothing else."""

from __future__ import annotations

import pytest
import torch

from convscope.data.augment import generator_for
from convscope.data.augmentation.batch_rng import BatchPart
from convscope.data.augmentation.mixing import Mixing, mix
from convscope.errors import DataError, RunError
from convscope.recipe.recipe import Recipe
from convscope.scoring.objective import Objective

COUNT, CLASSES, SIDE = 400, 7, 12
BOTH = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]


def images() -> torch.Tensor:
    """Every image is filled with its own number."""
    return torch.arange(1.0, COUNT + 1)[:, None, None, None].expand(COUNT, 3, SIDE, SIDE).contiguous()


def labels() -> torch.Tensor:
    return torch.arange(COUNT) % CLASSES


def mixed(seed: int = 0, **alphas: float) -> tuple[torch.Tensor, torch.Tensor]:
    return mix(images(), labels(), Mixing(**alphas, classes=CLASSES), generator=generator_for(seed, 0, 0))


def own_shares(targets: torch.Tensor) -> torch.Tensor:
    return targets[torch.arange(COUNT), labels()].double()


def test_nothing_on_changes_nothing() -> None:
    pixels, targets = mixed()
    assert torch.equal(pixels, images()) and torch.equal(targets, labels())


@pytest.mark.parametrize("alphas", BOTH)
def test_the_seed_decides_everything_and_targets_stay_shares(alphas: dict[str, float]) -> None:
    pixels, targets = mixed(**alphas)
    again, others = mixed(**alphas), mixed(1, **alphas)
    assert torch.equal(pixels, again[0]) and torch.equal(targets, again[1])
    assert not torch.equal(pixels, others[0])
    assert torch.allclose(targets.sum(1), torch.ones(COUNT)) and float(targets.min()) >= 0
    neighbour = labels().reshape(-1, 2).flip(1).reshape(-1)
    of_pair = torch.zeros(COUNT, CLASSES).scatter(1, torch.stack([labels(), neighbour], 1), 1.0)
    assert not bool((targets * (1 - of_pair)).any())


@pytest.mark.parametrize("alphas", BOTH)
def test_an_images_mean_is_its_labels_share(alphas: dict[str, float]) -> None:
    # Whatever the place, as much of a picture comes from its partner as of its label.
    pixels, targets = mixed(**alphas)
    share = own_shares(targets)
    number = images()[:, 0, 0, 0].double()
    partner = number.reshape(-1, 2).flip(1).reshape(-1)
    assert torch.allclose(pixels.double().mean((1, 2, 3)), share * number + (1 - share) * partner, atol=1e-3)


def test_mixup_blends_and_cutmix_pastes_one_box() -> None:
    blended, _ = mixed(mixup=1.0)
    assert torch.allclose(blended, blended[:, :, :1, :1].expand_as(blended))
    pasted, _ = mixed(cutmix=1.0)
    from_partner = pasted[:, 0] != images()[:, 0]
    boxes = 0
    for image, foreign in enumerate(from_partner):
        assert set(pasted[image].unique().tolist()) <= {image + 1.0, (image ^ 1) + 1.0}
        rows, columns = torch.where(foreign)
        if len(rows):
            boxes += 1
            assert int(foreign.sum()) == int(rows.max() - rows.min() + 1) * int(columns.max() - columns.min() + 1)
    assert boxes > COUNT * 0.8


def test_with_both_on_about_half_of_the_pairs_are_cut() -> None:
    pixels, _ = mixed(mixup=1.0, cutmix=1.0)
    whole = (pixels == pixels.round()).flatten(1).all(1)
    # Four standard deviations of a fair coin.
    assert abs(int(whole.sum()) / 2 - COUNT / 4) < 4 * (COUNT / 2) ** 0.5 / 2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_drawn_from_a_beta_distribution(alpha: float) -> None:
    from scipy.stats import beta, kstest

    count = 4000
    _, targets = mix(
        torch.zeros(count, 1, 1, 1),
        torch.arange(count) % 2,
        Mixing(mixup=alpha, classes=2),
        generator=generator_for(3, 0, 0),
    )
    assert kstest(targets[::2, 0].numpy(), beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("alphas", BOTH)
def test_parts_of_even_length_are_mixed_as_the_whole_is(alphas: dict[str, float]) -> None:
    mixing = Mixing(**alphas, classes=CLASSES)
    whole = mixed(**alphas)
    parts = [
        mix(
            images()[start:end],
            labels()[start:end],
            mixing,
            generator=generator_for(0, 0, 0),
            part=BatchPart(start=start, total=COUNT),
        )
        for start, end in ((0, 200), (200, 202), (202, COUNT))
    ]
    assert torch.equal(torch.cat([pixels for pixels, _ in parts]), whole[0])
    assert torch.equal(torch.cat([targets for _, targets in parts]), whole[1])


def test_an_image_without_its_partner_stays_as_it_is() -> None:
    for rows, part in ((slice(0, 5), BatchPart()), (slice(3, 8), BatchPart(start=3, total=COUNT))):
        pixels, targets = mix(
            images()[rows],
            labels()[rows],
            Mixing(mixup=1.0, classes=CLASSES),
            generator=generator_for(0, 0, 0),
            part=part,
        )
        alone = 4 if rows.start == 0 else 0
        assert torch.allclose(pixels[alone], images()[rows][alone])
        assert float(targets[alone, labels()[rows][alone]]) == pytest.approx(1)


def test_several_labels_are_mixed_too() -> None:
    several = torch.tensor([[1.0, 1, 0], [0, 1, 1]])
    _, targets = mix(torch.zeros(2, 1, 4, 4), several, Mixing(mixup=1.0, classes=3), generator=generator_for(0, 0, 0))
    share = float(targets[0, 0])
    assert targets[0].tolist() == pytest.approx([share, 1, 1 - share])
    assert float(Objective(loss="multi-label")(torch.zeros(2, 3), targets)) == pytest.approx(3 * 0.6931, abs=1e-3)


@pytest.mark.parametrize("settings", [{"mixup": -1}, {"cutmix": -0.1}, {"mixup": 1.0, "classes": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(DataError):
        Mixing(**settings)


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"cutmix": 1.0}])
def test_the_hinge_loss_has_no_soft_labels(settings: dict[str, float]) -> None:
    with pytest.raises(RunError, match="soft labels"):
        Recipe(loss="hinge", **settings)

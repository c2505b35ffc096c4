"""Laws of surgery: what is removed is gone, and what is left is as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from convscope.data.augment import Augmentation
from convscope.data.open import probe
from convscope.errors import RunError
from convscope.experiments.ablation.surgery import ChannelAffine
from convscope.experiments.ablation.trial import own_settings, trained_as
from convscope.experiments.ablation.variants import (
    VARIANTS,
    choose_variants,
    find_variant,
    without_augmentation,
)
from convscope.nets.build import build
from convscope.nets.layer_groups import scale_free_of
from convscope.nets.modules import replace_modules
from convscope.recipe.recipe import Recipe, settings
from convscope.training.loop.state import new_state
from convscope.training.optim.optimizers import default_learning_rate, set_rate
from convscope.training.resolve.resolve import resolve


def kinds(network: nn.Module) -> set[type[nn.Module]]:
    return {type(module) for module in network.modules()}


@pytest.mark.parametrize(
    ("name", "model", "gone", "come"),
    [
        ("relu", "alexnet-mini", nn.ReLU, nn.Sigmoid),
        ("relu-tanh", "alexnet-mini", nn.ReLU, nn.Tanh),
        ("dropout", "alexnet-mini", nn.Dropout, nn.Identity),
        ("batchnorm", "resnet18", nn.BatchNorm2d, ChannelAffine),
        ("max-pooling", "alexnet-mini", nn.MaxPool2d, nn.AvgPool2d),
    ],
)
def test_what_is_removed_is_gone_and_the_rest_keeps_its_weights(
    name: str, model: str, gone: type[nn.Module], come: type[nn.Module]
) -> None:
    torch.manual_seed(0)
    network = build(model, image_size=32, num_classes=3)
    before = {key: value.clone() for key, value in network.named_parameters()}
    assert gone in kinds(network)
    assert VARIANTS[name].surgery(network, None) > 0
    assert gone not in kinds(network) and come in kinds(network)
    after = dict(network.named_parameters())
    kept = [key for key in before if key in after and not key.split(".")[-2].startswith(("bn", "downsample"))]
    assert kept and all(torch.equal(before[key], after[key]) for key in kept if before[key].ndim > 1)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 3)


def test_a_network_without_batch_norm_starts_as_the_same_function() -> None:
    torch.manual_seed(0)
    network = build("resnet18", image_size=32, num_classes=3)
    batch = torch.randn(16, 3, 32, 32)
    draws = torch.get_rng_state()
    with torch.no_grad():
        wanted = network.train()(batch)
        replaced = VARIANTS["batchnorm"].surgery(network, batch)
        assert replaced == 20
        torch.testing.assert_close(network(batch), wanted, rtol=1e-3, atol=1e-4)
        # It no longer looks at the batch: an image's answer does not depend on its neighbours.
        torch.testing.assert_close(network(batch[:1]), wanted[:1], rtol=1e-3, atol=1e-4)
    assert torch.equal(torch.get_rng_state(), draws)


def test_filters_that_nothing_normalizes_are_trained_as_any_networks() -> None:
    found = probe("digits")
    resolved = resolve(Recipe(data="digits", model="cifarnet", image_size="9", batch_size=100), found)
    torch.manual_seed(0)
    network = build("cifarnet", image_size=9, in_channels=1, num_classes=10)
    filters = {name for name, weight in network.named_parameters() if weight.ndim == 4}
    assert scale_free_of(network) == filters and len(filters) == 7
    usual = default_learning_rate("muon", 100, network)
    bias_rate = network.param_groups()["stage2.norm1.bias"].rate * 100

    changed = {name: own_settings(resolved, variant, network) for name, variant in VARIANTS.items()}
    assert [name for name, line in changed.items() if line] == ["batchnorm"]
    assert "learn at 0.018 instead of 0.076, and have weight decay 0.0005" in changed["batchnorm"]
    assert scale_free_of(network) == filters

    VARIANTS["max-pooling"].surgery(network, None)
    assert scale_free_of(network) == filters
    VARIANTS["batchnorm"].surgery(network, torch.randn(8, 1, 9, 9))
    assert scale_free_of(network) == frozenset()
    changed = trained_as(resolved, usual, network)
    assert changed.learning_rate == pytest.approx(default_learning_rate("muon", 100))
    optimizer = new_state(network, changed).optimizer
    set_rate(optimizer, lambda until: changed.learning_rate)
    groups = {id(weight): group for group in optimizer.param_groups for weight in group["params"]}
    for name, weight in network.named_parameters():
        group = groups[id(weight)]
        if name in filters:
            assert (group["scale_free"], group["weight_decay"]) == (False, 5e-4)
            assert group["lr"] == changed.learning_rate
    assert groups[id(network.get_parameter("stage2.norm1.bias"))]["lr"] == pytest.approx(bias_rate)
    assert trained_as(resolved, default_learning_rate("muon", 100, network), network) is resolved


def test_an_average_leaves_padding_out_and_keeps_the_sizes() -> None:
    pool = nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True))
    image = torch.ones(1, 1, 8, 8)
    size = pool(image).shape
    assert VARIANTS["max-pooling"].surgery(pool, None) == 1
    assert pool(image).shape == size and torch.equal(pool(image), torch.ones(size))


def test_a_module_that_stands_twice_is_replaced_by_one() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(shared, shared, nn.Sequential(shared))
    network.eval()
    assert replace_modules(network, nn.ReLU, lambda relu: nn.Tanh()) == 3
    assert network[0] is network[1] is network[2][0] and not network[0].training


def test_every_augmentation_is_switched_off() -> None:
    on = Recipe(
        data="digits",
        flip=True,
        random_crop_padding=2,
        random_resized_crop=True,
        cutout=2,
        trivial_augment=True,
        pca_lighting=0.1,
        mixup=0.2,
    )
    off = without_augmentation(on)
    left = resolve(off, probe("digits")).augmentation
    assert replace(left, mixing=replace(left.mixing, classes=0)) == Augmentation()
    changed = {name for name, value in off.to_dict().items() if value != on.to_dict()[name]}
    assert changed <= {item.name for item in settings() if item.metadata["group"] == "augmentation"}


def test_what_does_not_apply_is_refused_with_what_does() -> None:
    def network() -> nn.Module:
        return build("alexnet-mini")

    recipe = resolve(Recipe(data="digits", model="alexnet-mini", label_smoothing=0), probe("digits")).recipe
    assert [v.name for v in choose_variants(None, recipe, network)] == [
        "relu",
        "dropout",
        "augmentation",
        "weight-decay",
    ]
    with pytest.raises(RunError, match=r"has no batch normalization; what applies here: relu, relu-tanh, dropout, "):
        choose_variants(["relu", "batchnorm"], recipe, network)
    with pytest.raises(RunError, match="has no label smoothing"):
        choose_variants(["label-smoothing"], recipe, network)
    with pytest.raises(RunError, match="Did you mean dropout"):
        find_variant("droput")
    with pytest.raises(RunError, match="always trained"):
        choose_variants(["baseline"], recipe, network)

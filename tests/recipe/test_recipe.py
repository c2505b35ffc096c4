"""A recipe survives its TOML form, and refuses what can't be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convscope.aliases import ALIASES
from convscope.cli.main import COMMANDS, cli
from convscope.data.layout import WORDS as LAYOUTS
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe, choices, names, parse_setting, placeholder, settings
from convscope.recipe.recipe_file import from_toml, load_recipe, to_toml
from convscope.recipe.setting import AUTO

_OR_AUTO = st.just(AUTO)
_STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "preset": st.sampled_from(choices("preset")),
    "data": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "model": st.sampled_from(["auto", "lenet5", 'a "quoted" name', "ünïcode\\path"]),
    "model_options": st.sampled_from(["", "variant=notes", "width=2,bias=true"]),
    "image_size": st.one_of(_OR_AUTO, st.integers(1, 8192).map(lambda side: f"{side}x{side}")),
    "channels": st.sampled_from([AUTO, 1, 3]),
    "layout": st.sampled_from([*LAYOUTS, "train=a,b,train=a b=c/d,test=ünïcode"]),
    "image_column": st.sampled_from(["", "image_id", "2"]),
    "image_folder": st.sampled_from(["", "train", "../ünïcode/images"]),
    "image_ending": st.sampled_from(["", ".jpg", "_left.png"]),
    "label_column": st.sampled_from(["", "breed", "cat,a big dog"]),
    "label_separator": st.sampled_from(["", "none", "bar", "semicolon", "comma", "blank"]),
    "group_column": st.just(""),
    "group_by": st.sampled_from(["", "{group}_*", "*/{group}/*"]),
    "resize_mode": st.sampled_from(choices("resize_mode")),
    "value_range": st.sampled_from([AUTO, "minmax", "percentile", "7000:9000", "-0.5:1e-05"]),
    "normalization": st.sampled_from([AUTO, "imagenet", "data"]),
    "mean": st.just(""),
    "std": st.just(""),
    "max_megapixels": st.integers(1, 178),
    "validation_fraction": st.floats(0, 0.49),
    "train_images": st.integers(0, 10**9),
    "test_fraction": st.floats(0, 0.49),
    "good_class": st.sampled_from(["good", 'a "quoted" name']),
    "miss_rate": st.floats(0, 0.99),
    "strict": st.booleans(),
    "verify": st.booleans(),
    "flip": st.one_of(_OR_AUTO, st.booleans()),
    "flip_mode": st.sampled_from(choices("flip_mode")),
    "ema_epochs": st.one_of(_OR_AUTO, st.floats(0, 10)),
    "progressive_resize_start": st.one_of(_OR_AUTO, st.floats(0.1, 1)),
    "progressive_resize_share": st.one_of(_OR_AUTO, st.floats(0, 0.99)),
    "tta": st.sampled_from(choices("tta")),
    "random_crop_padding": st.one_of(_OR_AUTO, st.integers(0, 100)),
    "random_resized_crop": st.one_of(_OR_AUTO, st.booleans()),
    "cutout": st.integers(0, 100),
    "trivial_augment": st.booleans(),
    "pca_lighting": st.one_of(_OR_AUTO, st.floats(0, 1)),
    "mixup": st.floats(0, 8),
    "cutmix": st.floats(0, 8),
    "stream": st.sampled_from(choices("stream")),
    "minutes": st.sampled_from([AUTO, 0.0]),
    "epochs": st.one_of(_OR_AUTO, st.integers(0, 10**6)),
    "steps": st.one_of(_OR_AUTO, st.integers(1, 10**9)),
    "batch_size": st.one_of(_OR_AUTO, st.integers(1, 10**6)),
    "optimizer": st.sampled_from(choices("optimizer")),
    "learning_rate": st.one_of(_OR_AUTO, st.floats(1e-9, 1e3)),
    "momentum": st.floats(0, 0.999),
    "weight_decay": st.floats(0, 1),
    "schedule": st.sampled_from(choices("schedule")),
    "warmup": st.floats(0, 0.99),
    "loss": st.sampled_from([AUTO, "softmax", "logistic", "multi-label"]),
    "label_smoothing": st.one_of(_OR_AUTO, st.floats(0, 0.99)),
    "calibrate": st.booleans(),
    "class_weights": st.sampled_from(["none", "balanced", "cat=2,a big dog=0.5"]),
    "gradient_clip": st.floats(0, 1e6),
    "weights": st.sampled_from(["", "weights.pth"]),
    "freeze": st.sampled_from(["", "backbone", "conv1,bn1"]),
    "head": st.sampled_from(choices("head")),
    "head_views": st.sampled_from(choices("head_views")),
    "head_l2": st.floats(0, 1e3),
    "neighbors": st.integers(0, 10**6),
    "layer_lr_decay": st.floats(0, 2, exclude_min=True),
    "patience": st.integers(0, 1000),
    "seed": st.integers(0, 2**31),
    "split_seed": st.one_of(_OR_AUTO, st.integers(0, 2**31)),
    "device": st.sampled_from(choices("device")),
    "autotune": st.sampled_from(["auto", "measure", "rules"]),
    "memory_format": st.sampled_from(choices("memory_format")),
    "compile": st.sampled_from(choices("compile")),
    "precision": st.sampled_from(choices("precision")),
    "sync_batchnorm": st.booleans(),
    "threads": st.one_of(_OR_AUTO, st.integers(1, 256)),
}


@given(st.fixed_dictionaries(_STRATEGIES))
def test_a_recipe_is_the_same_after_toml(values: dict[str, Any]) -> None:
    recipe = Recipe(**values)
    assert from_toml(to_toml(recipe)) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_every_setting_is_drawn_documented_and_written() -> None:
    assert set(_STRATEGIES) == set(names())
    text = to_toml(Recipe())
    for item in settings():
        assert f"\n{item.name} = " in "\n" + text
        assert item.metadata["help"] in text
        assert placeholder(item.name)


@pytest.mark.parametrize("name", names())
def test_a_default_can_be_typed(name: str) -> None:
    default = Recipe().to_dict()[name]
    typed = {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)
    assert parse_setting(name, typed) == default


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": -1}, "epochs is -1: it must be at least 0, or auto"),
        ({"steps": 0}, "steps is 0: it must be at least 1, or auto"),
        ({"minutes": -1}, "minutes is -1"),
        ({"minutes": 20_000}, "it must be at most 10,080, or auto"),
        ({"mixup": 1e308}, "mixup is 1e+308: it must be at most 1,000,000"),
        ({"head_l2": 1e30}, "head_l2 is 1e+30: it must be at most 1,000,000"),
        ({"weight_decay": 1e308}, "weight_decay is 1e+308: it must be at most 1e+30, or auto"),
        ({"layer_lr_decay": 1e6}, "layer_lr_decay is 1000000.0: it must be at most 100, or auto"),
        ({"minutes": 5, "epochs": 3}, "minutes 5 and epochs 3 contradict each other: leave one of them at auto"),
        ({"minutes": 0.5, "steps": 1200}, "minutes 0.5 and steps 1,200 contradict each other"),
        ({"epochs": 2.5}, "epochs is 2.5: it must be a whole number, or auto"),
        ({"epochs": True}, "epochs is True: it must be a whole number, or auto"),
        ({"epochs": "many"}, "epochs is 'many': it must be a whole number, or auto"),
        ({"batch_size": -1}, "batch_size is -1: it must be at least 1, or auto"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: nothing would be learned"),
        ({"learning_rate": float("nan")}, "learning_rate is nan: it must be a finite number, or auto"),
        ({"momentum": 1.0}, "momentum is 1.0: it must be below 1"),
        ({"optimizer": "adam"}, "optimizer is 'adam': it is one of auto, sgd, adamw, muon. Did you mean adamw?"),
        ({"progressive_resize_start": 1.5}, "progressive_resize_start is 1.5: it is a share of the side, at most 1"),
        ({"model": object()}, "model is an object: give the name of a network, such as 'lenet5'"),
        ({"channels": 2}, "channels is 2: images have 1"),
        ({"layout": "class"}, "train=training_set,test=test_set. Did you mean classes?"),
        ({"layout": "train=a,test=../b"}, "'../b' is not the name of a folder inside the source"),
        ({"image_size": "big"}, "image_size 'big' is not a size in pixels"),
        ({"image_size": 5_000 * "9"}, "9...' is not a size in pixels"),
        ({"image_size": "0"}, "has a side outside 1 to 8192"),
        ({"model_options": "variant"}, "'variant' is not NAME=VALUE"),
        ({"batchsize": 3}, "no setting 'batchsize'. Did you mean batch_size"),
        ({"average": 1.0}, "a recipe has no setting 'average'. Did you mean ema_epochs"),
        ({"test_views": "one"}, "a recipe has no setting 'test_views'. Did you mean tta"),
    ],
)
def test_what_can_not_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError) as caught:
        Recipe.from_dict(settings)
    assert message in str(caught.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    with pytest.raises(RunError, match=r"mine.toml can't be read"):
        load_recipe(path)
    path.write_text("epochs = = 3")
    with pytest.raises(RunError, match=r"mine.toml: not TOML"):
        load_recipe(path)
    path.write_text("epoch = 3")
    with pytest.raises(RunError, match=r"mine.toml: a recipe has no setting 'epoch'. Did you mean epochs"):
        load_recipe(path)


def test_names_that_are_suggested_are_settings_or_options() -> None:
    options = {name for item in COMMANDS for option in cli.get_command(None, item).params for name in option.opts}
    suggested = {ours for several in ALIASES.values() for ours in several}
    assert suggested <= {*names(), *(option.lstrip("-").replace("-", "_") for option in options)}
    assert ALIASES.keys() & set(names()) <= {"preset"}

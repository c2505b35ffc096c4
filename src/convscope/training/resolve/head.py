"""Rules of resolve: whether the head is solved on features, which parts the epochs after it train, and how many."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from convscope.errors import RunError
from convscope.nets.layer_groups import ALL_BUT_LAST, above, part_names
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO, SettingValue
from convscope.report.usage import Placeholder, setting_name, settings_text
from convscope.scoring.linear_fit import SMOOTH_LOSSES, require_solvable
from convscope.training.resolve.resolved_recipe import Choice

SOLVE, TRAIN = "solve", "train"
# Settings of which nothing is said where no step is taken.
OF_STEPS = ("batch_size", "learning_rate")
# Parts that are trained after the head was solved: it, and the one before.
TRAINED_PARTS = 2


def head(
    asked: str, *, made: nn.Module, freeze: str, trained: bool, open_length: bool, loss: str, problem: Callable[[], str]
) -> Choice[str]:
    """Return how the head begins: solved, or trained from fresh weights.

    Args:
        asked: the setting.
        made: the network.
        freeze: the parts that stay as they are, as the recipe names them.
        trained: whether the network has trained weights.
        open_length: whether epochs and steps are at auto.
        loss: by name.
        problem: is called last, and says why the head of the network can't be solved; empty where it can.

    Raises:
        RunError: a head that can't be solved was asked for.
    """
    if asked == SOLVE:
        if not trained:
            raise RunError(
                f"head solve: without trained weights the features are random: "
                f"give {settings_text(weights=Placeholder('FILE'))}"
            )
        require_solvable(loss)
        if reason := problem():
            raise RunError(reason)
        return Choice("head", SOLVE)
    if asked == TRAIN or not (freezes_backbone(freeze, made) and trained and open_length):
        return Choice("head", TRAIN)
    if reason := problem() if loss in SMOOTH_LOSSES else f"there is no solver of the {loss} loss":
        return Choice("head", TRAIN, reason.removeprefix("head solve: "))
    return Choice("head", SOLVE, f"all before it is frozen; {settings_text(epochs=Placeholder('N'))} trains it instead")


def freezes_backbone(what: str, made: nn.Module) -> bool:
    """Return whether everything but the last part of a network stays as it is.

    >>> from convscope.nets.build import build
    >>> [freezes_backbone(what, build("lenet5")) for what in ("", "c1", "c1,c3,c5,f6", "backbone")]
    [False, False, True, True]
    """
    return bool(what) and part_names(made, what) == part_names(made, ALL_BUT_LAST)


def freeze(asked: str, *, made: nn.Module, preset: str, epochs: int) -> Choice[str]:
    """Return the parts that stay as they are: as asked; with the preset probe all but the head, or but two parts.

    >>> from convscope.nets.build import build
    >>> network = build("resnet18", num_classes=2)
    >>> freeze("", made=network, preset="probe", epochs=0).value
    'backbone'
    >>> freeze("", made=network, preset="probe", epochs=3).value
    'conv1,bn1,layer1,layer2,layer3'
    """
    if asked or preset != "probe":
        return Choice("freeze", asked)
    if not epochs:
        return Choice("freeze", ALL_BUT_LAST)
    trained = above(made, TRAINED_PARTS)
    names = tuple(name for name in part_names(made, ALL_BUT_LAST) if name not in trained)
    return Choice("freeze", ",".join(names))


def epochs(asked: Recipe, usual: Choice[int], *, made: nn.Module, solved: bool, trained: bool) -> Choice[int]:
    """Return the number of epochs: none after a solved head, unless epochs, steps or minutes were asked for.

    Within minutes the usual epochs are the most that are planned; how many fit is seen once they are timed.

    Raises:
        RunError: no epochs, no solved head, and no trained weights either.
    """
    timed = asked.minutes not in (AUTO, 0) and not freezes_backbone(asked.freeze, made)
    if solved and asked.epochs == asked.steps == AUTO and not timed:
        return Choice("epochs", 0, "the head is solved")
    if asked.epochs == 0 and not (solved or trained):
        raise RunError(
            f"{setting_name('epochs')} is 0, and nothing would be learned: give at least 1, or "
            f"{settings_text(head=SOLVE)}"
        )
    return usual


def without_epochs(asked: Recipe) -> dict[str, SettingValue]:
    """Return the settings that matter to epochs alone, where there are none and they are at auto: each at its least.

    Exact features, no augmentation, nothing that is measured for speed; label smoothing gives way to the penalty.
    """
    least: dict[str, SettingValue] = {
        "flip": False,
        "random_crop_padding": 0,
        "random_resized_crop": False,
        "pca_lighting": 0.0,
        "progressive_resize_start": 1.0,
        "ema_epochs": 0.0,
        "label_smoothing": 0.0,
        "precision": "fp32",
    }
    return {name: value for name, value in least.items() if name in asked.left_open}


def without_effect(asked: Recipe) -> str:
    """Return what there is to say of settings that were asked for and matter to epochs alone; "" where there are none.

    >>> without_effect(Recipe(mixup=0.2, cutout=4))
    'mixup=0.2, cutout=4: no effect without epochs; epochs=N trains with it'
    >>> without_effect(Recipe(mixup=0.0, progressive_resize_start=1.0))
    ''
    """
    given = {name: value for name, off in _OF_EPOCHS.items() if (value := getattr(asked, name)) not in (AUTO, off)}
    if not given:
        return ""
    more = settings_text(epochs=Placeholder("N"))
    return f"{settings_text(**given)}: no effect without epochs; {more} trains with it"


# Settings that nothing reads without an epoch, with the value that does nothing. The flip is one of test views too.
_OF_EPOCHS: dict[str, SettingValue] = {
    "mixup": 0.0,
    "cutmix": 0.0,
    "cutout": 0,
    "trivial_augment": False,
    "random_crop_padding": 0,
    "random_resized_crop": False,
    "pca_lighting": 0.0,
    "progressive_resize_start": 1.0,
    "ema_epochs": 0.0,
}


def asks_to_solve(recipe: Recipe) -> bool:
    """Return whether a recipe asks for a solved head by its setting, or by its preset.

    >>> asks_to_solve(Recipe(preset="probe")), asks_to_solve(Recipe(weights="runs/a", freeze="backbone"))
    (True, False)
    """
    return recipe.head == SOLVE or (recipe.preset == "probe" and recipe.head == AUTO)


def trained_head(recipe: Recipe) -> Recipe:
    """Return the recipe with its head trained, where it leaves that open; for what compares trainings.

    Raises:
        RunError: the recipe asks for a solved head.
    """
    if asks_to_solve(recipe):
        raise RunError(
            f"a solved head is the start of one training: it has no place here; "
            f"take {settings_text(head=TRAIN)} and another recipe than probe"
        )
    return recipe.changed({"head": TRAIN})

"""`--input` of commands that compare models: a shape for all of them, or `MODEL=SHAPE` for one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from convscope.errors import CaptureError

FACTORY = ".py:"  # in file.py:factory


def inputs_of_each(models: Sequence[str], texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the inputs of each model: those that name it, or else those that name none.

    Args:
        models: as they are typed.
        texts: what `--input` was given; each an input, or a model, "=" and an input.

    Raises:
        CaptureError: the name before "=" is that of a factory which is not compared here.

    >>> inputs_of_each(["lenet5", "net.py:make"], ["net.py:make=3x32x32"])
    [(), ('3x32x32',)]
    >>> inputs_of_each(["resnet18", "vgg11", "lenet5"], ["3x64x64", "lenet5=1x32x32"])
    [('3x64x64',), ('3x64x64',), ('1x32x32',)]
    >>> inputs_of_each(["net.py:two"], ["img=3x24x24", "label=scalar:int64"])
    [('img=3x24x24', 'label=scalar:int64')]
    """
    by_length = sorted(set(models), key=len, reverse=True)
    own: dict[str, tuple[str, ...]] = {}
    common: tuple[str, ...] = ()
    for text in texts:
        model = next((model for model in by_length if text.startswith(f"{model}=")), None)
        if model is not None:
            own[model] = (*own.get(model, ()), text.removeprefix(f"{model}="))
            continue
        name, equals, _ = text.rpartition("=")
        # Inputs of an ONNX file have any name; one with this is meant as a model's.
        if equals and FACTORY in name:
            raise CaptureError(f"--input {text}: {name} is none of {', '.join(by_length)}")
        common = (*common, text)
    return [own.get(model, common) for model in models]


def shape_of_each(models: Sequence[str], texts: Sequence[str]) -> list[str | None]:
    """Return the shape of each model, of a command whose models take one input; None where it is the model's own.

    Args:
        models: as they are typed.
        texts: as of `inputs_of_each`.

    Raises:
        CaptureError: as `inputs_of_each`.
        click.UsageError: two shapes for one model.

    >>> shape_of_each(["lenet5", "net.py:make"], ["net.py:make=3x32x32"])
    [None, '3x32x32']
    """
    found = inputs_of_each(models, texts)
    for model, shapes in zip(models, found, strict=True):
        if len(shapes) > 1:
            raise click.UsageError(f"--input gives {model} {' and '.join(shapes)}: give one")
    return [shapes[0] if shapes else None for shapes in found]

"""Where a number stopped being finite: the images, the labels, the weights, a layer's output, or its gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode, preserved_rng
from convscope.scoring.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was not finite first, as a clause.

    `of_data` says that it came with the batch, and no rate would help; `of_class_weights`, that they made it so.
    """

    text: str
    of_data: bool = False
    of_class_weights: bool = False


def largest_gradient(network: nn.Module) -> Tensor:
    """The largest absolute value of all gradients, a scalar tensor: NaN or infinite where any of them is.

    It is one pass over the gradients, and no wait for the device.
    """
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients, norm_type=float("inf"))


def broken_weights(network: nn.Module) -> Diagnosis | None:
    """The first weights that are not finite, or None."""
    for name, parameter in network.named_parameters():
        if found := _not_finite(parameter):
            return Diagnosis(text=f"the weights {name} are {found}: an earlier step went too far")
    return None


def diagnose_validation(
    network: nn.Module, forward: ForwardPass, batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> Diagnosis:
    """Tell where the first number is that is not finite when validation batches are answered, in evaluation mode.

    The batches are run again, one after another, until one has such a number. `forward` runs the network in the
    arithmetic of the validation. The network is left as it was.
    """
    if weights := broken_weights(network):
        return weights
    with _listening(network) as heard, evaluation_mode(network), torch.inference_mode():
        for pixels, _, _ in batches:
            forward(pixels)
            if heard.first:
                return Diagnosis(text=f"the first number that is not finite is in {heard.first}")
    sizes = (float(parameter.detach().abs().max()) for parameter in network.parameters() if parameter.numel())
    largest = max(sizes, default=0.0)
    return Diagnosis(
        text=f"every layer's output is finite when the same images are answered again, the largest weight {largest:.3g}"
    )


def diagnose(
    network: nn.Module, forward: ForwardPass, objective: Objective, pixels: Tensor, targets: Tensor
) -> Diagnosis:
    """Run a batch (N, C, H, W) again, layer by layer, and tell where the first number is that is not finite.

    `forward` runs the network in training mode as the step did, but not compiled. The network is left as it was:
    weights, running statistics, gradients, hooks, and the generators that dropout draws from. Dropout draws anew, so
    an overflow may not come again; that is then said.
    """
    if found := _not_finite(pixels):
        return Diagnosis(text=f"the pixels of {_rows(pixels)} are {found}: the images are at fault", of_data=True)
    if targets.is_floating_point() and (found := _not_finite(targets)):
        return Diagnosis(text=f"the labels of {_rows(targets)} are {found}: the data is at fault", of_data=True)
    if weights := broken_weights(network):
        return weights
    with preserved_rng(pixels.device), torch.no_grad(), _listening(network) as heard:
        judged = objective.of_answer(network, forward(pixels), targets)
    if heard.first:
        return Diagnosis(text=f"the first number that is not finite is in {heard.first}")
    if not _not_finite(judged.scores) and (found := _not_finite(judged.main)):
        weighted = not _not_finite(objective.plain(judged.scores, targets))
        largest = f"the scores are finite, the largest {float(judged.scores.abs().max()):.3g}"
        text = (
            f"{largest}, and their loss times the class weights is {found}"
            if weighted
            else f"{largest}, and their loss is {found}"
        )
        return Diagnosis(text=text, of_class_weights=weighted)
    wrong = {name for name, parameter in network.named_parameters() if _not_finite(parameter.grad)}
    # A gradient goes from the last layer to the first, and takes a NaN along: the last one is where it began.
    for layer in reversed(heard.order):
        for name, parameter in network.get_submodule(layer).named_parameters(prefix=layer, recurse=False):
            if name in wrong:
                return Diagnosis(
                    text=f"every output is finite, and the gradients of {_called(network, layer)} are "
                    f"{_not_finite(parameter.grad)}"
                )
    if _not_finite(judged.scores):
        return Diagnosis(text="the network's scores are not finite")
    return Diagnosis(text="every layer's output is finite when the same images are run again")


@dataclass
class _Heard:
    """The layers in the order in which they ended, and where the first number was that is not finite."""

    order: list[str] = field(default_factory=list)
    first: str = ""


@contextmanager
def _listening(network: nn.Module) -> Iterator[_Heard]:
    """Look at what goes into and comes out of every layer; hooks and running statistics are put back after."""
    heard = _Heard()
    names = {module: name for name, module in network.named_modules()}

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        if not heard.first and (found := _any_not_finite(given)):
            heard.first = f"what goes into {_called(network, names[module])}: {found}"

    def after(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        heard.order.append(names[module])
        if not heard.first and (found := _any_not_finite(answer)):
            heard.first = f"the output of {_called(network, names[module])}: {found}"

    statistics = [(buffer, buffer.clone()) for buffer in network.buffers()]
    handles = [module.register_forward_pre_hook(before) for module in names]
    handles += [module.register_forward_hook(after) for module in names]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for buffer, before_it in statistics:
                buffer.copy_(before_it)


def _called(network: nn.Module, name: str) -> str:
    """A layer by its name and kind."""
    kind = type(network.get_submodule(name)).__name__
    return f"{name} ({kind})" if name else f"the network ({kind})"


def _any_not_finite(values: Any) -> str:
    """Say "nan" or "inf" where a tensor among the values is, else nothing."""
    if isinstance(values, Tensor):
        return _not_finite(values)
    if isinstance(values, (tuple, list)):
        return next(filter(None, map(_any_not_finite, values)), "")
    return ""


def _not_finite(values: Tensor | None) -> str:
    if values is None or not values.is_floating_point() or bool(values.isfinite().all()):
        return ""
    return "nan" if bool(values.isnan().any()) else "inf"


def _rows(batch: Tensor) -> str:
    """How many of a batch's images have such numbers."""
    wrong = int((~batch.isfinite().flatten(1).all(1)).sum())
    return f"{wrong} of the batch's {len(batch)} images"

"""A loss, a gradient or an output that is not finite: where it began, and what to do about it.

Also a loss that stayed finite and yet grew far: training that diverged without stopping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convscope.api.generators import exclusive
from convscope.errors import RunError
from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode
from convscope.report.units import loss as loss_text
from convscope.report.units import plural
from convscope.report.usage import call_text
from convscope.runs.events import EpochRow
from convscope.scoring.objective import Objective
from convscope.training.loop.state import Settings
from convscope.training.optim.optimizers import against_divergence

# A training has diverged if its last epoch's loss is this many times its first one's, or the chance-level loss.
RISEN = 10.0
# Class weights that differ by more than this factor may be the cause of a divergence.
EXTREME_RATIO = 1e4


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was not finite first, as a clause.

    `of_data` says that it was in the batch, so that no learning rate helps; `of_class_weights`, that they caused it.
    """

    text: str
    of_data: bool = False
    of_class_weights: bool = False


class DivergedError(RunError):
    """The loss or a gradient is not finite.

    `of_data` says that the batch's images or labels are not, `of_class_weights` that the class weights are the cause.
    """

    def __init__(self, message: str, *, of_data: bool = False, of_class_weights: bool = False) -> None:
        super().__init__(message)
        self.of_data = of_data
        self.of_class_weights = of_class_weights

    @classmethod
    def at(cls, what: str, value: float, *, epoch: int, step: int, rate: float, found: Diagnosis) -> DivergedError:
        """Return the error for a `value` at a step after `epoch` complete epochs."""
        where = f"{what} became {value} at epoch {epoch + 1}, step {step}, with learning rate {rate:.3g}"
        return cls(f"{where}: {found.text}", of_data=found.of_data, of_class_weights=found.of_class_weights)


def largest_gradient(network: nn.Module) -> Tensor:
    """Return the largest absolute value of all gradients, a scalar tensor: NaN or infinite where any of them is.

    It takes one pass over the gradients and does not wait for the device.
    """
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients, norm_type=float("inf"))


def largest_weight(network: nn.Module) -> Tensor:
    """Return the largest absolute value of all weights, a scalar tensor: NaN or infinite where any of them is."""
    weights = [parameter.detach() for parameter in network.parameters() if parameter.numel()]
    return torch.nn.utils.get_total_norm(weights, norm_type=float("inf"))


def broken_weights(network: nn.Module) -> Diagnosis | None:
    """Return the first weights that are not finite, or None."""
    for name, parameter in network.named_parameters():
        if found := _not_finite(parameter):
            return Diagnosis(text=f"the weights {name} are {found}: an earlier step went too far")
    return None


def diagnose_validation(
    network: nn.Module, forward: ForwardPass, batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> Diagnosis:
    """Return where the first number is that is not finite when validation batches are run again, in evaluation mode.

    `forward` runs the network in the arithmetic of the validation. The network is left as it was.
    """
    if weights := broken_weights(network):
        return weights
    with _recorded_outputs(network) as record, evaluation_mode(network), torch.inference_mode():
        for pixels, _, _ in batches:
            forward(pixels)
            if record.first:
                return Diagnosis(text=f"the first number that is not finite is in {record.first}")
    sizes = (float(parameter.detach().abs().max()) for parameter in network.parameters() if parameter.numel())
    largest = max(sizes, default=0.0)
    return Diagnosis(
        text=f"every layer's output is finite when the same images are run again, the largest weight {largest:.3g}"
    )


def diagnose(
    network: nn.Module, forward: ForwardPass, objective: Objective, pixels: Tensor, targets: Tensor
) -> Diagnosis:
    """Run a batch (N, C, H, W) again, layer by layer, and return where the first number is that is not finite.

    `forward` runs the network in training mode as the step did, but not compiled. The network is left as it was:
    weights, running statistics, gradients, hooks, and the generators that dropout draws from. Dropout draws anew, so
    an overflow may not come again; the text then says that all was finite.
    """
    if found := _not_finite(pixels):
        return Diagnosis(text=f"the pixels of {_rows(pixels)} are {found}: the images are at fault", of_data=True)
    if targets.is_floating_point() and (found := _not_finite(targets)):
        return Diagnosis(text=f"the labels of {_rows(targets)} are {found}: the data is at fault", of_data=True)
    if weights := broken_weights(network):
        return weights
    with exclusive(pixels.device), torch.no_grad(), _recorded_outputs(network) as record:
        output = objective.of_answer(network, forward(pixels), targets)
    if record.first:
        return Diagnosis(text=f"the first number that is not finite is in {record.first}")
    if not _not_finite(output.scores) and (found := _not_finite(output.main)):
        weighted = not _not_finite(objective.plain(output.scores, targets))
        largest = f"the scores are finite, the largest {float(output.scores.abs().max()):.3g}"
        text = (
            f"{largest}, and their loss times the class weights is {found}"
            if weighted
            else f"{largest}, and their loss is {found}"
        )
        return Diagnosis(text=text, of_class_weights=weighted)
    wrong = {name for name, parameter in network.named_parameters() if _not_finite(parameter.grad)}
    # A gradient goes from the last layer to the first, and takes a NaN along: the last one is where it began.
    for layer in reversed(record.order):
        for name, parameter in network.get_submodule(layer).named_parameters(prefix=layer, recurse=False):
            if name in wrong:
                return Diagnosis(
                    text=f"every output is finite, and the gradients of {_layer_text(network, layer)} are "
                    f"{_not_finite(parameter.grad)}"
                )
    if _not_finite(output.scores):
        return Diagnosis(text="the network's scores are not finite")
    return Diagnosis(text="every layer's output is finite when the same images are run again")


def advice_for(settings: Settings, network: nn.Module, *, of_class_weights: bool = False) -> str:
    """Return what to do about a training that diverged; `of_class_weights` says that they are known to be the cause."""
    weights = settings.objective.class_weights
    ratio = 1.0 if weights is None else float(weights.max() / weights.min())
    lower = _lower_rate(settings, network)
    if ratio <= EXTREME_RATIO and not of_class_weights:
        return lower
    closer = f"bring the class weights closer together (they differ by a factor of {ratio:.3g})"
    return closer if of_class_weights else f"{closer}, or {lower}"


def remark_on(rows: Sequence[EpochRow], settings: Settings, network: nn.Module, *, classes: int) -> str | None:
    """Return a line on a training that ended although its loss had grown far; None where it had not."""
    chance = settings.objective.plain_of_nothing(classes)
    if not rows or not has_risen(rows[0].train_loss, rows[-1].train_loss, chance=chance):
        return None
    before = f" in the last epoch, was {loss_text(rows[0].train_loss)} in the first," if len(rows) > 1 else ""
    return (
        f"the training diverged: the training loss is {loss_text(rows[-1].train_loss)}{before} and is "
        f"{loss_text(chance)} at chance level: train anew, and {advice_for(settings, network)}, "
        f"or let {call_text('lr_find')} find one"
    )


def has_risen(first: float, last: float, *, chance: float) -> bool:
    """Return whether a loss ended far above where it began and above `chance`, the chance-level loss.

    >>> has_risen(9086.0, 1.7e15, chance=1.1), has_risen(2.0, 0.3, chance=2.3), has_risen(0.001, 0.02, chance=2.3)
    (True, False, False)
    """
    return last > chance and last > RISEN * min(first, chance)


def _lower_rate(settings: Settings, network: nn.Module) -> str:
    return against_divergence(
        settings.resolved.learning_rate,
        optimizer=settings.resolved.optimizer,
        batch_size=settings.resolved.batch_size,
        network=network,
        clipped=bool(settings.resolved.gradient_clip),
    )


@dataclass
class _OutputRecord:
    """The layers in the order in which they finished, and where the first number was that is not finite."""

    order: list[str] = field(default_factory=list)
    first: str = ""


@contextmanager
def _recorded_outputs(network: nn.Module) -> Iterator[_OutputRecord]:
    """Check the inputs and outputs of every layer; remove the hooks and restore the running statistics after."""
    record = _OutputRecord()
    names = {module: name for name, module in network.named_modules()}

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not record.first and (found := _any_not_finite(inputs)):
            record.first = f"the input of {_layer_text(network, names[module])}: {found}"

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        record.order.append(names[module])
        if not record.first and (found := _any_not_finite(output)):
            record.first = f"the output of {_layer_text(network, names[module])}: {found}"

    statistics = [(buffer, buffer.clone()) for buffer in network.buffers()]
    handles = [module.register_forward_pre_hook(before) for module in names]
    handles += [module.register_forward_hook(after) for module in names]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for buffer, saved in statistics:
                buffer.copy_(saved)


def _layer_text(network: nn.Module, name: str) -> str:
    """Return a layer's name and kind."""
    kind = type(network.get_submodule(name)).__name__
    return f"{name} ({kind})" if name else f"the network ({kind})"


def _any_not_finite(values: Any) -> str:
    """Return "nan" or "inf" where a tensor among the values is, else ""."""
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
    """Return how many of a batch's images are not finite, in words."""
    wrong = int((~batch.isfinite().flatten(1).all(1)).sum())
    return f"{wrong} of the batch's {plural(len(batch), 'image')}"

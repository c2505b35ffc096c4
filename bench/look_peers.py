"""Maps of Captum and pytorch-grad-cam beside ours, on networks that hooks on modules get wrong: which is right.

    python bench/look_peers.py [--pictures 4]

The peers are found where `pip install --no-deps --target FOLDER captum grad-cam` put them, with FOLDER on PYTHONPATH.
The networks are those of `tests/look_networks.py`, small, in float64, with random weights; the pictures are those of
the known-answer task. The truth of each is torch's own autograd on a twin that is written out by hand, with nothing in
place, no function that a hook misses and no module used twice. A cell of each library is the largest
difference from the truth over all pictures, as a share of the largest value of both; whether it said anything; and
whether the model was left as it was found: its modules, hooks and `.grad`. Without a peer its column says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from kit.results import RESULTS, add_rows, read_rows, where_and_when
from kit.torchvision_networks import import_torchvision

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from convscope.data.known_answer import known_answers
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.attribution.options import AttributionOptions
from convscope.report.table import Column, Table, print_table
from convscope.report.units import shape
from look_networks import NETWORKS, Guided, Guided6, LookNetwork
from look_state import state_of

RIGHT = 1e-5  # pytorch-grad-cam computes in float32
TARGET = 1
STEPS = 16
Map = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A layer to explain: its name for ours, and the module that a user of the peers would name.

    Args:
        name: of the layer or operation.
        module: path of the module; None where no module gives this map.
        value: which of the twin's maps it is: "last", or "first" for the first rectifier's.
    """

    name: str
    module: str | None
    value: str = "last"


LAYERS: dict[str, Sequence[Layer]] = {
    "in-place": (Layer("conv2", "conv2", "convolution"), Layer("relu2", "relu2")),
    "functional": (Layer("relu#2", None),),
    "reused": (Layer("relu1", "relu1", "first"), Layer("relu1#2", "relu1")),
    "ReLU6": (Layer("relu2", "relu2"),),
    "DenseNet": (Layer("norm5", "norm5", "convolution"), Layer("relu", None)),
    "GoogLeNet": (Layer("concat", None),),
}


def numbers(tensor: torch.Tensor) -> Map:
    """Return a tensor's numbers."""
    return np.asarray(tensor.detach().double())


def twin_maps(of: LookNetwork, value: str, *, guided: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return a map of the twin, and the gradients of the class's score with respect to it and to the image."""
    image = of.image.clone().requires_grad_()
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    plain = of.act
    if guided:
        plain = Guided6.apply if of.act is torch.nn.functional.relu6 else Guided.apply

    def act(inputs: torch.Tensor) -> torch.Tensor:
        kept.append((inputs, plain(inputs)))
        return kept[-1][1]

    last, scores = of.run(image, act)
    found = {"last": last, "first": kept[0][1], "convolution": kept[-1][0]}[value]
    by_map, by_image = torch.autograd.grad(scores[0, TARGET], [found, image])
    return found, by_map, by_image


def true_cam(of: LookNetwork, layer: Layer) -> Map:
    """Return Grad-CAM of the twin, by equations 1 and 2 of the paper."""
    found, gradient, _ = map(numbers, twin_maps(of, layer.value))
    return (gradient.mean((2, 3), keepdims=True) * found).sum(1)[0].clip(min=0)


def true_integrated(of: LookNetwork) -> Map:
    """Return integrated gradients of the twin from the mean, by the midpoint rule."""
    baseline = of.image.mean((2, 3), keepdim=True).expand_as(of.image)
    total = np.zeros(of.image.shape)
    for step in range(STEPS):
        image = baseline + (step + 0.5) / STEPS * (of.image - baseline)
        total += numbers(twin_maps(replace(of, image=image), "last")[2])
    return (numbers(of.image - baseline) * total / STEPS)[0]


class Captum:
    """Captum, as its documentation uses it."""

    module, package = "captum", "captum"

    def cam(self, of: LookNetwork, layer: Layer) -> Map:
        """Return Grad-CAM, with the ReLU that is off unless asked for."""
        from captum.attr import LayerGradCam

        found = LayerGradCam(of.network, named(of.network, layer)).attribute(
            of.image, target=TARGET, relu_attributions=True
        )
        return numbers(found)[0, 0]

    def activation(self, of: LookNetwork, layer: Layer) -> Map:
        """Return the layer's values."""
        from captum.attr import LayerActivation

        return numbers(LayerActivation(of.network, named(of.network, layer)).attribute(of.image))[0]

    def guided(self, of: LookNetwork) -> Map:
        """Return guided backpropagation."""
        from captum.attr import GuidedBackprop

        return numbers(GuidedBackprop(of.network).attribute(of.image.clone().requires_grad_(), target=TARGET))[0]

    def integrated(self, of: LookNetwork) -> Map:
        """Return integrated gradients by the midpoint rule."""
        from captum.attr import IntegratedGradients

        baseline = of.image.mean((2, 3), keepdim=True).expand_as(of.image)
        found = IntegratedGradients(of.network).attribute(
            of.image.clone(), baseline, target=TARGET, n_steps=STEPS, method="riemann_middle"
        )
        return numbers(found)[0]


class PytorchGradCam:
    """pytorch-grad-cam, as its documentation uses it."""

    module, package = "pytorch_grad_cam", "grad-cam"

    def cam(self, of: LookNetwork, layer: Layer) -> Map:
        """Return Grad-CAM, before it is stretched to 0..1 and to the image."""
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        targets = [ClassifierOutputTarget(TARGET)]
        with GradCAM(model=of.network, target_layers=[named(of.network, layer)]) as cam:
            cam(input_tensor=of.image.clone(), targets=targets)
            held = cam.activations_and_grads
            values, gradients = held.activations[0].numpy(), held.gradients[0].numpy()
            found = cam.get_cam_image(of.image, named(of.network, layer), targets, values, gradients)
        return np.asarray(found[0], np.float64).clip(min=0)

    def guided(self, of: LookNetwork) -> Map:
        """Return guided backpropagation."""
        from pytorch_grad_cam import GuidedBackpropReLUModel

        found = GuidedBackpropReLUModel(model=of.network, device="cpu")(of.image.clone(), target_category=TARGET)
        return np.asarray(found, np.float64).transpose(2, 0, 1)


class Ours:
    """convscope."""

    module, package = "convscope", "convscope"

    def cam(self, of: LookNetwork, layer: Layer) -> Map:
        """Return Grad-CAM."""
        return attribute(of.subject, "grad-cam", target=TARGET, options=AttributionOptions(layer=layer.name)).cells

    def activation(self, of: LookNetwork, layer: Layer) -> Map:
        """Return the layer's values."""
        return numbers(of.subject.replay.value(layer.name))[0]

    def guided(self, of: LookNetwork) -> Map:
        """Return guided backpropagation."""
        return _values(attribute(of.subject, "guided-backprop", target=TARGET).values)

    def integrated(self, of: LookNetwork) -> Map:
        """Return integrated gradients."""
        options = AttributionOptions(steps=STEPS, baseline="mean")
        return _values(attribute(of.subject, "integrated-gradients", target=TARGET, options=options).values)


LIBRARIES: dict[str, Any] = {"Captum": Captum(), "pytorch-grad-cam": PytorchGradCam(), "convscope": Ours()}


def named(network: nn.Module, layer: Layer) -> nn.Module:
    """Return the module of a layer.

    Raises:
        LookupError: no module gives its map.
    """
    if layer.module is None:
        raise LookupError
    return network.get_submodule(layer.module)


def _values(found: Map | None) -> Map:
    assert found is not None
    return found


def verdict(
    name: str, pictures: Sequence[torch.Tensor], ask: Callable[[LookNetwork], Map], truth: Callable[[LookNetwork], Map]
) -> str:
    """Return how far a library is from the truth on pictures, in words."""
    worst, said, changed, left = 0.0, False, False, False
    for picture in pictures:
        of = replace(NETWORKS[name](), image=picture)
        wanted = truth(of)
        before = state_of(of.network)
        of.network.eval()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = ask(of)
            except LookupError:
                return "no module has it"
            except ImportError as error:
                return f"needs {error.name}"
            except Exception as error:  # whatever a peer raises is its answer
                return f"raises {type(error).__name__}"
        said |= any("hooks" not in str(one.message) for one in caught)  # Captum says that it sets some, each time
        after = state_of(of.network)
        changed |= any(before[key] != after[key] for key in ("modules", "hooks", "numbers", "requires_grad"))
        left |= before["grads"] != after["grads"]
        if found.shape != wanted.shape:
            return f"wrong: a map of {shape(found.shape)}, not {shape(wanted.shape)}{'' if said else ', silently'}"
        scale = max(float(np.abs(wanted).max()), float(np.abs(found).max())) or 1.0
        worst = max(worst, float(np.abs(found - wanted).max()) / scale)
    text = f"right ({worst:.0e})" if worst <= RIGHT else f"wrong by {worst:.2f}{'' if said else ', silently'}"
    return text + "; modules replaced" * changed + "; .grad filled" * left


def rows(pictures: Sequence[torch.Tensor]) -> list[list[str]]:
    """Return what each library gives of each network and map."""
    found = []
    for name, layers in LAYERS.items():
        asked: list[tuple[str, str, Layer | None, Callable[[LookNetwork], Map]]] = []
        for layer in layers:
            asked.append((f"Grad-CAM at {layer.name}", "cam", layer, lambda of, at=layer: true_cam(of, at)))
        if name == "reused":
            for layer in layers:
                asked.append((
                    f"values of {layer.name}", "activation", layer,
                    lambda of, at=layer: numbers(twin_maps(of, at.value)[0])[0],
                ))  # fmt: skip
        asked.append(("guided backprop", "guided", None, lambda of: numbers(twin_maps(of, "last", guided=True)[2])[0]))
        asked.append(("integrated gradients", "integrated", None, true_integrated))
        for title, way, layer, truth in asked:
            cells = []
            for library in LIBRARIES.values():
                if importlib.util.find_spec(library.module) is None:
                    cells.append("not installed")
                elif (method := getattr(library, way, None)) is None:
                    cells.append("-")
                else:
                    ask = method if layer is None else lambda of, m=method, at=layer: m(of, at)
                    cells.append(verdict(name, pictures, ask, truth))
            found.append([name, title, *cells])
    return found


def main() -> None:
    """Compare, keep what was found, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of look-peers.csv")
    given = parser.parse_args()
    with suppress(ImportError):  # pytorch-grad-cam imports it
        import_torchvision()
    shown = known_answers(given.pictures, size=64, seed=0).images
    pictures = [
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].double() / 127.5 - 1 for image in shown
    ]
    versions = "; ".join(
        f"{library.package} {importlib.metadata.version(library.package)}"
        for name, library in LIBRARIES.items()
        if name != "convscope" and importlib.util.find_spec(library.module) is not None
    )
    kept = [
        {"network": name, "map": title, **dict(zip(LIBRARIES, found, strict=True)), "pictures": len(pictures),
         "peers": versions, **where_and_when()}
        for name, title, *found in rows(pictures)
    ]  # fmt: skip
    add_rows(given.results / "look-peers.csv", kept, key=("network", "map"))
    print_table(table(read_rows(given.results / "look-peers.csv")))


def table(rows: list[dict[str, str]]) -> Table:
    """Return what each library gives of each network and map."""
    headers = ("network", "map", *LIBRARIES)
    peers = "; ".join(dict.fromkeys(row["peers"] for row in rows))
    return Table.of([Column(header) for header in headers], [[row[name] for name in headers] for row in rows],
                    title=peers)  # fmt: skip


if __name__ == "__main__":
    main()

"""Where a network's strided layers are, and which modules take their place so that a blur comes before subsampling."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

from torch import nn

from convscope.graph.records import Graph, Node
from convscope.graph.vocabulary import ACTIVATIONS
from convscope.nets.blur_pool import BlurPool2d, blurred_convolution, blurred_max_pool

_HALVING = (2, 2)
_ALONE = "it is the whole network: put it in an nn.Sequential"


class BlurPlan:
    """What becomes of each strided layer of a network, carried out on a copy of it.

    Args:
        graph: the network.
        network: a copy of the module, whose layers are replaced.
        taps: of the blurs.
    """

    def __init__(self, graph: Graph, network: nn.Module, taps: int) -> None:
        self.graph, self.network, self.taps = graph, network, taps
        self._ran = Counter(node.module for node in graph.nodes if node.op in ("convolution", *ACTIVATIONS))

    def carry_out(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Replace what can be; return what became of each layer, and what was kept and why."""
        done: dict[str, str] = {}
        kept: dict[str, str] = {}
        for node in self._strided():
            if node.module in done or node.module in kept:
                continue
            how, why = self._pool(node) if node.op == "max_pool" else self._convolution(node)
            (done if how else kept)[node.module or node.op] = how or why
        return list(done.items()), list(kept.items())

    def _strided(self) -> Iterator[Node]:
        for node in self.graph.nodes:
            if node.op in ("max_pool", "convolution") and any(window.stride > 1 for window in node.windows):
                yield node

    def _pool(self, node: Node) -> tuple[str, str]:
        module = self.network.get_submodule(node.module)
        if not isinstance(module, nn.MaxPool2d):
            return "", "its forward pass calls a function, so there is no module to replace"
        if module is self.network:
            return "", _ALONE
        if (why := _unlike(node)) or module.return_indices or module.ceil_mode:
            return "", why or ("its indices are read" if module.return_indices else "its size is rounded up")
        _put(self.network, node.module, blurred_max_pool(module, taps=self.taps))
        return "maximum at every pixel, blur, subsampling", ""

    def _convolution(self, node: Node) -> tuple[str, str]:
        module = self.network.get_submodule(node.module)
        if not isinstance(module, nn.Conv2d):
            return "", "its forward pass calls a function, so there is no module to replace"
        if module is self.network:
            return "", _ALONE
        if why := _unlike(node):
            return "", why
        if self._ran[node.module] > 1:
            return "", f"it runs {self._ran[node.module]} times"
        activation = self._activation_after(node)
        blur = BlurPool2d(taps=self.taps).to(module.weight.device)
        blurred_already = getattr(module, "before", None) is not None
        pointwise = all(window.kernel_size == 1 and window.padding == (0, 0) for window in node.windows)
        if activation is None and pointwise and not blurred_already:
            self._stride_1(node.module, before=blur)
            return "blur and subsampling, then the convolution", ""
        if activation is None:
            self._stride_1(node.module, after=blur)
            return "convolution at every pixel, blur, subsampling", ""
        if not self._blurred_behind(activation, blur):
            return "", "its activation has no module of its own, nor have the layers that read it"
        self._stride_1(node.module)
        return f"convolution at every pixel, {activation.op}, blur, subsampling", ""

    def _activation_after(self, node: Node) -> Node | None:
        """Return the activation that alone reads a convolution's output, with at most normalizations between them."""
        value = node.outputs[0]
        while len(readers := self.graph.consumers.get(value, ())) == 1 and value not in self.graph.outputs:
            reader = self.graph.nodes[readers[0]]
            if reader.op in ACTIVATIONS:
                return reader
            if reader.op != "batch_norm":
                return None
            value = reader.outputs[0]
        return None

    def _blurred_behind(self, activation: Node, blur: BlurPool2d) -> bool:
        """Put a blur behind an activation: in its module where that runs once, else before all that read it."""
        module = self.network.get_submodule(activation.module)
        alone = self._ran[activation.module] == 1 and not any(module.children()) and not any(module.parameters())
        if alone:
            _put(self.network, activation.module, nn.Sequential(module, blur).train(module.training))
            return True
        readers = [self.graph.nodes[reader] for reader in self.graph.consumers.get(activation.outputs[0], ())]
        found = [self.network.get_submodule(reader.module) for reader in readers if reader.op == "convolution"]
        if not readers or len(found) < len(readers) or activation.outputs[0] in self.graph.outputs:
            return False
        if any(not isinstance(one, nn.Conv2d) or getattr(one, "before", None) is not None for one in found):
            return False
        if any(self._ran[reader.module] > 1 for reader in readers):
            return False
        for reader in readers:
            convolution = self.network.get_submodule(reader.module)
            assert isinstance(convolution, nn.Conv2d)
            stride = (convolution.stride[0], convolution.stride[-1])
            after = getattr(convolution, "after", None)
            _put(self.network, reader.module,
                 blurred_convolution(convolution, stride=stride, before=copy.deepcopy(blur), after=after))  # fmt: skip
        return True

    def _stride_1(self, path: str, *, before: BlurPool2d | None = None, after: BlurPool2d | None = None) -> None:
        """Let a convolution run at every pixel, with the blurs that are before it already."""
        convolution = self.network.get_submodule(path)
        assert isinstance(convolution, nn.Conv2d)
        before = before or getattr(convolution, "before", None)
        _put(self.network, path, blurred_convolution(convolution, stride=(1, 1), before=before, after=after))


def _unlike(node: Node) -> str:
    """Return why a strided layer is not one of stride 2 along both axes of an image; empty where it is."""
    strides = tuple(window.stride for window in node.windows)
    return "" if strides == _HALVING else f"its stride is {'x'.join(map(str, strides))}, not 2x2"


def _put(network: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module in the place of another, and in all places where that one is registered."""
    old = network.get_submodule(path)
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):
            if child is old and parent is not module:
                setattr(parent, name, module)

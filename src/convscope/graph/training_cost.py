"""What a training step multiplies: the forward pass, and the gradients that are really needed."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.graph.records import Graph


@dataclass(frozen=True, slots=True)
class TrainingMacs:
    """Multiply-adds of one sample's training step.

    Args:
        forward: of the forward pass.
        inputs: of the gradients with respect to activations; the first layer needs none.
        weights: of the gradients with respect to weights; frozen ones need none.
        uncounted: operations whose multiply-adds are not known, and are not in here.
    """

    forward: int
    inputs: int
    weights: int
    uncounted: int

    @property
    def total(self) -> int:
        """All three. Without frozen layers: three times the forward pass, less the first layer's input gradient."""
        return self.forward + self.inputs + self.weights

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiplication and an addition for each MAC."""
        return 2 * self.total


def training_macs(graph: Graph) -> TrainingMacs:
    """Count a training step's multiply-adds per sample.

    The gradient with respect to either factor of a product takes as many as the product did. It is taken where
    something that is trained lies behind that factor.
    """
    trainable = {name: record.trainable for record in graph.parameters for name in record.names}
    needs = [value.kind == "parameter" and trainable.get(value.name, False) for value in graph.values]
    forward = inputs = weights = 0
    # A value that is made of weights alone, such as a transposed one, is a weight.
    from_image = [value.kind == "input" for value in graph.values]
    for node in graph.nodes:
        forward += node.macs or 0
        if node.macs:
            # A product has two factors; a bias has one axis and is added.
            factors = [v for v in dict.fromkeys(node.inputs) if len(graph.shape(v)) > 1][:2]
            for value in factors:
                if needs[value] and from_image[value]:
                    inputs += node.macs
                elif needs[value]:
                    weights += node.macs
        for value in node.outputs:
            needs[value] = any(needs[v] for v in node.inputs)
            from_image[value] = any(from_image[v] for v in node.inputs)
    batch = max(1, graph.shape(graph.inputs[0])[0]) if graph.inputs else 1
    return TrainingMacs(forward // batch, inputs // batch, weights // batch, len(graph.uncounted))

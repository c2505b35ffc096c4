"""Findings about the network as a whole: weights that do nothing, slopes that vanish, work that is thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from convscope.graph.diagnose.fields import flattened_map
from convscope.graph.diagnose.finding import DesignWarning, DiagnosedNetwork, FindingSeverity, by, share
from convscope.graph.records import Node, ParameterRecord, alive_nodes
from convscope.graph.summary import Layer, unread_parameters
from convscope.graph.vocabulary import CENTRING, CONVOLUTIONS, MOVES, SATURATING
from convscope.report.units import plural

# A fully connected layer is heavy from this share of all parameters on; in small networks that is only worth a note.
_HEAVY_SHARE = 0.5
_SMALL_NETWORK = 1_000_000

# Saturating activations in a row, with neither a normalisation nor a shortcut between, that make a stack deep.
_DEEP = {"sigmoid": 3, "hardsigmoid": 3, "tanh": 6, "softsign": 6}


def bias_before_norm(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Biases that the next layer subtracts again: a normalisation that centres each channel."""
    found: dict[int, list[tuple[Node, Node | None, ParameterRecord]]] = {}
    for node in subject.nodes:
        if node.op in CONVOLUTIONS or node.op == "linear":
            bias = subject.weight(node, "bias") or (subject.weight(node, "self") if node.op == "linear" else None)
            if bias is not None:
                found.setdefault(id(bias), []).append((node, _centred_by(subject, node), bias))
    for uses in found.values():
        node, norm, bias = uses[0]
        if norm is None or any(other is None for _, other, _ in uses):
            continue  # a bias that is used in several places has an effect if it has one anywhere
        name = subject.name(node)
        yield DesignWarning(
            layer=name,
            kind="bias-before-norm",
            severity="note",
            message=f"the bias of {name} has no effect: {subject.name(norm)} subtracts each channel's mean",
            evidence=f"{plural(bias.spec.elements, 'parameter')}, with gradients and optimizer state, for nothing",
            remedy="build the layer with bias=False",
        )


def _centred_by(subject: DiagnosedNetwork, node: Node) -> Node | None:
    """Return the normalisation that alone reads a node's output and subtracts the mean of each channel."""
    reader = _only_reader(subject, node)
    if reader is not None and reader.op == "reshape" and _keeps_maps(subject, reader):
        reader = _only_reader(subject, reader)  # instance normalisation: batch normalisation of each sample's maps
    if reader is None:
        return None
    return reader if reader.op in CENTRING or _centres_channels(subject, reader) else None


def _only_reader(subject: DiagnosedNetwork, node: Node) -> Node | None:
    readers = subject.graph.consumers.get(node.outputs[0], ())
    if len(readers) != 1 or node.outputs[0] in subject.graph.outputs:
        return None
    return subject.graph.nodes[readers[0]]


def _keeps_maps(subject: DiagnosedNetwork, reshape: Node) -> bool:
    """Return whether (N, C, *S) becomes (1, N·C, *S)."""
    before, after = subject.graph.shape(subject.source(reshape)), subject.graph.shape(reshape.outputs[0])
    return len(before) > 2 and after == (1, before[0] * before[1], *before[2:])


def _centres_channels(subject: DiagnosedNetwork, node: Node) -> bool:
    """Return a group normalisation with one channel per group."""
    return node.op == "group_norm" and node.arguments.get("group") == subject.graph.shape(subject.source(node))[1]


def saturating(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Sigmoids or tanhs stacked deep, with neither normalisation nor shortcut: gradients shrink from layer to layer.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """
    runs: dict[int, tuple[Node, ...]] = {}
    longest: tuple[Node, ...] = ()
    for node in subject.nodes:
        arriving = [runs.get(v, ()) for v in node.inputs if subject.reached[v]]
        # A shortcut carries the gradient around: what counts is the path with the fewest of them.
        run = min(arriving, key=len)
        if "norm" in node.op:
            run = ()
        elif node.op in SATURATING and not _is_gate(subject, node):
            run = (*run, node)
            longest = max(longest, run, key=len)
        for output in node.outputs:
            runs[output] = run
    if not longest or len(longest) < min(_DEEP[node.op] for node in longest):
        return
    worst = min(longest, key=lambda node: SATURATING[node.op])
    slope = prod(SATURATING[node.op] for node in longest)
    evidence = (
        f"even at its steepest a {worst.op} multiplies gradients by {SATURATING[worst.op]:.2g}: {slope:.1g} in all"
        if slope < 1
        else f"the slope of {worst.op} is 1 at 0 only, and near 0 for inputs beyond ±3"
    )
    yield DesignWarning(
        layer=subject.name(longest[0]),
        kind="saturating",
        severity="warning",
        message=f"{len(longest)} saturating activations in a row, from {subject.name(longest[0])} to "
        f"{subject.name(longest[-1])}, with neither a normalisation nor a shortcut between",
        evidence=evidence,
        remedy="use ReLU or a relative of it, or put batch normalisation before each",
    )


def _is_gate(subject: DiagnosedNetwork, node: Node) -> bool:
    """Return whether the activation only scales something else, or is the network's answer."""
    readers = [subject.graph.nodes[n] for n in subject.graph.consumers.get(node.outputs[0], ())]
    if not readers or node.outputs[0] in subject.graph.outputs:
        return True
    return all(reader.op in ("mul", "expand", "addcmul", "lerp") or reader.op in MOVES for reader in readers) and any(
        reader.op in ("mul", "expand", "addcmul", "lerp") for reader in readers
    )


def heavy_linear(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield a fully connected layer on a flattened map that holds most of the network's parameters."""
    total = subject.graph.parameter_count
    for node in subject.nodes:
        if node.op != "linear":
            continue
        layer = subject.layer_of.get(node.index)
        if layer is None or layer.parameters < _HEAVY_SHARE * total:
            continue
        source = flattened_map(subject, node)
        if source is None:
            continue
        channels, sizes = subject.graph.shape(source)[1], subject.spatial(source)
        units = subject.graph.shape(node.outputs[0])[-1]
        pooled = channels * units + (layer.parameters - channels * prod(sizes) * units)
        severity: FindingSeverity = "warning" if total >= _SMALL_NETWORK else "note"
        yield DesignWarning(
            layer=layer.name,
            kind="heavy-linear",
            severity=severity,
            message=f"{layer.name} holds {share(layer.parameters, total)} of all parameters: it weighs every position "
            f"of a {channels}×{by(sizes)} map by itself",
            evidence=f"{layer.parameters:,} of {total:,}; after global average pooling it would have {pooled:,}",
            remedy=f"average the map over its positions first: {plural(layer.parameters - pooled, 'parameter')} "
            "less, and any input size works",
        )


def dead_branch(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield the layers that are computed and whose results never reach an output."""
    if subject.graph.error is not None:
        return
    alive = alive_nodes(subject.graph, also=subject.graph.read)
    on_input = {node.index for node in subject.nodes}
    # A view of a weight counts as a write into it, so what only prepares weights tells nothing, but in layers that
    # compute on constants alone.
    telling = ((layer, on_input.intersection(layer.nodes) or layer.nodes) for layer in subject.layers if layer.nodes)
    dead = [layer for layer, nodes in telling if alive.isdisjoint(nodes)]
    cones: list[tuple[Layer, list[Layer]]] = []
    claimed: set[int] = set()
    # From the last to the first: the end of a dead branch claims everything before it.
    for layer in reversed(dead):
        if layer.index in claimed:
            continue
        cone = [layer, *_before(layer, dead, subject)]
        claimed.update(member.index for member in cone)
        cones.append((layer, cone))
    for end, cone in reversed(cones):
        if all(member.op in MOVES for member in cone):
            continue
        macs, parameters = sum(m.macs or 0 for m in cone), sum(m.parameters for m in cone)
        severity: FindingSeverity = "warning" if macs or parameters else "note"
        yield DesignWarning(
            layer=end.name,
            kind="dead-branch",
            severity=severity,
            message=f"the result of {end.name} reaches no output",
            evidence=f"{plural(len(cone), 'layer')}, {plural(macs, 'MAC')} and {plural(parameters, 'parameter')} "
            "behind it are computed for nothing",
            remedy="return it, use it, or take it out",
        )


def _before(end: Layer, dead: list[Layer], subject: DiagnosedNetwork) -> list[Layer]:
    """Dead layers that the end depends on."""
    members: list[Layer] = []
    wanted = {value for node in end.nodes for value in subject.graph.nodes[node].inputs}
    for layer in reversed(dead):
        if layer.index >= end.index:
            continue
        nodes = [subject.graph.nodes[i] for i in layer.nodes]
        if any(output in wanted for node in nodes for output in node.outputs):
            members.append(layer)
            wanted.update(value for node in nodes for value in node.inputs)
    return members


def unused_parameters(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield the parameters that the forward pass never read, one finding per module that holds nothing else."""
    if subject.graph.error is not None:
        return
    for name, records in unread_parameters(subject.graph).items():
        count = sum(record.spec.elements for record in records)
        yield DesignWarning(
            layer=name,
            kind="unused-parameters",
            severity="warning",
            message=f"the forward pass never used the parameters of {name}",
            evidence=f"{plural(count, 'parameter')} in {plural(len(records), 'tensor')}",
            remedy="if they serve training alone, leave them out of what you ship; else use them or take them out",
        )


def unregistered_parameters(subject: DiagnosedNetwork) -> Iterator[DesignWarning]:
    """Yield the layers that ran and are not part of the model: an optimizer, a checkpoint, `.to()` never see them."""
    for stray in subject.graph.strays:
        where = stray.where or "the model"
        what = "parameters" if stray.kind == "Parameter" else f"layers of class {stray.kind}"
        yield DesignWarning(
            layer=stray.where or stray.kind,
            kind="unregistered-parameters",
            severity="warning",
            message=f"{where} runs {what} that are not among its modules: no optimizer or checkpoint has them",
            evidence=f"{plural(stray.elements, 'parameter')}, in no total: kept in a plain list or dict, or made in "
            "forward",
            remedy="make them in __init__, and keep them in an attribute, nn.ModuleList, ModuleDict or ParameterList",
        )

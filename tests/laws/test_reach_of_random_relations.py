"""Intervals of random relations equal those that brute force finds: every step, in any order, on small shapes.

A random graph is built step by step: windows, groups, permutations, reshapes that merge and part axes or cut across
them, concatenations, sums. Which inputs each output reads is worked out as a boolean matrix, and its first and last
position along each input axis must be what `propagate` says, at every position of every value.
"""

from math import prod

import numpy as np
import pytest

from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.relation import Concat, Expand, Mix, Permute, RelationStep, Reshape, Taps
from convscope.geometry.taps import listed_taps, pad_taps, roll_taps, slice_taps, transposed_taps, window_taps
from convscope.geometry.window import Window
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import channel_blocks, field_at
from dependence import apply
from graphs import Builder

ELEMENTS = 400  # of a value, at most


def random_steps(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[RelationStep, ...]:
    """One operation on a value of this shape."""
    axis = int(random.integers(len(shape)))
    size = shape[axis]
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    kind = random.choice(
        ["window", "window", "slice", "pad", "roll", "gaps", "listed", "mix", "groups", "permute"]
        + ["reshape"] * 6
        + ["repeat"]
    )
    match kind:
        case "window":
            window = Window.of(
                int(random.integers(1, 4)), padding=int(random.integers(0, 2)), stride=int(random.integers(1, 3))
            )
            return (Taps(axis, window_taps(window, size)),) if size + 2 * window.padding_before >= window.span else ()
        case "slice":
            start = int(random.integers(size))
            return (Taps(axis, slice_taps(start, 1, int(random.integers(1, size - start + 1)), size)),)
        case "pad":
            return (
                Taps(
                    axis,
                    pad_taps(int(random.integers(0, 3)), 1, random.choice(["constant", "circular", "replicate"]), size),
                ),
            )
        case "roll":
            return (Taps(axis, roll_taps(1, size)),)
        case "gaps":
            return (Taps(axis, transposed_taps(TransposedWindow(window=Window.of(1, stride=2)), size)),)
        case "listed":
            return (Taps(axis, listed_taps(random.integers(0, size, (int(random.integers(1, 6)), 2)), size)),)
        case "mix":
            return (Mix(axis, int(random.integers(1, 4))),)
        case "groups":
            groups = int(random.choice(divisors))
            return (Mix(axis, groups * int(random.integers(1, 3)), groups),)
        case "permute":
            return (Permute(tuple(map(int, random.permutation(len(shape))))),)
        case "repeat":
            return (Reshape((*shape, 1)), Expand((*shape, 2)))
    return (Reshape(random_shape(random, prod(shape))),)


def random_shape(random: np.random.Generator, total: int) -> tuple[int, ...]:
    sizes = []
    while total > 1 and len(sizes) < 4:
        size = int(random.choice([n for n in range(2, total + 1) if total % n == 0]))
        sizes.append(size)
        total //= size
    if total > 1:
        sizes.append(total)
    if random.random() < 0.3:
        sizes.insert(int(random.integers(len(sizes) + 1)), 1)
    return tuple(map(int, random.permutation(sizes)))


def random_graph(random: np.random.Generator) -> Builder:
    net = Builder(1, int(random.integers(1, 4)), int(random.integers(2, 7)), int(random.integers(2, 7)))
    values = [0]
    for _ in range(int(random.integers(3, 9))):
        first = values[-1] if random.random() < 0.7 else int(random.choice(values))
        alike = [v for v in values if net.shape(v) == net.shape(first)]
        other = int(random.choice(alike))
        draw = random.random()
        shape = net.shape(first)
        if draw < 0.15 and shape:
            axis = int(random.integers(len(shape)))
            n = shape[axis]
            value = net.add((first, (Concat(axis, 0, n, 2 * n),)), (other, (Concat(axis, n, n, 2 * n),)))
        elif draw < 0.3:
            value = net.add((first, ()), (other, ()))
        elif shape:
            value = net.add((first, random_steps(random, shape)))
        if prod(net.shape(value)) > ELEMENTS or 0 in net.shape(value):
            break
        values.append(value)
    return net


def brute_force(net: Builder) -> list[np.ndarray]:
    """Per value, which elements of the input each element reads: (positions..., input elements)."""
    total = prod(net.shape(0))
    found = [np.eye(total, dtype=bool).reshape(*net.shape(0), total)]
    for node in net.nodes:
        reads = np.zeros((*net.shape(node.outputs[0]), total), dtype=bool)
        for path in node.paths or ():
            array = found[path.source]
            for step in path.steps:
                array = apply(step, array)
            reads |= array
        found.append(reads)
    return found


def check(seed: int) -> None:
    net = random_graph(np.random.default_rng(seed))
    graph = net.graph()
    reaches = propagate(graph, sources=[(0, 1), (0, 2), (0, 3)])
    for value, reads in enumerate(brute_force(net)):
        shape = net.shape(value)
        for axis in (1, 2, 3):
            reach = reaches.of(value, (0, axis))
            along = reads.reshape(-1, *net.shape(0)).any(axis=tuple(a for a in range(1, 5) if a != axis + 1))
            for position, row in zip(np.ndindex(shape), along, strict=True):
                places = np.flatnonzero(row)
                expected = (int(places[0]), int(places[-1])) if places.size else None
                said = None if reach is None else field_at(reach, position)
                assert said == expected, f"seed {seed}, value {value} of {shape}, axis {axis}, at {position}"
            if reach is not None and len(shape) > 1:
                assert sum(b.last - b.first + 1 for b in channel_blocks(reach, shape[1])) == shape[1]


@pytest.mark.parametrize("seed", range(40))
def test_intervals_are_those_of_brute_force(seed: int) -> None:
    check(seed)


@pytest.mark.long
def test_intervals_of_many_graphs_are_those_of_brute_force() -> None:
    for seed in range(2000):
        check(seed)

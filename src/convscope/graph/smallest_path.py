"""The smallest path to a value: the field along the way through the network that widens it least.

A receptive field is the union over all paths. Through a shortcut, or the narrow branch of a block, a value also depends
on far fewer pixels; a convolution adds context along every path only while the smallest of them is smaller than the
image. One pass finds it, the same as for the union (`graph.propagate`): where branches meet, and where channels are
mixed, the narrowest goes on instead of all of them. Gates and normalization are left out, as in `graph.local_field`.

Source: Richter, Schöning, Wiedenroth and Krumnack, "Should you go deeper? Optimizing convolutional neural network
architectures without training" (2021), section 3: the minimum receptive field of networks with several paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from convscope.graph.axes import value_axes
from convscope.graph.narrowest import narrowed, width
from convscope.graph.propagate import Source, propagate
from convscope.graph.records import Graph


class SmallestPaths:
    """The smallest paths of a network's values.

    Args:
        graph: a captured network.
        sources: the axes of the input, as (value, axis), that fields are measured along.
    """

    def __init__(self, graph: Graph, sources: Sequence[Source]) -> None:
        self.graph, self.sources = graph, tuple(sources)
        self._reaches = propagate(graph, sources=self.sources, local=True, smallest=True)

    def sizes(self, value: int) -> tuple[int | None, ...] | None:
        """Return the size of a value's field along its smallest path, by axis of the source.

        None along an axis where it is not known; None for a value that does not depend on every axis of the source.
        """
        reaches = [self._reaches.of(value, source) for source in self.sources]
        channels = value_axes(self.graph, value).channels
        if any(reach is None for reach in reaches):
            return None
        of_channels = (reach if channels is None else narrowed(reach, channels) for reach in reaches if reach)
        return tuple(map(width, of_channels))

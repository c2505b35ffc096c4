"""Receptive fields that other tools get wrong or do not answer; every number is worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.capture.capture import capture
from convscope.geometry.relation import ReachStatus
from convscope.graph.propagate import propagate
from convscope.graph.reach_walk import walk_back, walk_on
from convscope.graph.receptive_field import channel_blocks, field_at, summarise
from fields import Run, fields_of, output_field, output_mask, output_reach


def conv(cin: int, cout: int, kernel, **settings) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, kernel, **settings)


def test_two_3x3_see_5() -> None:
    field = output_field(nn.Sequential(conv(3, 4, 3), conv(4, 4, 3)), (3, 32, 32))
    assert (field.size, field.stride, field.start) == (5, 1, 0)


def test_strided_residual_block_has_stride_2() -> None:
    # Both branches halve once; stepping through them one after the other would say 4.
    block = Run(
        lambda x, a, b, skip: b(F.relu(a(x))) + skip(x),
        conv(4, 8, 3, stride=2, padding=1),
        conv(8, 8, 3, padding=1),
        conv(4, 8, 1, stride=2),
    )
    field = output_field(block, (4, 32, 32))
    # 3, then two more at stride 2: 3 + 2 * 2 = 7; the skip reads one pixel of it.
    assert (field.size, field.stride, field.start) == (7, 2, -3)


def test_1x7_beside_7x1_is_a_plus() -> None:
    # A row and a column through the same centre: 7 + 7 - 1 = 13 pixels of the 49 in the hull.
    both = Run(lambda x, a, b: a(x) + b(x), conv(1, 1, (1, 7), padding=(0, 3)), conv(1, 1, (7, 1), padding=(3, 0)))
    assert output_field(both, (1, 15, 15)).size == output_field(both, (1, 15, 15), axis=3).size == 7
    assert int(output_mask(both, (1, 15, 15), (0, 0, 7, 7)).sum()) == 13
    # One after the other every pixel of the hull is read: the column reads 7 rows, each of them 7 wide.
    stacked = nn.Sequential(conv(1, 1, (1, 7), padding=(0, 3)), conv(1, 1, (7, 1), padding=(3, 0)))
    assert int(output_mask(stacked, (1, 15, 15), (0, 0, 7, 7)).sum()) == 49


@pytest.mark.parametrize(("kernel", "start"), [(3, -1), (4, -1), (5, -2), (2, 0)])
def test_same_padding_odd_and_even(kernel: int, start: int) -> None:
    # An even kernel pads one more at the end, so position 0 starts (k - 1) // 2 before the image.
    field = output_field(conv(1, 1, kernel, padding="same"), (1, 16, 16))
    assert (field.size, field.start) == (kernel, start)


def test_dilation_4_spans_9_and_reads_3() -> None:
    layer = conv(1, 1, 3, dilation=4, padding=4)
    assert output_field(layer, (1, 32, 32)).size == 9
    read = output_mask(layer, (1, 32, 32), (0, 0, 16, 16)).any(axis=0)
    assert np.flatnonzero(read).tolist() == [12, 16, 20]


def test_union_of_shifted_paths_is_4() -> None:
    # [2u - 1, 2u + 1] and [2u, 2u + 2]: from 2u - 1 to 2u + 2.
    both = Run(
        lambda x, a, b: a(x) + b(F.pad(x, (0, 1, 0, 1))), conv(1, 1, 3, stride=2, padding=1), conv(1, 1, 3, stride=2)
    )
    field = output_field(both, (1, 16, 16))
    assert (field.size, field.stride, field.start) == (4, 2, -1)


def test_different_strides_in_branches() -> None:
    # One branch halves and is enlarged again; the other keeps the size.
    both = Run(
        lambda x, a, b: a(x) + F.interpolate(b(x), scale_factor=2, mode="nearest"),
        conv(1, 1, 3, padding=1),
        conv(1, 1, 3, stride=2, padding=1),
    )
    reach = output_reach(both, (1, 16, 16))
    # u = 8 reads [7, 9] and, through coarse position 4, [7, 9]; u = 9 reads [8, 10] and, through 4 again, [7, 9].
    assert [field_at(reach, (0, 0, u, 8)) for u in (8, 9)] == [(7, 9), (7, 10)]
    field = summarise(reach)
    assert field is not None and field.sizes == (3, 4) and field.stride == 1


def test_transposed_k3_s2_by_phase() -> None:
    model = nn.Sequential(conv(1, 1, 3, stride=2, padding=1), nn.ConvTranspose2d(1, 1, 3, stride=2))
    reach = output_reach(model, (1, 33, 33))
    spans = [field_at(reach, (0, 0, u, 0), endless=True) for u in (16, 17, 18)]
    # Even positions mix two coarse ones (3 + 2), odd positions read one.
    assert [last - first + 1 for first, last in spans] == [5, 3, 5]


def test_bare_functional_convolution_is_seen() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 3, 5, 5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.weight, padding=2)

    assert output_field(Bare(), (3, 16, 16)).size == 5


def test_adaptive_pooling_of_32_to_3_is_11_or_12() -> None:
    field = output_field(nn.AdaptiveAvgPool2d(3), (1, 32, 32))
    assert field.sizes == (11, 12) and field.stride is None


def test_bilinear_doubling() -> None:
    # A fine position mixes 2 coarse ones, each a 3x3: 3 + 1 = 4; neighbours are half a pixel apart.
    model = Run(lambda x, a: F.interpolate(a(x), scale_factor=2, mode="bilinear"), conv(1, 1, 3, padding=1))
    field = output_field(model, (1, 16, 16))
    assert (field.size, field.stride) == (4, Fraction(1, 2))


def test_channel_shuffle_carries_fields_along() -> None:
    model = Run(
        lambda x, a, b, s: s(torch.cat([a(x), b(x)], 1)), conv(1, 2, 1), conv(1, 2, 5, padding=2), nn.ChannelShuffle(2)
    )
    assert [b.size for b in channel_blocks(output_reach(model, (1, 16, 16)), 4)] == [1, 5, 1, 5]


def test_pixel_shuffle() -> None:
    model = nn.Sequential(conv(1, 4, 3, padding=1), nn.PixelShuffle(2), conv(1, 1, 3, padding=1))
    field = output_field(model, (1, 16, 16))
    # Three fine positions lie on two coarse ones: 3 + 1 = 4.
    assert (field.size, field.stride) == (4, Fraction(1, 2))


def test_prelu_reads_its_own_position() -> None:
    assert output_field(nn.Sequential(conv(1, 4, 3), nn.PReLU(4)), (1, 16, 16)).size == 3


def test_inception_block_keeps_its_branches() -> None:
    model = Run(
        lambda x, a, b, c: torch.cat([a(x), b(x), c(x)], 1),
        conv(3, 2, 1),
        nn.Sequential(conv(3, 2, 1), conv(2, 4, 3, padding=1)),
        conv(3, 2, 5, padding=2),
    )
    blocks = channel_blocks(output_reach(model, (3, 16, 16)), 8)
    assert [(b.first, b.last, b.size) for b in blocks] == [(0, 1, 1), (2, 5, 3), (6, 7, 5)]


def test_grouped_convolution_after_concatenation() -> None:
    model = Run(
        lambda x, a, b, g: g(torch.cat([a(x), b(x)], 1)),
        conv(3, 2, 1),
        conv(3, 2, 5, padding=2),
        conv(4, 6, 3, padding=1, groups=2),
    )
    blocks = channel_blocks(output_reach(model, (3, 16, 16)), 6)
    # Group one reads the 1x1 branch, group two the 5x5: 3 and 7.
    assert [(b.first, b.last, b.size) for b in blocks] == [(0, 2, 3), (3, 5, 7)]


def test_a_module_used_twice_grows_twice() -> None:
    model = Run(lambda x, a: a(a(x)), conv(2, 2, 3, padding=1))
    assert output_field(model, (2, 16, 16)).size == 5


def test_loop_length_depends_on_the_input() -> None:
    def shrink(x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
        while x.shape[-1] > 8:
            x = layer(x)
        return x

    # 16 -> 8 takes one step, 32 -> 16 -> 8 two: 3, then 3 + 2 * 2 = 7.
    model = Run(shrink, conv(1, 1, 3, stride=2, padding=1))
    assert [output_field(model, (1, n, n)).size for n in (16, 32)] == [3, 7]


@pytest.mark.parametrize(("dimensions", "layer"), [(1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d)])
def test_one_two_and_three_dimensions(dimensions: int, layer: type[nn.Module]) -> None:
    model = nn.Sequential(layer(1, 1, 3, stride=2), layer(1, 1, 3))
    shape = (1, *(16 + a for a in range(dimensions)))
    for axis in range(dimensions):
        field = output_field(model, shape, axis=2 + axis)
        assert (field.size, field.stride) == (7, 2)


def test_sixty_residual_blocks_are_quick() -> None:
    # 2^60 paths: counting them would never finish. The hull grows by 4 a block.
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(2, 2, 3, padding=1), conv(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.b(self.a(x))

    assert output_field(nn.Sequential(*(Block() for _ in range(60))), (2, 32, 32)).size == 241


def test_whole_axis_is_said_not_guessed() -> None:
    gate = Run(lambda x, a: x * torch.sigmoid(a(x.mean((2, 3), keepdim=True))), conv(4, 4, 1))
    field = output_field(gate, (4, 16, 16))
    assert (field.size, field.status) == (16, ReachStatus.WHOLE_AXIS)


def test_in_place_and_slices() -> None:
    def run(x: torch.Tensor, a: nn.Module) -> torch.Tensor:
        y = x * 1.0
        y[:, :, 4:8] = a(x)[:, :, 4:8]
        return y

    reach = output_reach(Run(run, conv(1, 1, 3, padding=1)), (1, 16, 16))
    assert [field_at(reach, (0, 0, u, 0)) for u in (3, 4, 7, 8)] == [(3, 3), (3, 5), (6, 8), (8, 8)]


def test_never_read_pixels_of_a_network() -> None:
    # 3x3 at stride 2 on 8 reads 0..6: column and row 7 are never read.
    graph = capture(conv(1, 1, 3, stride=2), (1, 8, 8))
    unread = ~walk_back(graph, graph.outputs[0]).mask(graph.inputs[0])
    assert int(unread.sum()) == 15 and unread[7].all() and unread[:, 7].all()


def test_projective_field_of_a_pixel() -> None:
    graph = capture(nn.Sequential(conv(1, 1, 3, padding=1), conv(1, 1, 3, padding=1)), (1, 16, 16))
    assert int(walk_on(graph, graph.inputs[0], (0, 0, 8, 8)).mask(graph.outputs[0]).sum()) == 25


def test_layer_to_layer() -> None:
    model = nn.Sequential(conv(1, 1, 7, stride=2, padding=3), conv(1, 1, 3, padding=1), conv(1, 1, 3, padding=1))
    graph, _ = fields_of(model, (1, 32, 32))
    first = graph.nodes[0].outputs[0]
    field = summarise(propagate(graph, sources=[(first, 2)]).of(graph.outputs[0], (first, 2)))
    assert field is not None and (field.size, field.stride) == (5, 1)


def test_use_counts_show_why_padding_matters() -> None:
    # On 6x6 a 3x3 uses the corner once and the middle 9 times.
    graph = capture(conv(1, 1, 3), (1, 6, 6))
    counts = walk_back(graph, graph.outputs[0], measure="paths").map(graph.inputs[0])
    assert counts[0, 0] == 1 and counts[3, 3] == 9

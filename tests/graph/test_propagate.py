"""Receptive fields of hand-built graphs, with the numbers worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest

from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.relation import Concat, Expand, Mix, Permute, ReachStatus, Reshape, Taps
from convscope.geometry.resize import resize_taps
from convscope.geometry.taps import adaptive_taps, pad_taps, slice_taps, transposed_taps, window_taps
from convscope.geometry.window import Window
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import channel_blocks, field_at, summarise
from graphs import Builder


def test_two_3x3_convolutions_see_5() -> None:
    net = Builder(1, 3, 32)
    field = net.field(net.conv(net.conv(0, 3, padding=1), 3, padding=1))
    assert (field.size, field.stride, field.start, field.endless) == (5, 1, -2, True)


def test_borders_clip_the_field() -> None:
    net = Builder(1, 3, 8)
    out = net.conv(net.conv(0, 3, padding=1), 3, padding=1)
    reach = net.reach(out)
    assert [field_at(reach, (0, 0, u)) for u in (0, 1, 4, 7)] == [(0, 2), (0, 3), (2, 6), (5, 7)]
    assert field_at(reach, (0, 0, 0), endless=True) == (-2, 2)


def test_vgg16_last_pool_sees_212() -> None:
    net = Builder(1, 1, 224)
    value = 0
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            value = net.conv(value, 3, padding=1)
        value = net.conv(value, 2, stride=2)
    field = net.field(value)
    assert (field.size, field.stride, field.start) == (212, 32, -90)


def test_transposed_k3_s2_has_phases() -> None:
    net = Builder(1, 1, 33)
    coarse = net.conv(0, 3, stride=2, padding=1)
    window = TransposedWindow(window=Window.of(3, stride=2))
    reach = net.reach(net.tap(coarse, transposed_taps(window, 17)))
    spans = [field_at(reach, (0, 0, u), endless=True) for u in (16, 17, 18)]
    assert [span and span[1] - span[0] + 1 for span in spans] == [5, 3, 5]
    field = summarise(reach)
    assert field is not None and field.sizes == (3, 5) and field.stride == 1


def test_union_of_branches_is_their_hull() -> None:
    # Paths [2u - 1, 2u + 1] and [2u, 2u + 2]: 4 pixels, not 3.
    net = Builder(1, 1, 16)
    left = net.conv(0, 3, stride=2, padding=1)
    right = net.tap(0, window_taps(Window(kernel_size=3, stride=2, padding_after=1), 16))
    field = net.field(net.add((left, ()), (right, ())))
    assert (field.size, field.stride, field.start) == (4, 2, -1)


def test_concatenation_keeps_branches_apart() -> None:
    net = Builder(1, 4, 16)
    narrow, wide = net.conv(0, 1), net.conv(0, 5, padding=2)
    joined = net.add((narrow, (Concat(1, 0, 4, 8),)), (wide, (Concat(1, 4, 4, 8),)))
    blocks = channel_blocks(net.reach(joined), 8)
    assert [(b.first, b.last, b.size) for b in blocks] == [(0, 3, 1), (4, 7, 5)]
    assert net.field(joined).sizes == (1, 5)
    grouped = net.add((joined, (Mix(1, 4, groups=2),)))
    assert [b.size for b in channel_blocks(net.reach(grouped), 4)] == [1, 5]
    mixed = net.add((joined, (Mix(1, 4),)))
    assert net.field(mixed).sizes == (5,)


def test_channel_shuffle_moves_fields_with_their_channels() -> None:
    net = Builder(1, 4, 16)
    narrow, wide = net.conv(0, 1), net.conv(0, 5, padding=2)
    joined = net.add((narrow, (Concat(1, 0, 4, 8),)), (wide, (Concat(1, 4, 4, 8),)))
    steps = (Reshape((1, 2, 4, 16)), Permute((0, 2, 1, 3)), Reshape((1, 8, 16)))
    blocks = channel_blocks(net.reach(net.add((joined, steps))), 8)
    assert [b.size for b in blocks] == [1, 5] * 4


def test_adaptive_windows_differ() -> None:
    net = Builder(1, 1, 32)
    assert net.field(net.tap(0, adaptive_taps(32, 3))).sizes == (11, 12)


def test_whole_axis_is_said() -> None:
    net = Builder(1, 2, 8)
    pooled = net.add((0, (Mix(2, 1),)))
    field = net.field(pooled)
    assert (field.size, field.status) == (8, ReachStatus.WHOLE_AXIS)
    gated = net.add((0, ()), (pooled, (Expand((1, 2, 8)),)))
    assert net.field(gated).status is ReachStatus.WHOLE_AXIS and net.field(gated).size == 8


def test_flatten_keeps_each_unit_apart_until_it_is_mixed() -> None:
    net = Builder(1, 2, 8)
    flat = net.add((net.conv(0, 3), (Reshape((1, 12)),)))
    reach = net.reach(flat)
    assert [field_at(reach, (0, u)) for u in (0, 5, 6, 11)] == [(0, 2), (5, 7), (0, 2), (5, 7)]
    assert net.field(flat).status is ReachStatus.EXACT
    assert net.field(net.add((flat, (Mix(1, 10),)))).status is ReachStatus.WHOLE_AXIS


def test_space_to_depth_and_back() -> None:
    net = Builder(1, 1, 8)
    packed = net.add((0, (Reshape((1, 1, 4, 2)), Permute((0, 1, 3, 2)), Reshape((1, 2, 4)))))
    assert [b.size for b in channel_blocks(net.reach(packed), 2)] == [1, 1]
    assert field_at(net.reach(packed), (0, 1, 2)) == (5, 5)
    mixed = net.field(net.add((packed, (Mix(1, 6),))))
    assert (mixed.size, mixed.stride) == (2, 2)
    back = net.add((packed, (Reshape((1, 1, 2, 4)), Permute((0, 1, 3, 2)), Reshape((1, 1, 8)))))
    assert [field_at(net.reach(back), (0, 0, u)) for u in range(8)] == [(u, u) for u in range(8)]
    assert net.field(net.conv(back, 3, padding=1)).size == 3


def test_unknown_is_unknown_for_ever() -> None:
    net = Builder(1, 1, 8)
    lost = net.add((0, ()), known=False)
    after = net.field(net.add((net.conv(lost, 3, padding=1), ()), (0, ())))
    assert after.status is ReachStatus.UNKNOWN and after.size is None


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_have_the_same_field_without_borders(mode) -> None:
    net = Builder(1, 1, 8)
    field = net.field(net.conv(net.add((0, (Taps(2, pad_taps(1, 1, mode, 8)),))), 3))
    assert (field.size, field.start, field.stride) == (3, -1, 1)


def test_flip_and_resize() -> None:
    net = Builder(1, 1, 8)
    flipped = net.add((0, (Taps(2, slice_taps(7, -1, 8, 8)),)))
    assert field_at(net.reach(flipped), (0, 0, 0)) == (7, 7)
    bilinear = net.field(net.tap(net.conv(0, 3, padding=1), resize_taps(8, 16, "linear")))
    assert bilinear.size == 4 and bilinear.stride == Fraction(1, 2)


def test_layer_to_layer() -> None:
    net = Builder(1, 1, 32)
    first = net.conv(0, 7, stride=2, padding=3)
    last = net.conv(net.conv(first, 3, padding=1), 3, padding=1)
    between = propagate(net.graph(), sources=[(first, 2)])
    field = summarise(between.of(last))
    assert field is not None and (field.size, field.stride) == (5, 1)


def test_a_thousand_residual_blocks_are_linear() -> None:
    net = Builder(1, 1, 32)
    value = 0
    for _ in range(500):
        value = net.add((value, ()), (net.conv(net.conv(value, 3, padding=1), 3, padding=1), ()))
    assert net.field(value).size == 1 + 4 * 500


def test_intervals_are_rank_of_the_value() -> None:
    net = Builder(2, 3, 16)
    reach = net.reach(net.conv(0, 3))
    assert all(np.ndim(a) == 3 for a in reach.clipped)

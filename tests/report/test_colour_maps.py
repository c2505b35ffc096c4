"""Colours of numbers: monotone in lightness, readable without colour vision, and nothing stretched or hidden."""

import numpy as np
import pytest

from convscope.report.colour_maps import (
    ColourScale,
    hatched,
    is_constant,
    largest_cells,
    range_text,
    reduced,
    takes_black_text,
)

# Viénot, Brettel and Mollon 1999: linear RGB as seen without red or without green cones.
BLINDNESS = {
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def linear(pixels):
    share = np.asarray(pixels, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(pixels):
    return linear(pixels) @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("kind", ["sequential", "grey"])
def test_a_larger_number_is_lighter(kind):
    found = luminance(ColourScale(kind, 0, 1).colours(np.linspace(0, 1, 101)))
    assert (np.diff(found) > 0).all()


def test_around_zero_both_signs_are_as_dark_and_differ_in_hue_for_every_reader():
    scale = ColourScale("diverging", -2, 2)
    values = np.linspace(0, 2, 51)
    above, below = scale.colours(values), scale.colours(-values)
    assert (np.diff(luminance(above)) < 0).all() and (np.diff(luminance(below)) < 0).all()
    assert np.abs(luminance(above) - luminance(below)).max() < 0.06
    for matrix in (np.eye(3), *BLINDNESS.values()):
        apart = np.abs(linear(above[15:]) @ matrix.T - linear(below[15:]) @ matrix.T).max(axis=-1)
        assert apart.min() > 0.09


@pytest.mark.parametrize("kind", ["sequential", "diverging", "grey"])
def test_a_number_on_any_colour_of_a_scale_has_a_contrast_of_four_and_a_half(kind):
    colours = ColourScale(kind, 0, 1).colours(np.linspace(0, 1, 251))
    below, black = luminance(colours), takes_black_text(colours)
    assert (np.where(black, (below + 0.05) / 0.05, 1.05 / (below + 0.05)) >= 4.5).all()
    assert black.any() and not black.all()


def test_the_scale_begins_at_zero_and_goes_around_it_where_a_value_is_negative():
    assert ColourScale.of(np.array([0.5, 4.0]), np.array([np.inf])) == ColourScale("sequential", 0, 4)
    assert ColourScale.of(np.array([-0.5, 4.0])) == ColourScale("diverging", -4, 4)
    assert ColourScale.of(np.array([3.0, 9.0]), kind="grey") == ColourScale("grey", 3, 9)
    assert ColourScale.of(np.array([np.nan])) == ColourScale.of() == ColourScale("sequential", 0, 0)


def test_numbers_beyond_an_end_have_its_colour_and_none_fails():
    scale = ColourScale("sequential", 0, 1)
    colours = scale.colours(np.array([-1, 0, 1, 5, np.inf, -np.inf, np.nan]))
    assert (colours[[0, 5, 6]] == colours[1]).all() and (colours[[3, 4]] == colours[2]).all()
    assert (
        ColourScale("diverging", 0, 0).colours(np.zeros((2, 2))) == ColourScale("diverging", -1, 1).colours(0)
    ).all()
    largest = np.finfo(np.float64).max
    assert (ColourScale("diverging", -largest, largest).colours(np.array([largest])) == (107, 50, 4)).all()


def test_cells_without_a_number_are_hatched_and_all_others_are_not():
    values = np.array([[0.0, np.nan], [np.inf, 1.0]])
    scale = ColourScale.of(values)
    found = scale.picture(values, least=20)
    assert found.shape == (20, 20, 3)
    assert (found[:10, :10] == scale.colours(0)).all() and (found[10:, 10:] == scale.colours(1)).all()
    for block in (found[:10, 10:], found[10:, :10]):
        assert len(np.unique(block.reshape(-1, 3), axis=0)) == 2
    assert (hatched(found, np.zeros((20, 20), bool)) == found).all()


def test_a_constant_map_is_said_so_though_float32_has_rounded_it():
    rounded = np.float32(0.7) + np.array([0, 6e-8, -6e-8], np.float32)
    assert is_constant(rounded) and range_text(rounded) == "all 0.7"
    assert range_text(np.array([0.0, 1e-30])) == "0 to 1e-30"
    assert range_text(np.array([np.nan])) == "no finite value" and range_text(np.zeros(0)) == "no values"


def test_the_largest_cells_are_by_absolute_value_and_ties_by_position():
    values = np.array([[2.0, -2.0], [np.nan, 1.0]])
    assert largest_cells(values) == [(2.0, (0, 0)), (-2.0, (0, 1)), (1.0, (1, 1))]


def test_a_reduced_picture_is_the_mean_of_blocks():
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    found = reduced(pixels, 4)
    assert found.shape == (4, 3, 3) and found[0, 0, 0] == round(pixels[:2, :2, 0].mean())
    assert reduced(pixels, 8) is pixels and reduced(pixels[:1], 2).shape == (1, 6, 3)

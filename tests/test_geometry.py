"""Window arithmetic against the lecture's numbers and against counting by hand."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygradconv.geometry import Conv2dGeometry, ReceptiveField, WindowGeometry, output_size, resolve_padding

sizes = st.integers(1, 20)
small = st.integers(1, 4)


@given(sizes, small, small, st.integers(0, 3), st.integers(0, 3), st.integers(1, 3))
def test_output_size_counts_the_places_where_a_window_fits(size, kernel, stride, before, after, dilation):
    padded, span = before + size + after, dilation * (kernel - 1) + 1
    places = len([start for start in range(0, padded, stride) if start + span <= padded])
    assert max(0, output_size(size, kernel, stride, before, after, dilation)) == places


@given(sizes, small, small, st.integers(0, 1), st.integers(1, 3))
def test_ceil_mode_keeps_a_smaller_last_window_that_begins_inside(size, kernel, stride, padding, dilation):
    padding = min(padding, kernel // 2)
    padded, span = size + 2 * padding, dilation * (kernel - 1) + 1
    floor = output_size(size, kernel, stride, padding, padding, dilation)
    extra = floor * stride < size + padding and (floor - 1) * stride + span < padded
    assert output_size(size, kernel, stride, padding, padding, dilation, ceil_mode=True) == floor + extra


def test_ceil_mode_keeps_an_only_window_that_is_too_long_by_less_than_a_stride():
    """PyTorch's sizes: max_pool2d(1×1, 3, stride=3, ceil_mode=True) is 1×1, with stride=2 an error."""
    assert output_size(1, 3, stride=3, ceil_mode=True) == 1 and output_size(1, 3, stride=2, ceil_mode=True) == 0
    assert output_size(2, 3, stride=2, ceil_mode=True) == 1 and output_size(2, 3, stride=1, ceil_mode=True) == 0
    assert output_size(2, 3, stride=2) == 0


@given(sizes, st.integers(1, 5), small, st.integers(1, 3))
def test_same_padding_gives_the_size_over_the_stride_rounded_up(size, kernel, stride, dilation):
    (before, after), _ = resolve_padding("same", (size, size), (kernel, kernel), (stride, stride), (dilation, dilation))
    assert after - before in (0, 1)
    assert output_size(size, kernel, stride, before, after, dilation) == -(-size // stride)


def test_the_lectures_sizes():
    assert output_size(6, 3) == 4 and output_size(7, 3, stride=2) == 3
    assert output_size(227, 11, stride=4) == 55 and output_size(55, 3, stride=2) == 27
    assert output_size(224, 3, before=1, after=1) == 224 and output_size(28, 5, before=2, after=2) == 28


def test_receptive_fields_of_stacked_3x3():
    seen = ReceptiveField()
    for field in (3, 5, 7):
        seen = seen.through((3, 3), (1, 1))
        assert seen.field == (field, field)
    assert seen.through((2, 2), (2, 2)).jump == (2, 2)


def test_geometry_is_a_value():
    one, two = (Conv2dGeometry.of("conv2d", (2, 7, 6, 3), (3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), O=4) for _ in range(2))
    assert one == two and hash(one) == hash(two)
    assert (one.x_shape, one.w_shape, one.y_shape) == ((2, 7, 6, 3), (3, 2, 3, 4), (2, 3, 8, 4))
    assert one.macs == 2 * 3 * 8 * 4 * 3 * 2 * 3


def test_cells_inside_counts_what_the_padding_leaves():
    geo = WindowGeometry.of("pool", (1, 3, 5, 1), 2, padding=1)
    assert geo.cells_inside.tolist() == [[1, 2, 2], [2, 4, 4]]
    assert WindowGeometry.of("pool", (1, 5, 5, 1), 3, stride=2, ceil_mode=True).y_shape == (1, 2, 2, 1)
    assert WindowGeometry.of("pool", (1, 6, 6, 1), 3, stride=2, ceil_mode=True).cells_inside.tolist() == [[9, 9, 6], [9, 9, 6], [6, 6, 4]]


@pytest.mark.parametrize("options, message", [
    (dict(kernel_size=0), "kernel_size must be at least 1, got 0"),
    (dict(kernel_size=(3, 3, 3)), r"kernel_size must be one integer or two \(rows, columns\), got \(3, 3, 3\)"),
    (dict(kernel_size=2.5), "kernel_size must be an integer, got 2.5 of type float"),
    (dict(kernel_size=3, stride=0), "stride must be at least 1, got 0"),
    (dict(kernel_size=3, padding=-1), "padding must be at least 0, got -1"),
    (dict(kernel_size=3, padding="full"), "padding must be integers, 'same' or 'valid', got 'full'"),
    (dict(kernel_size=9), r"a window that spans 9×9 does not fit into an image of 6×6"),
])
def test_bad_windows_say_what_is_wrong(options, message):
    with pytest.raises((ValueError, TypeError), match="conv2d: " + message):
        WindowGeometry.of("conv2d", (1, 6, 6, 1), **options)

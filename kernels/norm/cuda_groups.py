"""Group normalisation on a GPU, one launch each way: a team of threads for each image and group, which reads its numbers twice.

The L·D numbers of a group are L pieces of D neighbours, G·D apart. A team takes them in order, neighbouring threads neighbouring numbers;
with one group, as in layer normalisation, that is one stretch of memory. The second reading finds them in a cache. So memory moves 8 bytes
for each float32 forward (read x, write y) and 12 backward (read g and x, write dx). Groups of fewer than eight channels use parts of what
memory delivers; the rest is used by the teams beside, from the cache.

A team is a warp, which adds up by shuffles, or a block of 16 warps where groups are long and few. Sums are float64 and in one order.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from ..cuda.columns import THREADS, column_totals
from ..cuda.host import blocks
from ..cuda.language import CudaKernel, DeviceFunction, Scalar, cuda, device, float32, float64, kernel, ptx, scalar_of
from ..cuda.vectors import fours, moved
from ..cuda.walk import quotient
from .cuda_batch import centre

WARP = 32
LONG, MANY = 2048, 4096                    # numbers of a group that are many for a warp; groups that keep a GPU busy with a warp for each
KINDS = ((float32, 4, WARP), (float32, 4, THREADS), (float32, 1, WARP), (float32, 1, THREADS), (float64, 1, WARP), (float64, 1, THREADS))


@cache
def team_totals(team: int) -> DeviceFunction:
    """A function by which the two float64 in every thread's local array become their sums over the team, for all of its threads."""
    over_lanes = column_totals(2)

    @device
    def over_block(values):
        over_lanes(values, cuda.threadIdx.x, THREADS, 1)

    @device
    def over_warp(values):
        for k in range(5):
            for j in range(2):
                values[j] += ptx.shuffle_xor(values[j], 16 >> k)
    return over_warp if team == WARP else over_block


@device
def piece(i, D, C):
    """How far number i of a group lies from its first."""
    if i < D:                              # always, where there is one group
        return i
    row = quotient(i, D)
    return i + row * (C - D)


@cache
def normalise_groups(T: Scalar, width: int, team: int) -> CudaKernel:
    """y = (x − mean) / √(variance + epsilon), mean and variance, of `groups` groups of m numbers."""
    (bring, put), totals, each = moved(width), team_totals(team), THREADS // team
    shift, mask = team.bit_length() - 1, team - 1

    @kernel(f"x: {T}*, y: {T}*, mean: {T}*, variance: {T}*, groups: int64, m: int64, G: int64, D: int64, epsilon: float64", threads=THREADS)
    def normalise_groups(x, y, mean, variance, groups, m, G, D, epsilon):
        held, values = cuda.local.array(width, T), cuda.local.array(2, float64)
        t = cuda.threadIdx.x
        group, first = cuda.blockIdx.x * each + (t >> shift), (t & mask) * width
        if group < groups:                                                 # of all threads of a team, or of none
            n = quotient(group, G)
            start, C = n * m * G + (group - n * G) * D, G * D
            origin = centre(x[start])
            values[0], values[1] = float64(0), float64(0)
            for i in range(first, m, team * width):
                bring(x, start + piece(i, D, C), held, 0)
                for j in range(width):
                    d = float64(held[j]) - origin
                    values[0] += d
                    values[1] += d * d
            totals(values)
            away = values[0] / float64(m)
            mu, spread = origin + away, values[1] / float64(m) - away * away
            if spread < float64(0):
                spread = float64(0)
            near, wide = T(mu), T(spread)
            slope = float64(1) / math.sqrt(float64(wide) + epsilon)
            factor, rest = T(slope), T((float64(near) - mu) * slope)       # with what rounding the mean took away
            if first == 0:
                mean[group], variance[group] = near, wide
            for i in range(first, m, team * width):
                at = start + piece(i, D, C)
                bring(x, at, held, 0)
                for j in range(width):
                    held[j] = (held[j] - near) * factor + rest
                put(y, at, held, 0)
    return normalise_groups


@cache
def group_gradient(T: Scalar, width: int, team: int) -> CudaKernel:
    """dx of `groups` groups of m numbers."""
    (bring, put), totals, each = moved(width), team_totals(team), THREADS // team
    shift, mask = team.bit_length() - 1, team - 1

    @kernel(f"g: {T}*, x: {T}*, mean: {T}*, variance: {T}*, dx: {T}*, groups: int64, m: int64, G: int64, D: int64, epsilon: float64",
            threads=THREADS)
    def group_gradient(g, x, mean, variance, dx, groups, m, G, D, epsilon):
        slopes, held, values = cuda.local.array(width, T), cuda.local.array(width, T), cuda.local.array(2, float64)
        t = cuda.threadIdx.x
        group, first = cuda.blockIdx.x * each + (t >> shift), (t & mask) * width
        if group < groups:                                                 # of all threads of a team, or of none
            n = quotient(group, G)
            start, C, middle = n * m * G + (group - n * G) * D, G * D, mean[group]
            values[0], values[1] = float64(0), float64(0)
            for i in range(first, m, team * width):
                at = start + piece(i, D, C)
                bring(g, at, slopes, 0)
                bring(x, at, held, 0)
                for j in range(width):
                    values[0] += float64(slopes[j])
                    values[1] += float64(slopes[j]) * (float64(held[j]) - float64(middle))
            totals(values)
            inverse = float64(1) / math.sqrt(float64(variance[group]) + epsilon)
            factor, level = T(inverse), T(values[0] / float64(m))
            tilt = T(inverse * inverse * values[1] / float64(m))
            for i in range(first, m, team * width):
                at = start + piece(i, D, C)
                bring(g, at, slopes, 0)
                bring(x, at, held, 0)
                for j in range(width):
                    held[j] = factor * (slopes[j] - level - (held[j] - middle) * tilt)
                put(dx, at, held, 0)
    return group_gradient


def configurations() -> list[tuple[Any, tuple[Any, ...]]]:
    """(template, constants) of every kernel that these host functions launch."""
    return [(template, kind) for kind in KINDS for template in (normalise_groups, group_gradient)]


def group_norm_forward(device: Any, x: Any, y: Any, mean: Any, variance: Any, epsilon: float) -> None:
    """reference.group_norm_forward. A warp for each image and group, or a block, where groups are long and few."""
    if x.size:
        (groups, m, G, D), kind = _groups(x, y)
        each = THREADS // kind[2]
        device.launch(normalise_groups(*kind), blocks(groups, each), x, y, mean, variance, groups, m, G, D, epsilon)


def group_norm_backward(device: Any, g: Any, x: Any, mean: Any, variance: Any, dx: Any, epsilon: float) -> None:
    """reference.group_norm_backward. A warp for each image and group, or a block, where groups are long and few."""
    if x.size:
        (groups, m, G, D), kind = _groups(x, g, dx)
        each = THREADS // kind[2]
        device.launch(group_gradient(*kind), blocks(groups, each), g, x, mean, variance, dx, groups, m, G, D, epsilon)


def _groups(x: Any, *others: Any) -> tuple[tuple[int, int, int, int], tuple[Scalar, int, int]]:
    """((groups, numbers of a group, groups of an image, neighbours in a group), (type, width, team)) for x (N, L, G, D)."""
    N, L, G, D = x.shape
    if G == 1:
        L, D = 1, L * D
    team = WARP if L * D <= LONG or N * G >= MANY else THREADS
    return (N * G, L * D, G, D), (scalar_of(x.dtype), fours(D, x, *others), team)

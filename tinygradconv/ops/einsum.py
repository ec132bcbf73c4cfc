"""Sums of products by index letters: einsum("bij,bjk->bik", a, b) is a batched matrix product.

Two operands at a time, from the left: a letter that only one of them has, and nobody needs later, is summed out; the letters that both
have and nobody needs later are the inner axis of a matrix product, those that both have and somebody needs its batch. So an einsum
is a handful of permutes, reshapes and matmuls, and every order of derivative comes with them.
"""
from __future__ import annotations

import math
from typing import Any

from tinygradconv.ops.elementwise import multiply
from tinygradconv.ops.matmul import matmul
from tinygradconv.ops.reduce import sum
from tinygradconv.ops.shape import expand_dims, permute_dims, reshape, squeeze
from tinygradconv.promotion import as_tensors
from tinygradconv.tensor import Tensor

__all__ = ["einsum"]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters(subscripts: str, operands: list[Tensor]) -> tuple[list[str], str]:
    """One string of letters per operand and one for the output, every "..." spelled out with letters that nobody uses."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms but there are {len(operands)} operands")
    spare = [c for c in LETTERS if c not in subscripts]
    hidden = [x.ndim - len(term.replace("...", "")) if "..." in term else 0 for term, x in zip(terms, operands)]
    for i, (term, x, more) in enumerate(zip(terms, operands, hidden)):
        if more < 0 or "..." not in term and len(term) != x.ndim:
            raise ValueError(f"einsum: term {term!r} does not name the {x.ndim} axes of operand {i}, of shape {x.shape}")
    common = "".join(spare[:max(hidden, default=0)])                # an ellipsis stands for the last ones: they align from the right
    terms = [term.replace("...", common[len(common) - more:]) for term, more in zip(terms, hidden)]
    if not arrow:                                       # NumPy's rule: letters seen once, in alphabetical order, after the "..."
        everything = "".join(terms)
        right = "..." + "".join(sorted(c for c in set(everything) if everything.count(c) == 1 and c not in common))
    output = right.replace("...", common)
    for c in {*"".join(terms), *output} - set(LETTERS):
        raise ValueError(f"einsum: {subscripts!r} has {c!r}; write it with letters, commas, '...' and '->'")
    for term in (*terms, output):
        if len(set(term)) != len(term):
            raise ValueError(f"einsum: {term!r} names an axis twice; diagonals are not taken here. "
                             f"Pick them first: x[i, i] with i = arange(n)")
    for c in set(output) - set("".join(terms)):
        raise ValueError(f"einsum: the output letter {c!r} of {subscripts!r} is in no term")
    return terms, output


def _sizes(terms: list[str], operands: list[Tensor]) -> dict[str, int]:
    """The length of each letter; a length of 1 fits any other."""
    sizes: dict[str, int] = {}
    for i, (term, x) in enumerate(zip(terms, operands)):
        for c, n in zip(term, x.shape):
            if sizes.get(c, 1) != 1 and n not in (1, sizes[c]):
                raise ValueError(f"einsum: {c!r} is {sizes[c]} long, but {n} in operand {i}, of shape {x.shape}")
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    return sizes


def _without(x: Tensor, term: str, gone: set[str], drop: Any) -> tuple[Tensor, str]:
    """x with the axes of the letters `gone` summed or squeezed out."""
    axes = tuple(i for i, c in enumerate(term) if c in gone)
    return (drop(x, axes) if axes else x), "".join(c for c in term if c not in gone)


def _ordered(x: Tensor, term: str, order: str) -> Tensor:
    return permute_dims(x, [term.index(c) for c in order])


def _contract(a: Tensor, in_a: str, b: Tensor, in_b: str, needed: set[str], sizes: dict[str, int]) -> tuple[Tensor, str]:
    """a and b multiplied, and summed over the letters that both have and nobody needs any more."""
    inner = "".join(c for c in in_a if c in in_b and c not in needed)
    batch = "".join(c for c in in_a if c in in_b and c in needed)
    rows, columns = "".join(c for c in in_a if c not in in_b), "".join(c for c in in_b if c not in in_a)
    if not inner:                                                   # nothing to sum: a product with broadcasting
        left = _ordered(a, in_a, batch + rows)
        right = _ordered(b, in_b, batch + columns)
        left = expand_dims(left, tuple(range(left.ndim, left.ndim + len(columns)))) if columns else left
        right = expand_dims(right, tuple(range(len(batch), len(batch) + len(rows)))) if rows else right
        return multiply(left, right), batch + rows + columns

    def size(letters: str) -> int:
        return math.prod(sizes[c] for c in letters)
    left = reshape(_ordered(a, in_a, batch + rows + inner), (size(batch), size(rows), size(inner)))
    right = reshape(_ordered(b, in_b, batch + inner + columns), (size(batch), size(inner), size(columns)))
    together = batch + rows + columns
    return reshape(matmul(left, right), tuple(sizes[c] for c in together)), together


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Sums of products by letters, one per axis; letters that are not in the output are summed: "ij,jk->ik" is a @ b.

    Without "->" the output has the letters that stand only once, in alphabetical order. "..." stands for the axes that are not named, and
    broadcasts. ValueError for lengths that differ, and for a letter twice in one term (a diagonal).
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: subscripts come first, as text like 'ij,jk->ik'; got {type(subscripts).__name__}")
    if not operands:
        raise ValueError(f"einsum: {subscripts!r} needs operands")
    xs = as_tensors("einsum", [f"operand {i}" for i in range(len(operands))], operands)
    terms, output = _letters(subscripts, xs)
    sizes = _sizes(terms, xs)
    pairs = [_without(x, term, {c for c, n in zip(term, x.shape) if n != sizes[c]}, squeeze) for x, term in zip(xs, terms)]
    y, have = pairs[0]
    for i in range(1, len(pairs)):
        b, in_b = pairs[i]
        later = set(output).union(*(term for _, term in pairs[i + 1:]))
        y, have = _without(y, have, set(have) - later - set(in_b), sum)
        b, in_b = _without(b, in_b, set(in_b) - later - set(have), sum)
        y, have = _contract(y, have, b, in_b, later, sizes)
    y, have = _without(y, have, set(have) - set(output), sum)
    return _ordered(y, have, output)

"""Convolutions as matrix products, for compiled code and for many tasks at once.

Compiled code on a CPU multiplies matrices close to the machine's limit and fuses the copying around
the products with batch norm and ReLU; a library's convolution of a few small images does neither. A
convolution here is one product of the matrix of patches, (groups, n x positions, kernel x channels),
and the kernels, and so are its two gradients. Networks of several tasks are groups of one
convolution (this is how `vmap` hands them over), and so become one batched product.

Where the patches of one convolution outgrow the caches, as those of 84x84 images do, copying them costs
more than it saves, and the library's convolution stays. On a GPU `tasks_at_once` uses the same pieces.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IN_CACHE = 2**20  # numbers, 4 MB of float32


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """Return `torch.ops.aten.convolution` of images, (n, C, H, W), as (n, O, H', W')."""
    kernel, (out_h, out_w) = weight.shape[-2:], output_size(x, weight, stride, padding)
    if not is_covered(weight, stride, dilation, transposed, len(x) * out_h * out_w):
        return NotImplemented
    rows = patches(to_groups(x, groups), kernel, stride, padding).flatten(1, 3).flatten(2)
    y = rows @ matrix(weight, groups)
    if bias is not None:
        y = y + bias.view(groups, 1, -1)
    return from_groups(y.view(groups, len(x), out_h, out_w, -1))


def convolution_backward(
    dy: Tensor, x: Tensor, weight: Tensor, bias_sizes: Sequence[int] | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], transposed: bool, output_padding: Sequence[int],
    groups: int, output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    """Return its gradients with respect to x, weight and bias, those that the mask asks for."""
    kernel, positions = weight.shape[-2:], dy.numel() // dy.shape[1]
    if not is_covered(weight, stride, dilation, transposed, positions):
        return NotImplemented
    dx = dweight = dbias = None
    columns = to_groups(dy, groups).flatten(1, 3)  # (groups, n x positions, O / groups)
    if output_mask[0]:
        pieces = columns @ matrix(weight, groups).mT
        dx = scatter(pieces, dy, x, kernel, stride, padding, groups)
    if output_mask[1]:
        rows = patches(to_groups(x, groups), kernel, stride, padding).flatten(1, 3).flatten(2)
        product = (rows.mT @ columns).view(groups, *kernel, -1, columns.shape[-1])
        dweight = product.permute(0, 4, 3, 1, 2).reshape(weight.shape)
    if output_mask[2]:
        dbias = dy.sum((0, 2, 3))
    return dx, dweight, dbias


AS_PRODUCTS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.convolution.default: convolution,
    torch.ops.aten.convolution_backward.default: convolution_backward,
}


def is_covered(
    weight: Tensor,
    stride: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    positions: int,
) -> bool:
    """Tell whether a convolution is one of images, undilated, and faster as a matrix product."""
    if weight.dim() != 4 or transposed or any(d != 1 for d in dilation):
        return False
    covers = all(s <= k for s, k in zip(stride, weight.shape[-2:], strict=True))
    return covers and positions * weight[0].numel() <= IN_CACHE


def output_size(
    x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> tuple[int, ...]:
    """Return the rows and columns of the output."""
    sides = zip(x.shape[-2:], weight.shape[-2:], stride, padding, strict=True)
    return tuple((side + 2 * p - k) // s + 1 for side, k, s, p in sides)


def to_groups(x: Tensor, groups: int) -> Tensor:
    """View (n, groups x C, H, W) as (groups, n, H, W, C)."""
    return x.unflatten(1, (groups, -1)).permute(1, 0, 3, 4, 2)


def from_groups(x: Tensor) -> Tensor:
    """View (groups, n, H, W, C) as (n, groups x C, H, W)."""
    return x.permute(1, 0, 4, 2, 3).flatten(1, 2)


def matrix(weight: Tensor, groups: int) -> Tensor:
    """Return kernels, (groups x O, C, k, k), as (groups, k x k x C, O)."""
    return weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)


def patches(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Copy out what each position of the kernel sees in images (groups, n, H, W, C).

    Returns:
        (groups, n, H', W', k x k, C).
    """
    (pad_h, pad_w), (step_h, step_w) = padding, stride
    x = F.pad(x, (0, 0, pad_w, pad_w, pad_h, pad_h))
    stop_h, stop_w = (side - k + 1 for side, k in zip(x.shape[2:4], kernel, strict=True))
    taps = [
        x[:, :, i : stop_h + i : step_h, j : stop_w + j : step_w]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    return torch.stack(taps, 4) if len(taps) > 1 else taps[0].unsqueeze(4)


def scatter(
    pieces: Tensor, dy: Tensor, x: Tensor, kernel: Sequence[int], stride: Sequence[int],
    padding: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    """Add up patches where they were copied from: the transpose of `patches`, as an image like x.

    The pixels fall into stride x stride classes, row and column modulo the stride. Those of a class are
    seen by the same taps of the kernel, each from one position: a sum of shifted images, no scattering.
    """
    (n, _, out_h, out_w), (step_h, step_w), (pad_h, pad_w) = dy.shape, stride, padding
    height, width = x.shape[2] + 2 * pad_h, x.shape[3] + 2 * pad_w
    tall, wide = -(-height // step_h), -(-width // step_w)
    taps = pieces.view(groups, n, out_h, out_w, *kernel, -1)

    def pixels(a: int, b: int) -> Tensor:
        first, *others = (
            shift(taps[:, :, :, :, i, j], i // step_h, j // step_w, tall, wide)
            for i in range(a, kernel[0], step_h)
            for j in range(b, kernel[1], step_w)
        )
        return sum(others, first)

    rows = [torch.stack([pixels(a, b) for b in range(step_w)], 4) for a in range(step_h)]
    whole = torch.stack(rows, 3).reshape(groups, n, tall * step_h, wide * step_w, -1)
    return from_groups(whole[:, :, pad_h : height - pad_h, pad_w : width - pad_w])


def shift(tap: Tensor, down: int, right: int, tall: int, wide: int) -> Tensor:
    """Place (groups, n, H', W', C) in zeros, (groups, n, tall, wide, C), so far down and right."""
    below, beside = tall - tap.shape[2] - down, wide - tap.shape[3] - right
    return F.pad(tap, (0, 0, right, beside, down, below))

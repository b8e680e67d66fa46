"""Convolutions of many tasks at once, each with kernels of its own, as batched matrix products.

`vmap` makes one convolution of them, with the tasks as its groups. CUDA's libraries are slow at that, and
torch's second derivatives take the groups in turn. Here the tasks stay a leading axis, and a convolution
is one batched product of patches and kernels. It is linear in the images and in the kernels, so its
derivatives, and theirs, are made of the same three products.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

from firstorder.engines.convolution import patches

MOST = 2**28  # numbers in the patches that are copied out at once, 1 GB of float32


class Sizes(NamedTuple):
    """What is fixed in a convolution: rows and columns of the images, kernels, steps and padding."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


class Convolve(Function):
    """Y(x, w), (tasks, n, O, H', W'), of images (tasks, n, C, H, W) and kernels (tasks, O, C, k, k)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, sizes: Sizes) -> Tensor:
        return by_pieces(output, sizes, x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        remember(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), sizes = ctx.saved_tensors, ctx.sizes
        needs_x, needs_weight, _ = ctx.needs_input_grad
        dx = ImagesFrom.apply(dy, weight, sizes) if needs_x else None
        return dx, KernelsFrom.apply(x, dy, sizes) if needs_weight else None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, sizes: Sizes
    ) -> tuple[Tensor, int]:
        assert x.dim() <= 5, "the tasks are the only axis in front"
        rows = (
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip((x, weight), in_dims, strict=False)
        )
        return Convolve.apply(*rows, sizes), 0


class ImagesFrom(Function):
    """X(y, w), the adjoint of Y(., w): y, (tasks, n, O, H', W'), added up where its patches came from."""

    @staticmethod
    def forward(dy: Tensor, weight: Tensor, sizes: Sizes) -> Tensor:
        return by_pieces(images, sizes, dy, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        remember(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (dy, weight), sizes = ctx.saved_tensors, ctx.sizes
        needs_dy, needs_weight, _ = ctx.needs_input_grad
        of_dy = Convolve.apply(g, weight, sizes) if needs_dy else None
        return of_dy, KernelsFrom.apply(g, dy, sizes) if needs_weight else None, None


class KernelsFrom(Function):
    """W(x, y), the adjoint of Y(x, .): (tasks, O, C, k, k)."""

    @staticmethod
    def forward(x: Tensor, dy: Tensor, sizes: Sizes) -> Tensor:
        return by_pieces(kernels, sizes, x, dy)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        remember(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (x, dy), sizes = ctx.saved_tensors, ctx.sizes
        needs_x, needs_dy, _ = ctx.needs_input_grad
        of_x = ImagesFrom.apply(dy, g, sizes) if needs_x else None
        return of_x, Convolve.apply(x, g, sizes) if needs_dy else None, None


def remember(ctx: Any, inputs: tuple[Any, ...]) -> None:
    """Keep both tensors: a product's derivative by one is a product with the other."""
    *tensors, ctx.sizes = inputs
    ctx.save_for_backward(*tensors)


def by_pieces(product: Callable[..., Tensor], sizes: Sizes, *tensors: Tensor) -> Tensor:
    """Compute a product for as many tasks at a time as `MOST` allows."""
    (height, width), channels = sizes.image, max(t.shape[2] for t in tensors)
    positions = tensors[0].shape[1] * height * width // (sizes.stride[0] * sizes.stride[1])
    tasks = max(1, MOST // max(1, positions * channels * sizes.kernel[0] * sizes.kernel[1]))
    pieces = [
        product(sizes, *piece) for piece in zip(*(t.split(tasks) for t in tensors), strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def output(sizes: Sizes, x: Tensor, weight: Tensor) -> Tensor:
    """Return Y(x, w)."""
    seen = patches(x.permute(0, 1, 3, 4, 2), sizes.kernel, sizes.stride, sizes.padding)
    y = seen.flatten(1, 3).flatten(2) @ as_matrix(weight)
    return y.unflatten(1, seen.shape[1:4]).permute(0, 1, 4, 2, 3)


def images(sizes: Sizes, dy: Tensor, weight: Tensor) -> Tensor:
    """Return X(y, w)."""
    columns = dy.permute(0, 1, 3, 4, 2)
    seen = (columns.flatten(1, 3) @ as_matrix(weight).mT).unflatten(2, (*sizes.kernel, -1))
    seen = seen.unflatten(1, columns.shape[1:4])  # (tasks, n, H', W', k, k, C)
    (height, width), (step_h, step_w), (pad_h, pad_w) = sizes.image, sizes.stride, sizes.padding
    whole = seen.new_zeros(*seen.shape[:2], height + 2 * pad_h, width + 2 * pad_w, seen.shape[-1])
    rows, cols = (step * (n - 1) + 1 for step, n in zip(sizes.stride, seen.shape[2:4], strict=True))
    for i in range(sizes.kernel[0]):
        for j in range(sizes.kernel[1]):
            whole[:, :, i : i + rows : step_h, j : j + cols : step_w] += seen[:, :, :, :, i, j]
    image = whole[:, :, pad_h : pad_h + height, pad_w : pad_w + width]
    return image.permute(0, 1, 4, 2, 3)


def kernels(sizes: Sizes, x: Tensor, dy: Tensor) -> Tensor:
    """Return W(x, y)."""
    seen = patches(x.permute(0, 1, 3, 4, 2), sizes.kernel, sizes.stride, sizes.padding)
    product = seen.flatten(1, 3).flatten(2).mT @ dy.permute(0, 1, 3, 4, 2).flatten(1, 3)
    return product.unflatten(1, (*sizes.kernel, -1)).permute(0, 4, 3, 1, 2)


def as_matrix(weight: Tensor) -> Tensor:
    """Return kernels, (tasks, O, C, k, k), as (tasks, k x k x C, O)."""
    return weight.permute(0, 3, 4, 2, 1).flatten(1, 3)


class TasksAtOnce(TorchFunctionMode):
    """In this context convolutions under `vmap` whose kernels differ from task to task are products."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.conv2d:
            made = conv2d(*args, **(kwargs or {}))
            if made is not NotImplemented:
                return made
        return func(*args, **(kwargs or {}))


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return what `F.conv2d` does, as a product; NotImplemented where it is no convolution of tasks."""
    is_of_tasks = torch._C._functorch.is_batchedtensor(weight) and input.dim() == 4
    if not is_of_tasks or isinstance(padding, str) or groups != 1 or pair(dilation) != (1, 1):
        return NotImplemented
    image, kernel = pair(input.shape[-2:]), pair(weight.shape[-2:])
    y: Tensor = Convolve.apply(input, weight, Sizes(image, kernel, pair(stride), pair(padding)))
    return y if bias is None else y + bias.view(-1, 1, 1)


def pair(value: Any) -> tuple[int, int]:
    """Return a setting of rows and columns, given once for both or one for each."""
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns

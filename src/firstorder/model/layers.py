"""Layers that compute what the published TensorFlow ones do."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Module):
    """Convolve 3x3 with TensorFlow's "same" padding.

    The output has ceil(side / stride) rows. At stride 2 an even side is padded at the right and the
    bottom only, an odd side on both: padding=1 would give the same shapes on a shifted grid.

    Attributes:
        weight: the kernels, (3, 3, in_channels, out_channels), as TensorFlow keeps them: beside images
            with the channels last, the numbers that a row of a kernel multiplies lie side by side.
        bias: (out_channels,), or None.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: bool) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(3, 3, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.initialise()

    def initialise(self) -> None:
        """Draw Glorot-uniform kernels, and set the bias to zero."""
        drawn = nn.init.xavier_uniform_(torch.empty(self.weight.shape[::-1]))
        with torch.no_grad():
            self.weight.copy_(drawn.permute(2, 3, 1, 0))
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, out_channels, rows, columns) for images, (n, in_channels, H, W)."""
        weight, stride = self.weight.permute(3, 2, 0, 1), self.stride
        (top, bottom), (left, right) = (same_padding(side, stride) for side in x.shape[-2:])
        if (top, left) == (bottom, right):  # the convolution pads by itself, without a copy
            return F.conv2d(x, weight, self.bias, stride, (top, left))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, self.bias, stride)


def same_padding(side: int, stride: int, kernel: int = 3) -> tuple[int, int]:
    """Return TensorFlow's padding (before, after) of one axis; the odd one goes after."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def glorot(module: nn.Module) -> None:
    """Initialise every linear layer Glorot-uniform, with a zero bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

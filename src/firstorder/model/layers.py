"""Layers that compute what the published TensorFlow ones do."""

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Convolve 3x3 with TensorFlow's "same" padding.

    The output has ceil(side / stride) rows. At stride 2 an even side is padded at the right and the
    bottom only, an odd side on both: padding=1 would give the same shapes on a shifted grid.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: bool) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        stride = self.stride[0]
        (top, bottom), (left, right) = (same_padding(side, stride) for side in x.shape[-2:])
        if (top, left) == (bottom, right):  # the convolution pads by itself, without a copy
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left))
        return super().forward(F.pad(x, (left, right, top, bottom)))


def same_padding(side: int, stride: int, kernel: int = 3) -> tuple[int, int]:
    """Return TensorFlow's padding (before, after) of one axis; the odd one goes after."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def glorot(module: nn.Module) -> None:
    """Initialise every convolution and linear layer Glorot-uniform, with zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

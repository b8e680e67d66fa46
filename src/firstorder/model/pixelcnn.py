"""A small PixelCNN: the probability of each pixel from those before it (van den Oord et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firstorder.settings import Count, CountOrZero, Width, checked


class PixelCNN(nn.Module):
    """Give logits of binary pixels by masked convolutions, row by row from the top left.

    A 7x7 convolution that does not see the pixel itself, residual blocks of 3x3 convolutions that see
    what it saw, and a 1x1 one to logits. No normalisation: a batch's statistics would tell of later
    pixels.

    Args:
        in_channels: channels of an image; 1 for data=density, whose images are black and white.
        filters: channels of the hidden layers.
        blocks: residual blocks.
    """

    @checked("model")
    def __init__(
        self, in_channels: Count = 1, filters: Width = 32, blocks: CountOrZero = 4
    ) -> None:
        super().__init__()
        self.first = MaskedConv2d(in_channels, filters, 7, sees_itself=False)
        self.blocks = nn.ModuleList(
            MaskedConv2d(filters, filters, 3, sees_itself=True) for _ in range(blocks)
        )
        self.last = nn.Conv2d(filters, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, C, H, W), for binary images, (n, C, H, W)."""
        x = self.first(x)
        for block in self.blocks:
            x = x + block(F.relu(x))
        logits: Tensor = self.last(F.relu(x))
        return logits


class MaskedConv2d(nn.Conv2d):
    """A convolution of odd size that sees the rows above and the pixels to the left.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel.
        sees_itself: whether it sees the pixel in the middle too, mask B, or not, mask A.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, *, sees_itself: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        mask = torch.ones(kernel, kernel)
        mask[kernel // 2, kernel // 2 + sees_itself :] = 0
        mask[kernel // 2 + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, input: Tensor) -> Tensor:
        """Return (n, outputs, H, W) for (n, inputs, H, W)."""
        return self._conv_forward(input, self.weight * self.mask, self.bias)

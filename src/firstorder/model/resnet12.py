"""ResNet-12, the deeper network of the few-shot literature (Oreshkin et al. 2018, Lee et al. 2019)."""

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Len
from torch import Tensor, nn

from firstorder.model.dropblock import DropBlock
from firstorder.settings import BelowOne, Count, Width, checked


class ResNet12(nn.Module):
    """Classify images with four residual blocks of three convolutions, then a linear layer.

    A block is three 3x3 convolutions with batch norm and leaky ReLU (slope 0.1), beside a 1x1 convolution
    with batch norm; their sum goes through the last ReLU, 2x2 max-pooling that keeps a last odd row, and
    DropBlock. Features are averaged over the image. Batch norm always uses the statistics of the batch,
    as in all of this package; the literature's networks keep running ones.

    Args:
        num_classes: N, the ways of a task.
        in_channels: 1 for grey, 3 for colour.
        image_size: side of the square images, in pixels.
        widths: channels of the blocks.
        drop: share of the features that DropBlock drops; off by default.
        drop_size: side of the squares that it drops, in the last two blocks; single ones before.
    """

    @checked("model")
    def __init__(
        self,
        num_classes: Width,
        in_channels: Width = 3,
        image_size: Width = 84,
        widths: Annotated[Sequence[Width], Len(4, 4)] = (64, 160, 320, 640),
        drop: BelowOne = 0.0,
        drop_size: Count = 5,
    ) -> None:
        super().__init__()
        self.num_classes, self.in_channels, self.image_size = num_classes, in_channels, image_size
        before = [in_channels, *widths[:3]]
        self.features = nn.Sequential(
            *(
                Block(inputs, outputs, drop, drop_size if number >= 2 else 1)
                for number, (inputs, outputs) in enumerate(zip(before, widths, strict=True))
            )
        )
        self.head = nn.Linear(widths[-1], num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.1, mode="fan_out")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one image: (C, H, W)."""
        return (self.in_channels, self.image_size, self.image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, num_classes), for images, (n, in_channels, side, side) in [0, 1]."""
        logits: Tensor = self.head(self.features(x).mean((2, 3)))
        return logits


class Block(nn.Module):
    """Three convolutions and what goes past them, then half the side."""

    def __init__(self, inputs: int, outputs: int, drop: float, drop_size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs, outputs):
            layers += [normed(channels, outputs, 3), nn.LeakyReLU(0.1)]
        self.convolutions = nn.Sequential(*layers[:-1])  # the last ReLU comes after the sum
        self.shortcut = normed(inputs, outputs, 1)
        self.drop = DropBlock(drop, drop_size) if drop else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, outputs, rows, columns) of half the side, for (n, inputs, H, W)."""
        y = F.leaky_relu(self.convolutions(x) + self.shortcut(x), 0.1)
        dropped: Tensor = self.drop(F.max_pool2d(y, 2, ceil_mode=True))
        return dropped


def normed(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution that keeps the side, with batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, track_running_stats=False))

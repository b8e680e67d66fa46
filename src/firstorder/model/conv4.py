"""The four-layer convolutional networks of few-shot classification (Section 6.1, as published)."""

from typing import Literal

from torch import Tensor, nn

from firstorder.model.layers import SameConv2d, glorot
from firstorder.settings import BelowOne, Layers, Width, checked

EPSILON = 1e-3  # of batch norm, TensorFlow's default


class Conv4(nn.Module):
    """Classify images with four blocks that halve the side, then a linear layer.

    With downsample="stride" it is the Omniglot network: each block a 3x3 convolution of stride 2,
    batch norm, ReLU. With downsample="pool" it is the mini-ImageNet network: a 3x3 convolution, batch
    norm, 2x2 max-pooling that keeps a last odd row, ReLU. Batch norm has epsilon 1e-3 and always uses
    the statistics of the batch; weights are Glorot-uniform, biases zero.

    Args:
        num_classes: N, the ways of a task.
        in_channels: 1 for grey, 3 for colour.
        image_size: side of the square images, in pixels.
        filters: channels of each block.
        downsample: "stride" or "pool".
        blocks: how many there are; the published networks have four.
        dropout: share of the channels of each block that are set to zero while a task is trained on.
        conv_bias: keep the published biases in front of batch norm. They cannot change the output,
            since batch norm subtracts them, and under Adam with beta1 = 0 they drift on rounding
            errors; so they are left out unless asked for.
    """

    @checked("model")
    def __init__(
        self,
        num_classes: Width,
        in_channels: Width = 1,
        image_size: Width = 28,
        filters: Width = 64,
        downsample: Literal["stride", "pool"] = "stride",
        conv_bias: bool = False,
        dropout: BelowOne = 0.0,
        blocks: Layers = 4,
    ) -> None:
        super().__init__()
        self.num_classes, self.filters = num_classes, filters
        self.in_channels, self.image_size = in_channels, image_size
        self.downsample, self.conv_bias, self.dropout = downsample, conv_bias, dropout
        pool = downsample == "pool"
        self.blocks = blocks
        layers: list[nn.Module] = []
        channels, side = in_channels, image_size
        for _ in range(blocks):
            layers += [
                SameConv2d(channels, filters, stride=1 if pool else 2, bias=conv_bias),
                nn.BatchNorm2d(filters, eps=EPSILON, track_running_stats=False),
                *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
                nn.ReLU(),
                *([nn.Dropout2d(dropout)] if dropout else []),
            ]
            channels, side = filters, -(-side // 2)
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(filters * side * side, num_classes)
        glorot(self)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one image: (C, H, W)."""
        return (self.in_channels, self.image_size, self.image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, num_classes), for images, (n, in_channels, side, side) in [0, 1]."""
        # Channels last in memory, in the same logical order: what a CPU's convolutions are fastest on.
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        features: Tensor = self.features(x)
        # Flattened as (rows, columns, filters), as published, and without a copy.
        logits: Tensor = self.head(features.permute(0, 2, 3, 1).flatten(1))
        return logits

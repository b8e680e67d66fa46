"""The networks that are measured: the published ones, each as one would write it, and others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from firstorder.model import MLP, Conv4
from firstorder.model.layers import same_padding
from firstorder.task import Classification, Regression, TaskKind


@dataclass
class Case:
    """A published setting: our network, the module that one would write, and the shapes of its tasks."""

    module: nn.Module
    plain: nn.Module
    kind: TaskKind
    ways: int
    shape: tuple[int, ...]
    batch: int = 10
    eval_batch: int = 5
    at_once: int = 8

    def task(self, n: int) -> tuple[Tensor, Tensor]:
        """Make n random inputs and their labels or targets."""
        x = torch.rand(n, *self.shape)
        is_classes = isinstance(self.kind, Classification)
        return x, torch.arange(n) % self.ways if is_classes else torch.rand(n, 1)


def plain_conv4(
    ways: int, channels: int, side: int, filters: int, pool: bool, blocks: int = 4
) -> nn.Module:
    """Write the published network as one writes it in PyTorch."""
    layers: list[nn.Module] = []
    for _ in range(blocks):
        stride = 1 if pool else 2
        before, after = same_padding(side, stride)
        layers += [
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(channels, filters, 3, stride, bias=False),
            norm(filters, eps=1e-3),
            *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
            nn.ReLU(),
        ]
        channels, side = filters, -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * side * side, ways))


def images(
    ways: int, batch: int, channels: int, side: int, filters: int, pool: bool, blocks: int = 4,
    **sizes: int,
) -> Case:  # fmt: skip
    """Make a classification case."""
    downsample: Literal["pool", "stride"] = "pool" if pool else "stride"
    ours = Conv4(ways, channels, side, filters, downsample, blocks=blocks)
    plain = plain_conv4(ways, channels, side, filters, pool, blocks)
    return Case(ours, plain, Classification(), ways, (channels, side, side), batch, **sizes)


PUBLISHED: dict[str, Callable[[], Case]] = {
    "omniglot": lambda: images(5, 10, 1, 28, 64, pool=False),
    "omniglot20": lambda: images(20, 20, 1, 28, 64, pool=False, eval_batch=10),
    "miniimagenet": lambda: images(5, 10, 3, 84, 32, pool=True, eval_batch=15, at_once=4),
    "sine": lambda: Case(MLP(), MLP(), Regression(), 10, (1,), eval_batch=10),
}


def norm(channels: int, eps: float = 1e-5) -> nn.BatchNorm2d:
    """Make a batch norm that always uses the statistics of the batch."""
    return nn.BatchNorm2d(channels, eps=eps, track_running_stats=False)


def convolutions(depth: int, filters: int, channels: int, features: int) -> nn.Module:
    """Stack blocks of 3x3 convolutions, of which the first four halve the side."""
    layers: list[nn.Module] = []
    for block in range(depth):
        before = filters if block else channels
        layers += [nn.Conv2d(before, filters, 3, padding=1, bias=False), norm(filters), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if block < 4 else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 5))


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions beside a 1x1 one, then pooling (ResNet-12)."""

    def __init__(self, before: int, filters: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (before, filters, filters):
            layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), norm(filters)]
            layers += [nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers[:-1])
        self.skip = nn.Sequential(nn.Conv2d(before, filters, 1, bias=False), norm(filters))

    def forward(self, x: Tensor) -> Tensor:
        """Return images of half the side."""
        return F.max_pool2d(F.leaky_relu(self.body(x) + self.skip(x), 0.1), 2)


def resnet12(*filters: int) -> nn.Module:
    """Make a ResNet-12 of these widths for colour images."""
    blocks = [ResidualBlock(a, b) for a, b in zip((3, *filters), filters, strict=False)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(filters[-1], 5))


class Transformer(nn.Module):
    """Two layers over 16 patches of 7 x 7 pixels."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(49, width), nn.Linear(width, 5)
        self.places = nn.Parameter(0.02 * torch.randn(16, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, (n, 5), of images (n, 1, 28, 28)."""
        x = self.embed(F.unfold(x, 7, stride=7).mT) + self.places
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(x.mean(1))
        return logits


def other(make: Callable[[], nn.Module], *shape: int) -> Callable[[], Case]:
    """Return a maker of a case whose network is written the same in both."""
    return lambda: Case(make(), make(), Classification(), 5, shape)


# Its images are too large for products of patches, so it isn't compiled, and should lose nothing.
AS_WRITTEN = "ResNet-12 of a quarter's width, 32x32 (left as written)"
OTHERS: dict[str, Callable[[], Case]] = {
    "MLP 784-256-128-5": other(
        lambda: nn.Sequential(nn.Flatten(), MLP(784, (256, 128), 5)), 1, 28, 28
    ),
    "Conv4 of 3 blocks of 24 filters, 32x32": lambda: images(5, 10, 3, 32, 24, pool=True, blocks=3),
    "3 blocks of 24 filters, 32x32, a module of one's own": other(
        lambda: convolutions(3, 24, 3, 24 * 16), 3, 32, 32
    ),
    "6 blocks of 48 filters, 28x28": other(lambda: convolutions(6, 48, 1, 48), 1, 28, 28),
    AS_WRITTEN: other(lambda: resnet12(16, 32, 64, 128), 3, 32, 32),
    "transformer of 2 layers": other(Transformer, 1, 28, 28),
}

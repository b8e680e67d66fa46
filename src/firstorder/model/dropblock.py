"""DropBlock (Ghiasi et al. 2018): dropout of squares of a feature map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropBlock(nn.Module):
    """Drop squares of each channel, about `drop` of all features, and scale up the rest.

    Squares lie within the map, each place of one with the probability of their Eq. 1; nothing is dropped
    in evaluation mode.

    Args:
        drop: the share of features to drop.
        size: side of a square, in features; at most that of the map.
    """

    def __init__(self, drop: float, size: int) -> None:
        super().__init__()
        self.drop, self.size = drop, size

    def forward(self, x: Tensor) -> Tensor:
        """Return features, (n, C, H, W), some of them zero."""
        if not self.training:
            return x
        *outer, height, width = x.shape
        size = min(self.size, height, width)
        places = x.new_empty(*outer, height - size + 1, width - size + 1)
        share = self.drop / size**2 * (height * width) / places[0, 0].numel()
        begins = (torch.rand_like(places) < share).to(x.dtype)
        kept = 1 - F.max_pool2d(F.pad(begins, (size - 1,) * 4), size, stride=1)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))

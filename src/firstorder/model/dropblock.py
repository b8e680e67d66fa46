"""DropBlock (Ghiasi et al. 2018): dropout of squares of a feature map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropBlock(nn.Module):
    """Drop squares of each channel, about `drop` of all features, and scale up the rest.

    Squares begin at random places, with the probability drop / size^2 each that their Eq. 1 has for a
    large map; nothing is dropped in evaluation mode.

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
        size = min(self.size, *x.shape[-2:])
        begins = (torch.rand_like(x) < self.drop / size**2).to(x.dtype)
        ahead = size - 1
        kept = 1 - F.max_pool2d(F.pad(begins, (ahead, 0, ahead, 0)), size, stride=1)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))

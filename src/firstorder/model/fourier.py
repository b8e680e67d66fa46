"""A network on random Fourier features of coordinates (Tancik et al. 2020)."""

from collections.abc import Sequence
from itertools import pairwise
from math import pi

import torch
from torch import Tensor, nn

from firstorder.settings import Count, StepSize, Width, checked


class FourierMLP(nn.Module):
    """Map coordinates v to [cos 2 pi B v, sin 2 pi B v], then through ReLU layers to values.

    B is drawn once, with the network, and is not learnt: it is a constant of the run, and travels with
    its checkpoints.

    Args:
        inputs: coordinates.
        features: rows of the random matrix B; each gives two features, a cosine and a sine.
        scale: standard deviation of B's entries, in periods a unit.
        hidden: widths of the hidden layers.
        outputs: width of a value: 1 for a shade, 3 for a colour.
    """

    directions: Tensor

    @checked("model")
    def __init__(
        self,
        inputs: Count = 2,
        features: Width = 64,
        scale: StepSize = 3.0,
        hidden: Sequence[Width] = (64, 64),
        outputs: Width = 1,
    ) -> None:
        super().__init__()
        self.inputs, self.features, self.scale = inputs, features, scale
        self.hidden, self.outputs = list(hidden), outputs
        self.register_buffer("directions", scale * torch.randn(features, inputs))
        layers: list[nn.Module] = []
        for before, after in pairwise((2 * features, *hidden)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear([2 * features, *hidden][-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return values, (n, outputs), for coordinates, (n, inputs)."""
        angles = 2 * pi * x.flatten(1) @ self.directions.T
        y: Tensor = self.layers(torch.cat([angles.cos(), angles.sin()], -1)) + 0.5
        return y

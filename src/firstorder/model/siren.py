"""SIREN: a network of sines that represents pictures and signals (Sitzmann et al. 2020)."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import torch
from torch import Tensor, nn

from firstorder.settings import Count, StepSize, Width, checked


class Siren(nn.Module):
    """Map coordinates to values by layers sin(w0 (W x + b)), then a linear one.

    The first layer's weights are uniform in +-1/inputs, the others' in +-sqrt(6/width)/w0, so that what
    reaches a sine is as wide in every layer (their Section 3.2). The output is shifted by 1/2, the middle
    of values in [0, 1].

    Args:
        inputs: coordinates.
        hidden: widths of the layers of sines.
        outputs: width of a value: 1 for a shade, 3 for a colour.
        w0: the highest frequency that the first layer begins with, in radians a unit.
    """

    @checked("model")
    def __init__(
        self,
        inputs: Count = 2,
        hidden: Sequence[Width] = (64, 64, 64),
        outputs: Width = 1,
        w0: StepSize = 30.0,
    ) -> None:
        super().__init__()
        self.inputs, self.hidden, self.outputs, self.w0 = inputs, list(hidden), outputs, w0
        widths = [inputs, *hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            bound = sqrt(6 / layer.in_features) / w0 if number else 1 / inputs
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Return values, (n, outputs), for coordinates, (n, inputs)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = torch.sin(self.w0 * layer(x))
        y: Tensor = self.layers[-1](x) + 0.5
        return y

"""The fully connected network of the sine-wave study (Section 4)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from firstorder.model.layers import glorot
from firstorder.settings import Count, Width, checked


class MLP(nn.Module):
    """Regress through hidden layers of tanh units: 1 -> 64 -> 64 -> 1 in Figure 1.

    The paper does not name the activation; tanh is smooth, as Section 5.1 asks.

    Args:
        inputs: width of an input.
        hidden: widths of the hidden layers.
        outputs: width of an output.
    """

    @checked("model")
    def __init__(
        self, inputs: Count = 1, hidden: Sequence[Width] = (64, 64), outputs: Width = 1
    ) -> None:
        super().__init__()
        self.inputs, self.hidden, self.outputs = inputs, list(hidden), outputs
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *hidden)):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.layers = nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], outputs))
        glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (n, outputs), for inputs, (n, inputs)."""
        y: Tensor = self.layers(x.flatten(1))
        return y

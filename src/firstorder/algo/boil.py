"""BOIL (Oh et al. 2021): MAML whose inner loop adapts the body and leaves the head alone."""

from dataclasses import dataclass

from torch import Tensor

from firstorder.algo.anil import ANIL
from firstorder.network import Layout


@dataclass(frozen=True, kw_only=True)
class BOIL(ANIL):
    """Adapt the features to a task under a fixed classifier; the outer loop learns both.

    Attributes:
        layers: names of the parameters, layers or parts of the network that adapt, "" for all of it; all
            but the last layer where none are given.
    """

    def adapts(self, layout: Layout) -> Tensor:
        return super().adapts(layout) if self.layers else ~layout.mask([layout.last_layer])

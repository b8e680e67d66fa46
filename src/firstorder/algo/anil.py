"""ANIL (Raghu et al. 2020): MAML whose inner loop adapts the head alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from firstorder.algo.base import Context
from firstorder.algo.maml import MAML
from firstorder.algo.optimizers import Masked
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.meta_gradient import Meta
from firstorder.network import Layout, Network


@dataclass(frozen=True, kw_only=True)
class ANIL(MAML):
    """Adapt only some layers to a task; the outer loop learns all of them, by MAML's gradient.

    Attributes:
        layers: names of the parameters, layers or parts of the network that adapt, "" for all of it; the
            last layer where none are given.
    """

    layers: Sequence[str] = ()

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        loop, layout = super().inner(loss, meta, context), context.layout
        mask = self.adapts(layout).to(loop.phi.device)
        return loop._replace(optimizer=Masked(loop.optimizer, mask))

    def must_take(self, network: Network) -> None:
        super().must_take(network)
        for name in self.layers:
            if not network.layout.mask([name]).any():
                raise ValueError(
                    f"algo.layers={list(self.layers)}: the network has no layer {name}; parameters are"
                    f" {', '.join(network.layout)}"
                )
        if not self.adapts(network.layout).any():
            raise ValueError(
                f"algo={self.name} finds nothing to adapt in a network of one layer: give it hidden"
                " layers, or take algo=maml"
            )

    def adapts(self, layout: Layout) -> Tensor:
        """Return which weights the inner loop moves, (d,) bool."""
        return layout.mask(self.layers or [layout.last_layer])

"""ANIL (Raghu et al. 2020): MAML whose inner loop adapts the head alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass

from firstorder.algo.base import Context
from firstorder.algo.maml import MAML
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import Meta
from firstorder.network import Layout, Network


@dataclass(frozen=True)
class Masked(InnerOptimizer):
    """Let an inner optimiser move only the weights where the mask, (d,) bool, is true."""

    optimizer: InnerOptimizer
    mask: Tensor

    def before_gradient(self, phi: Tensor) -> Tensor:
        return torch.where(self.mask, self.optimizer.before_gradient(phi), phi)

    def init(self, phi: Tensor) -> State:
        return self.optimizer.init(phi)

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        moved, state = self.optimizer.update(phi, gradient, state)
        return torch.where(self.mask, moved, phi), state


register_dataclass(Masked)  # its tensors are data, not settings


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
        for name in self.layers:
            if not network.layout.mask([name]).any():
                raise ValueError(
                    f"algo.layers={list(self.layers)}: the network has no layer {name}; parameters are"
                    f" {', '.join(network.layout)}"
                )

    def adapts(self, layout: Layout) -> Tensor:
        """Return which weights the inner loop moves, (d,) bool."""
        return layout.mask(self.layers or [layout.last_layer])

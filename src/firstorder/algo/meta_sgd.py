"""Meta-SGD (Li et al. 2017): MAML that learns an inner step size for every weight."""

from dataclasses import dataclass

import torch

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.maml import MAML
from firstorder.algo.optimizers import PerWeightSGD
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.meta_gradient import Meta
from firstorder.network import Network


@dataclass(frozen=True, kw_only=True)
class MetaSGD(MAML):
    """Learn phi and alpha, both by MAML's gradient; `inner_lr` is where every alpha starts.

    Attributes:
        inner_optimizer: "sgd", whose step sizes are learnt.
        first_order: false; step sizes have no first-order gradient.

    Raises:
        ValueError: another inner optimiser, or a gradient that leaves alpha out.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_optimizer != "sgd" or self.first_order:
            raise ValueError(
                f"algo={self.name} learns the step sizes of gradient descent, through second derivatives:"
                " leave algo.inner_optimizer=sgd and algo.first_order=false"
            )

    def meta_parameters(self, network: Network) -> Meta:
        phi = network.initial()
        return {"phi": phi, "alpha": torch.full_like(phi, self.inner_lr)}

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        optimizer = PerWeightSGD(meta["alpha"], self.optimizer.weight_decay)
        return InnerLoop(loss, optimizer, meta["phi"])

    def with_inner_lr(self, inner_lr: float) -> MetaAlgorithm:
        raise ValueError(f"eval.inner_lr={inner_lr}: {self.name} has learnt its inner step sizes")

"""Meta-SGD (Li et al. 2017): MAML that learns an inner step size for every weight."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.maml import MAML
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import Meta
from firstorder.network import Network


@dataclass(frozen=True)
class PerWeightSGD(InnerOptimizer):
    """Gradient descent phi - alpha * g with a step size alpha, (d,), for each weight."""

    alpha: Tensor

    def init(self, phi: Tensor) -> State:
        return ()

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        return phi - self.alpha * gradient, state


register_dataclass(PerWeightSGD)  # its tensors are data, not settings


@dataclass(frozen=True, kw_only=True)
class MetaSGD(MAML):
    """Learn phi and alpha, both by MAML's gradient; `inner_lr` is where every alpha starts.

    Raises:
        ValueError: another inner optimiser, or a gradient that leaves alpha out.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_optimizer != "sgd" or self.first_order:
            raise ValueError(
                "algo=meta_sgd learns the step sizes of gradient descent, through the second derivatives:"
                " leave algo.inner_optimizer=sgd and algo.first_order=false"
            )

    def meta_parameters(self, network: Network) -> Meta:
        phi = network.initial()
        return {"phi": phi, "alpha": torch.full_like(phi, self.inner_lr)}

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        return InnerLoop(loss, PerWeightSGD(meta["alpha"]), meta["phi"])

    def with_inner_lr(self, inner_lr: float) -> MetaAlgorithm:
        raise ValueError(f"eval.inner_lr={inner_lr}: meta_sgd has learnt its inner step sizes")

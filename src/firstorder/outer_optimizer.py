"""The outer optimisers, by name (`algo.outer_optimizer`): classes of torch.optim.

SGD is the paper's interpolation, phi <- phi + epsilon (adapted phi - phi); Adam its suggested variant.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import nn

# Those that step a dense vector without a closure, by a step size that may change (Rprop's may not).
OuterOptimizer = Literal[
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "ASGD",
]  # fmt: skip
# Those whose first step changes every weight by outer_lr, however small its gradient: at the 1.0 that
# is right for interpolation nothing is learnt.
MOVE_BY_LR = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop")


def build(
    name: OuterOptimizer, weights: Iterable[nn.Parameter], lr: float, options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """Build an outer optimiser.

    Args:
        name: a class of torch.optim.
        weights: what the outer loop learns.
        lr: epsilon at the first outer iteration.
        options: its further arguments; a list is a tuple to torch.

    Raises:
        ValueError: the optimiser refuses its options.
    """
    try:
        if "lr" in options:
            raise ValueError("the step size is algo.outer_lr")
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        built: torch.optim.Optimizer = getattr(torch.optim, name)(list(weights), lr=lr, **given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"algo.outer_options={dict(options)} does not go with algo.outer_optimizer={name}: {error}"
        ) from None
    return built


def check(name: OuterOptimizer, lr: float, options: Mapping[str, Any]) -> None:
    """Make sure that an outer optimiser can be built, and learns.

    Raises:
        ValueError: it cannot, or does not; the sentence names the setting.
    """
    if name in MOVE_BY_LR and lr >= 0.1:
        raise ValueError(
            f"algo.outer_lr={lr} is too much for algo.outer_optimizer={name}, which moves every weight by"
            " about that at each step: add algo.outer_lr=0.001"
        )
    if options:  # tried only then: the first optimiser of a process takes torch a second
        build(name, [nn.Parameter(torch.zeros(1))], lr, options)

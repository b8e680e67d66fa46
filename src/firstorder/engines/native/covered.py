"""Which losses and networks step.cpp computes."""

from functools import partial
from typing import Any

from torch import nn

from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.model.layers import SameConv2d
from firstorder.network import Network
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import SumOverTasks, TaskLoss


def network_of(loss: Any) -> Network | None:
    """Return the network whose cross entropy this is, of one task or of many; else None."""
    loss = loss.loss if type(loss) is SumOverTasks else loss
    is_covered = type(loss) is TaskLoss and unsmoothed(loss.criterion) is cross_entropy
    return loss.network if is_covered else None


def smoothing_of(loss: Any) -> float:
    """Return the share of a label that such a loss spreads over all classes, 0 where it spreads none."""
    loss = loss.loss if type(loss) is SumOverTasks else loss
    criterion = loss.criterion
    return criterion.keywords["label_smoothing"] if isinstance(criterion, partial) else 0.0


def unsmoothed(criterion: Any) -> Any:
    """Return what a criterion is without `label_smoothing`, itself where it has other settings."""
    is_smoothed = isinstance(criterion, partial) and [*criterion.keywords] == ["label_smoothing"]
    return criterion.func if is_smoothed and not criterion.args else criterion


def is_published(network: Network) -> bool:
    """Tell whether a network is a Conv4 as it was built: no other class, layer, epsilon or hook."""
    module = network.module
    if type(network) is not Network or type(module) is not Conv4 or module.conv_bias:
        return False
    if network.constants():  # frozen parameters are not in phi
        return False
    pool = [nn.MaxPool2d] if module.downsample == "pool" else []
    layers, block = list(module.features), [SameConv2d, nn.BatchNorm2d, *pool, nn.ReLU]
    return (
        [type(layer) for layer in layers] == block * module.blocks
        and type(module.head) is nn.Linear
        and all(n.eps == EPSILON for n in layers if isinstance(n, nn.BatchNorm2d))
        and not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    )

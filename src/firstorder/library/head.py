"""A head for another number of classes than in training."""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta
from firstorder.network import Network


class Start(NamedTuple):
    """Where the inner loop starts: the network, what the outer loop has learnt, the inner state."""

    network: Network
    meta: Meta
    state: State


def with_ways(start: Start, trained: int, ways: int, algorithm: str) -> Start:
    """Return a start whose last layer tells another number of classes apart.

    Each class's weights in the new head are the mean of those of the trained head, and so with all that
    is kept for each weight. Training has dealt the classes of its tasks to the outputs at random, so the
    trained rows are draws of one row, and their mean is a start that prefers no class.

    Args:
        start: from training.
        trained: the ways of training.
        ways: those wanted.
        algorithm: the name of the algorithm.

    Raises:
        ValueError: the network does not end in a linear layer with an output a class, or the algorithm
            has learnt something whose form depends on the head.
    """
    network = start.network
    name = network.layout.last_layer
    head = network.module.get_submodule(name)
    advice = f"the checkpoint was trained on tasks of {trained} classes: give {trained}, not {ways}"
    if not isinstance(head, nn.Linear) or head.out_features != trained:
        kind = type(network.module).__name__
        raise ValueError(f"{advice}; {kind} does not end in a linear layer with an output a class")
    size = network.layout.sizes

    def resized(values: Tensor, what: str) -> Tensor:
        if values.dim() == 0:
            return values
        if values.shape != (sum(size),):
            raise ValueError(f"{advice}; {algorithm} has learnt {what} for these alone")
        pieces = []
        for (key, shape), piece in zip(network.layout.items(), values.split(size), strict=True):
            if key.rpartition(".")[0] == name:
                row = piece.view(shape).mean(0, keepdim=True)
                piece = row.expand(ways, *shape[1:]).flatten()
            pieces.append(piece)
        return torch.cat(pieces)

    meta = {key: resized(values, key) for key, values in start.meta.items()}
    resized_state = [resized(values, "its optimiser's state") for values in start.state]
    kind_of_state = type(start.state)
    state = kind_of_state(*resized_state) if resized_state else start.state
    module = deepcopy(network.module)
    module.set_submodule(name, nn.Linear(head.in_features, ways, bias=head.bias is not None))
    return Start(Network(module), meta, state)

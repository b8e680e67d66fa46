"""What a network must know of the data: `${source:channels,1}` in a network's config.

The source says the shape of its inputs from its settings alone, before any data are read.
"""

from math import prod

import torch
from torch import nn

from firstorder.data.source import TaskSource


def measure(source: TaskSource, what: str, ways: int, default: int) -> int:
    """Return one size that a network for these tasks must have.

    Args:
        source: where tasks come from.
        what: "channels" and "image_size" of square images; "inputs", the numbers in an input;
            "outputs", the ways of a classification, the numbers in a target of a regression; or
            what some sources say of themselves: "pixels", "words", "length".
        ways: N, classes a task.
        default: the size where the source does not say the shape of its inputs.

    Raises:
        ValueError: its inputs are not square images, or no words.
    """
    if what == "outputs":
        return prod(getattr(source, "output_shape", (ways,)))
    shape = getattr(source, "input_shape", None)
    if what == "words" and shape and not hasattr(source, what):
        raise ValueError(
            f"data={source.name} does not say how many words it has, and this network takes sequences of"
            " words: choose another network, such as model=mlp, or set model.words"
        )
    if what in ("pixels", "words", "length"):
        return int(getattr(source, what, default))
    if shape is None:
        return default
    if what == "inputs":
        return prod(shape)
    assert what in ("channels", "image_size"), what
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(
            f"data={source.name} has inputs of shape {shape} and this network takes square images:"
            " choose another network, such as model=mlp"
        )
    return shape[0] if what == "channels" else shape[1]


def check_fit(module: nn.Module, source: TaskSource, ways: int) -> None:
    """Try a network on inputs of the source's shape, before any data are read.

    Raises:
        ValueError: it does not take them, or has not an output for each class.
    """
    name, shape = type(module).__name__, getattr(source, "input_shape", None)
    if shape is None:  # the learner tries it on the first task
        return
    highest = getattr(source, "words", 1) - 1  # the number of the last word; 0 where there are none
    try:
        with torch.no_grad():
            outputs = module(torch.full((2, *shape), float(highest)))
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"{name} does not take inputs of shape {shape}, those of {source.name}: see the settings of"
            f" model.* ({error})"
        ) from error
    wanted = measure(source, "outputs", ways, ways)
    if outputs.shape[1:].numel() != wanted:
        raise ValueError(
            f"{name} gives {outputs.shape[1:].numel()} outputs an input, where tasks of {source.name}"
            f" with data.ways={ways} want {wanted}: see the settings of model.*"
        )
    source.kind.check_network(module, shape)

"""An inner loop as graphs in the ONNX format, for a program that has no Python."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from firstorder.engine import as_written
from firstorder.engines.convolution import AS_PRODUCTS
from firstorder.inner_loop import step
from firstorder.library.adaptation import Adaptation
from firstorder.task.episode import Episode

Function = Callable[..., Sequence[Tensor]]


def step_graph(adaptation: Adaptation) -> tuple[bytes, list[Tensor]]:
    """Return the graph of one inner step, and the values that the first starts from.

    The graph takes start_0, start_1, ... (the weights, then the optimiser's state), and a mini-batch x
    and y of the size that the adaptation has; it returns the new ones, in this order.

    Raises:
        ValueError: the network draws random numbers, or has an operation that ONNX is not written with.
    """
    evaluator = adaptation.evaluator
    if evaluator.context.is_random:
        raise ValueError("a network that draws random numbers, such as dropout, cannot be exported")
    loop = evaluator.algorithm.inner(evaluator.loss, adaptation.start.meta, evaluator.context)
    phi, kind = loop.phi.detach(), type(adaptation.start.state)
    start = [phi, *(each.detach() for each in adaptation.start.state)]

    def one_step(*given: Tensor) -> Sequence[Tensor]:
        phi, *values, x, y = given
        taken = step(loop.loss, loop.optimizer, phi, kind(*values), (x, y))
        return taken.phi, *taken.state

    batch = next(adaptation.task.support_batches())
    names = [f"start_{index}" for index in range(len(start))]
    return graph(
        one_step, {**dict(zip(names, start, strict=True)), "x": batch[0], "y": batch[1]}
    ), start


def answer_graph(adaptation: Adaptation, query: Tensor) -> bytes:
    """Return the graph of the answers to queries, each by itself, from phi, support and query."""
    network, kind, task = adaptation.start.network, adaptation.evaluator.kind, adaptation.task

    def answer(phi: Tensor, support: Tensor, query: Tensor) -> Sequence[Tensor]:
        asked = Episode(support, task.support_y, query, torch.zeros(len(query)), *task[4:])
        tasks = Episode(*(field[None] for field in asked))
        return (kind.answer(network, phi[None], tasks, together=False)[0],)

    phi = adaptation.start.meta["phi"].detach()
    return graph(answer, {"phi": phi, "support": task.support_x, "query": query})


def graph(function: Function, given: dict[str, Tensor]) -> bytes:
    """Return a function of tensors, its gradients written out, as an ONNX model.

    Raises:
        ValueError: an operation of the function has no counterpart there.
    """
    known: Any = {**core_aten_decompositions(), **AS_PRODUCTS}
    arguments = tuple(given.values())
    try:
        with as_written(), quiet():
            written_out = make_fx(function, decomposition_table=known)(*arguments)
            program = torch.onnx.export(  # the browser's runtime optimises by itself
                written_out,
                arguments,
                input_names=[*given],
                dynamo=True,
                verbose=False,
                optimize=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"the network cannot be written in the ONNX format ({first})") from error
    assert program is not None
    model = program.model_proto
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]  # which lines of which files of this machine they stem from
    return bytes(model.SerializeToString())


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the exporter tells of its own steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)

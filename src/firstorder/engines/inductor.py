"""Compile the inner step to machine code, once for each network and mini-batch shape.

The step is traced to a flat graph of tensor operations, which TorchInductor turns into a shared
library, kept under the cache root: a later run with the same graph loads it in milliseconds. What
runs is the same arithmetic in another order, equal to float tolerance.
"""

import hashlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import unwrap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._functorch.compile_utils import fx_graph_cse
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from firstorder.engine import as_written
from firstorder.engines.build import build_once, processor
from firstorder.engines.convolution import AS_PRODUCTS

logger = logging.getLogger(__name__)

Runner = Callable[[list[Tensor]], list[Tensor]]

WORTHWHILE = 20_000  # inner steps: at some milliseconds saved in each, they pay for half a minute


class Compiler:
    """Compile some functions, and keep them by the shapes that they were called with; an engine."""

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self._functions = [unwrap(function) for function in functions]
        self._compiled: dict[Any, tuple[Runner, Any]] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call a function of pytrees; their tensors are its inputs, the rest is compiled in."""
        if function not in self._functions:
            return NotImplemented
        leaves, structure = tree_flatten(args)
        if any(holds_tensors(leaf) for leaf in leaves):  # they would be compiled in as constants
            return NotImplemented
        tensors = [leaf.detach().contiguous() for leaf in leaves if isinstance(leaf, Tensor)]
        settings = tuple(leaf for leaf in leaves if not isinstance(leaf, Tensor))
        shapes = ((t.shape, t.dtype, t.device) for t in tensors)
        key = (function, settings, torch.get_num_threads(), *shapes)
        if key not in self._compiled:
            self._compiled[key] = compile_function(function, leaves, structure)
        runner, out = self._compiled[key]
        return tree_unflatten(runner(tensors), out)


def holds_tensors(setting: Any) -> bool:
    """Tell whether a dataclass among a call's settings, such as an optimiser, has tensors in it."""
    return is_dataclass(setting) and any(
        isinstance(value, Tensor) or holds_tensors(value) for value in vars(setting).values()
    )


def compile_function(
    function: Callable[..., Any], leaves: list[Any], structure: Any
) -> tuple[Runner, Any]:
    """Compile a function for arguments like these; return it and its output's structure."""
    tensors = [leaf.detach().contiguous() for leaf in leaves if isinstance(leaf, Tensor)]
    out: Any = None

    def flat(*tensors: Tensor) -> list[Tensor]:
        nonlocal out
        given = iter(tensors)
        filled = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        with as_written():
            outputs, out = tree_flatten(function(*tree_unflatten(filled, structure)))
        return outputs

    on_cpu = all(t.device.type == "cpu" for t in tensors)
    graph = make_fx(flat, decomposition_table=AS_PRODUCTS if on_cpu else {})(*tensors)
    graph = torch.fx.GraphModule(graph, fx_graph_cse(graph.graph))
    if on_cpu and any(n.target == torch.ops.aten.convolution.default for n in graph.graph.nodes):
        # What is left to fuse around a library's convolutions does not pay for its call from outside.
        logger.info("the inner step runs uncompiled: its images are too large for matrix products")
        return lambda tensors: flat(*tensors), out
    doing = "compiling the inner step, once for this network and batch size"
    name = f"{identity(graph, tensors)}.pt2"
    path = build_once(name, doing, lambda path: build(graph, tensors, path))
    return aoti_load_package(str(path)).loader.run, out


def build(graph: torch.fx.GraphModule, tensors: list[Tensor], path: Path) -> None:
    """Turn a graph into a library at the path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(graph, tuple(tensors))
        aoti_compile_and_package(exported, package_path=str(path))


def identity(graph: torch.fx.GraphModule, tensors: list[Tensor]) -> str:
    """Digest what a library depends on: the graph, the shapes, torch, the processor, its threads.

    Frozen weights and masks are compiled in, so their values count too.
    """
    constants = [t.detach() for t in (*graph.parameters(), *graph.buffers())]
    parts = [
        graph.code,
        [(t.shape, t.dtype, t.device) for t in (*tensors, *constants)],
        torch.__version__,
        processor(),
        torch.get_num_threads(),
    ]
    digest = hashlib.sha256(repr(parts).encode())
    for constant in constants:
        digest.update(constant.cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def is_worthwhile(setting: str, inner_steps: int) -> bool:
    """Tell whether to compile a network's own step for a run of so many inner steps.

    "auto" leaves short runs alone, whatever is cached: a run's numbers depend on its settings only.
    """
    return setting == "always" or inner_steps >= WORTHWHILE

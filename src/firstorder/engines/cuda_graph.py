"""Capture a whole inner loop in a CUDA graph, once for its settings and shapes, and replay it.

The kernels of a small network take microseconds, less than Python and the driver need to launch them, so
that a GPU waits most of the time. An inner loop has fixed shapes: recorded with its inputs at fixed
places, it is launched whole, in one call, after new inputs are copied to these places. Nothing in it may
wait for the device; a first call that is not recorded finds out whether something does.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from inspect import unwrap
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from firstorder.engine import as_written
from firstorder.engines.inductor import holds_tensors
from firstorder.engines.tasks_at_once import TasksAtOnce

logger = logging.getLogger(__name__)

Call = Callable[[list[Tensor]], list[Tensor]]


class Synchronizes(RuntimeError):
    """Something in a call waits for the device."""


class Recorder(Protocol):
    """Record what a call does on a device, to do it again.

    Attributes:
        device: the type of the device.
    """

    device: str

    def rehearse(self, call: Call, tensors: list[Tensor]) -> list[Tensor]:
        """Make the call as it is.

        Raises:
            Synchronizes: it can't be recorded.
        """
        ...

    def record(self, call: Call, tensors: list[Tensor]) -> tuple[Callable[[], None], list[Tensor]]:
        """Return what does the call again, and where its results lie after that.

        The tensors are read, and the results written, at the same places each time.
        """
        ...


class OnCuda:
    """Record a CUDA graph. All graphs use one pool of memory: they run in turn, results copied out."""

    device = "cuda"

    def __init__(self) -> None:
        self._pool: Any = None

    def rehearse(self, call: Call, tensors: list[Tensor]) -> list[Tensor]:
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            return call(tensors)
        except RuntimeError as error:
            if "synchronizing" in str(error):
                raise Synchronizes(str(error)) from error
            raise
        finally:
            torch.cuda.set_sync_debug_mode(mode)

    def record(self, call: Call, tensors: list[Tensor]) -> tuple[Callable[[], None], list[Tensor]]:
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads may allocate meanwhile, as the one does that pins batches.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = call(tensors)
        return graph.replay, outputs


class Replayed:
    """A recorded call. What goes in is copied to its place, what comes out is a copy.

    Args:
        recorder, call: what is recorded, and by whom.
        tensors: the first inputs.
    """

    def __init__(self, recorder: Recorder, call: Call, tensors: list[Tensor]) -> None:
        self._inputs = [t.clone(memory_format=torch.contiguous_format) for t in tensors]
        self._replay, self._outputs = recorder.record(call, self._inputs)

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        if tensors:
            torch._foreach_copy_(self._inputs, tensors)
        self._replay()
        return [output.detach().clone() for output in self._outputs]


class CudaGraphs:
    """Record some functions on a GPU, by their settings and the shapes they are called with; an engine.

    The first call with new settings or shapes is made as written: what never comes again is never
    recorded. Frozen parameters of a network are read where they lie.

    Args:
        functions: what is recorded, pure functions of pytrees.
        convolutions: of many tasks at once, "products" of patches, or those of the "library".
        required: stop at a function that can't be recorded, instead of saying so and going on without.
        recorder: of the device.

    Attributes:
        replayed: how often a recording was used.

    Raises:
        ValueError: a function waits for the device and `required`, at its first call.
    """

    def __init__(
        self,
        *functions: Callable[..., Any],
        convolutions: str = "products",
        required: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self._functions = {unwrap(function) for function in functions}
        self.convolutions, self.required = convolutions, required
        self.recorder: Recorder = recorder or OnCuda()
        self.replayed = 0
        self._results: dict[Any, TreeSpec] = {}  # the structure of each call's results, by its key
        self._recorded: dict[Any, Replayed] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what the function returns, or NotImplemented where it is not covered."""
        if function not in self._functions or not self._covers(tree_leaves(args)):
            return NotImplemented
        args = tuple(list(a) if isinstance(a, Iterator) else a for a in args)
        leaves, structure = tree_flatten(args)
        if not self._covers(leaves):
            return function(*args)  # what came one by one can't be given back
        tensors = [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor)]
        form = [None if isinstance(leaf, Tensor) else (leaf,) for leaf in leaves]
        shapes = ((t.shape, t.dtype, t.device) for t in tensors)
        key = (function, structure, *form, *precision(self.recorder.device), *shapes)

        def call(tensors: list[Tensor]) -> list[Tensor]:
            given = iter(tensors)
            filled = [setting[0] if setting else next(given) for setting in form]
            with as_written(), self._convolving(), without_cache(self.recorder.device):
                found, self._results[key] = tree_flatten(
                    function(*tree_unflatten(filled, structure))
                )
            return found

        if key not in self._results:
            try:
                results = self.recorder.rehearse(call, tensors)
            except Synchronizes as error:
                self._exclude(function, error)
                return function(*args)
        else:
            if key not in self._recorded:
                self._recorded[key] = Replayed(self.recorder, call, tensors)
            results = self._recorded[key](tensors)
            self.replayed += 1
        return tree_unflatten(results, self._results[key])

    def _covers(self, leaves: list[Any]) -> bool:
        """Tell whether all tensors among a call's leaves are on the device, and none in its settings."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        return (
            len(tensors) > 0
            and all(t.device.type == self.recorder.device and not t.requires_grad for t in tensors)
            and not any(holds_tensors(leaf) for leaf in leaves)
        )

    def _convolving(self) -> AbstractContextManager[Any]:
        return TasksAtOnce() if self.convolutions == "products" else nullcontext()

    def _exclude(self, function: Callable[..., Any], error: Synchronizes) -> None:
        """Leave a function to others from now on."""
        reason = f"it waits for the device ({' '.join(str(error).split())[:200]})"
        if self.required:
            raise ValueError(
                f"trainer.compile=always: the inner loop can't be recorded in a CUDA graph, {reason}:"
                " set trainer.compile=never, or change the network"
            ) from error
        logger.warning("the inner loop runs unrecorded, slower: %s", reason)
        self._functions.discard(function)


def precision(device: str) -> tuple[Any, ...]:
    """Return what else the arithmetic of a call depends on."""
    autocast = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
    return autocast, torch.get_float32_matmul_precision()


def without_cache(device: str) -> AbstractContextManager[Any]:
    """Go on with mixed precision as it is set, but keep no weight's cast for a later call."""
    enabled = torch.is_autocast_enabled(device)
    return (
        torch.autocast(device, enabled=enabled, cache_enabled=False) if enabled else nullcontext()
    )

"""How a pure function of tensors is run: as written, or by an engine that computes the same faster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, Protocol, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class Engine(Protocol):
    """Run a function in another way, with the same result to float tolerance."""

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what the function returns, or NotImplemented if the engine doesn't cover the call."""
        ...


_engines: ContextVar[tuple[Engine, ...]] = ContextVar("engines", default=())


def set_engines(*engines: Engine) -> None:
    """Run every `engine_call` by the first of these engines that covers it, or as written."""
    _engines.set(engines)


@contextmanager
def as_written() -> Iterator[None]:
    """Run every `engine_call` in here as written, as an engine needs to that looks into one."""
    token = _engines.set(())
    try:
        yield
    finally:
        _engines.reset(token)


def engine_call(function: Callable[P, R]) -> Callable[P, R]:
    """Let an engine run this pure function of tensors and of hashable settings.

    Inside torch.func's transforms (`grad`, `vmap`), which must see its operations, it runs as written.
    """
    bind = signature(function).bind

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        engines = _engines.get()
        if engines and not is_transformed():
            given = bind(*args, **kwargs).args if kwargs else args
            for engine in engines:
                result: R = engine.run(function, given)
                if result is not NotImplemented:
                    return result
        return function(*args, **kwargs)

    return call


def is_transformed() -> bool:
    """Tell whether this runs inside `grad`, `vmap` or another of torch.func's transforms."""
    return torch._C._functorch.maybe_current_level() is not None

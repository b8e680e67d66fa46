"""The structures of step.cpp, as ctypes has them: sizes and addresses."""

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int, c_void_p
from typing import Self

from torch import Tensor

from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer


class CVectors(ctypes.Structure):
    """Mirror `Vectors` of step.cpp."""

    _fields_ = [(name, c_void_p) for name in ("phi", "m", "v")]

    @classmethod
    def of(cls, *tensors: Tensor) -> Self:
        """Return where three tensors' numbers lie."""
        return cls(*(tensor.data_ptr() for tensor in tensors))


class CTensors(ctypes.Structure):
    """Mirror `Tensors` of step.cpp."""

    _fields_ = [
        ("x", c_void_p), ("y", c_void_p), ("old", CVectors), ("new", CVectors), ("losses", c_void_p)
    ]  # fmt: skip


class COptimizer(ctypes.Structure):
    """Mirror `Optimizer` of step.cpp."""

    _fields_ = [("adam", c_int), *((name, c_float) for name in ("lr", "beta1", "beta2", "eps"))]

    @classmethod
    def of(cls, optimizer: InnerOptimizer) -> Self:
        """Return the settings of SGD or Adam."""
        if isinstance(optimizer, Adam):
            return cls(1, optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.eps)
        assert isinstance(optimizer, SGD)
        return cls(0, optimizer.lr)


def addresses(tensors: Sequence[Tensor]) -> "ctypes.Array[c_void_p]":
    """Return where the tensors' numbers lie."""
    return (c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))

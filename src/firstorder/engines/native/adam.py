"""Adam's step and its derivative on plain vectors, by the same code as inside an inner step."""

from ctypes import CDLL, byref

import torch
from torch import Tensor

from firstorder.engines.native.structures import COptimizer, CVectors
from firstorder.inner_optimizer import Adam, AdamState
from firstorder.second_order import Cotangents, Point


def adam_update(
    library: CDLL, optimizer: Adam, phi: Tensor, gradient: Tensor, state: AdamState
) -> tuple[Tensor, AdamState] | None:
    """Return what `update` returns; None where these are not vectors of float32 on the processor."""
    given = phi, state.m, state.v, gradient
    if not are_plain(*given):
        return None
    made = [torch.empty_like(phi) for _ in range(3)]
    library.update_weights(
        byref(COptimizer.of(optimizer)), CVectors.of(*given[:3]), CVectors.of(*made),
        gradient.data_ptr(), float(state.t) + 1, phi.numel(),
    )  # fmt: skip
    return made[0], AdamState(made[1], made[2], state.t + 1)


def adam_update_vjp(
    library: CDLL, optimizer: Adam, point: Point, of_phi: Tensor, of_state: AdamState
) -> tuple[Tensor, Cotangents] | None:
    """Return what `update_vjp` returns; None where these are not vectors of float32 on the processor."""
    assert isinstance(point.state, AdamState)
    given, of = (point.gradient, point.state.m, point.state.v), (of_phi, of_state.m, of_state.v)
    if not are_plain(*given, *of):
        return None
    made = [torch.empty_like(of_phi) for _ in range(3)]
    library.update_vjp(
        byref(COptimizer.of(optimizer)), CVectors.of(*given), CVectors.of(*of), CVectors.of(*made),
        float(point.state.t) + 1, of_phi.numel(),
    )  # fmt: skip
    return made[0], Cotangents(of_phi, AdamState(made[1], made[2], of_state.t), ())


def are_plain(*tensors: Tensor) -> bool:
    """Tell whether these are tensors that C++ can read as one row of numbers, all of one shape."""
    return all(
        t.device.type == "cpu"
        and t.dtype == torch.float32
        and t.is_contiguous()
        and not t.requires_grad
        and t.shape == tensors[0].shape
        for t in tensors
    )

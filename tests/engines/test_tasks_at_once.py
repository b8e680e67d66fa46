from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap
from torch.utils._python_dispatch import TorchDispatchMode

from firstorder.engine import as_written
from firstorder.engines import tasks_at_once
from firstorder.engines.tasks_at_once import TasksAtOnce
from firstorder.inner_loop import gradient_and_value
from firstorder.model import Conv4
from firstorder.network import Network
from firstorder.second_order import hessian_vector
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import SumOverTasks, TaskLoss

SHAPES = [  # (images, channels, side), (kernels, kernel side), stride, padding
    ((2, 3, 6), (4, 3), 1, 1),
    ((2, 3, 6), (4, 3), 2, 0),  # the last row is seen by no position
    ((1, 2, 7), (3, 3), 2, 1),
    ((2, 1, 7), (2, 2), 3, 0),  # steps over pixels
    ((2, 3, 4), (2, 1), 1, 0),
]


@pytest.mark.parametrize(("image", "kernel", "stride", "padding"), SHAPES)
@pytest.mark.parametrize("most", [2**28, 1])
def test_products_are_the_convolutions_of_all_tasks_with_both_derivatives(
    image: tuple[int, int, int], kernel: tuple[int, int], stride: int, padding: int, most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks_at_once, "MOST", most)  # all tasks at a time, and one
    torch.manual_seed(0)
    (n, channels, side), (number, k) = image, kernel
    x = torch.randn(3, n, channels, side, side + 1, dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, number, channels, k, k, dtype=torch.double, requires_grad=True)
    bias = torch.randn(3, number, dtype=torch.double, requires_grad=True)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return vmap(lambda *one: F.conv2d(*one, stride, padding))(x, weight, bias)

    def products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with TasksAtOnce():
            return convolve(x, weight, bias)

    inputs = x, weight, bias
    torch.testing.assert_close(products(*inputs), convolve(*inputs))
    torch.autograd.gradcheck(products, inputs, fast_mode=True)
    torch.autograd.gradgradcheck(products, inputs, fast_mode=True)


class Convolutions(TorchDispatchMode):
    """Count the library's convolutions."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.count += "convolution" in func.name()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("downsample", ["stride", "pool"])
def test_a_networks_gradients_and_hessians_take_no_convolution_of_a_library(
    downsample: str,
) -> None:
    torch.manual_seed(0)
    network = Network(Conv4(3, 1, 12, 4, downsample, conv_bias=True).double())  # type: ignore[arg-type]
    loss = SumOverTasks(TaskLoss(network, cross_entropy, "sum"))
    phi = network.initial() + 0.1 * torch.randn(2, len(network.initial()), dtype=torch.double)
    batch = torch.rand(2, 6, 1, 12, 12, dtype=torch.double), (torch.arange(12) % 3).view(2, 6)
    vector = torch.randn_like(phi)
    calls: list[Callable[[], object]] = [
        lambda: gradient_and_value(loss, phi, batch),
        lambda: hessian_vector(loss, phi, batch, vector),
    ]
    for call in calls:
        with as_written(), Convolutions() as library:
            expected = call()
        assert library.count > 0
        with as_written(), TasksAtOnce(), Convolutions() as none:
            found = call()
        assert none.count == 0
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_other_convolutions_stay_the_librarys() -> None:
    x, weight = torch.rand(2, 1, 2, 5, 5), torch.rand(2, 2, 2, 3, 3)

    def count(call: Callable[..., Tensor], *args: Tensor) -> int:
        with TasksAtOnce(), Convolutions() as library:
            call(*args)
        return library.count

    assert count(F.conv2d, x[0], weight[0]) == 1  # one task
    assert count(vmap(lambda x: F.conv2d(x, weight[0])), x) == 1  # kernels that all tasks share
    assert count(vmap(lambda *a: F.conv2d(*a, dilation=2)), x, weight) == 1
    assert count(vmap(lambda *a: F.conv2d(*a, padding="same")), x, weight) == 1
    assert count(vmap(lambda x, w: F.conv2d(x, w[:, :1], groups=2)), x, weight) == 1

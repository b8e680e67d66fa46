import pytest
import torch
import torch.nn.functional as F

from firstorder.engines.convolution import AS_PRODUCTS, convolution, convolution_backward

SHAPES = [  # (images, channels, side), (kernels, kernel side), stride, padding, groups
    ((3, 4, 7), (6, 3), 1, 0, 1),
    ((3, 4, 8), (6, 3), 2, 0, 1),  # the last row is seen by no position
    ((3, 4, 9), (6, 3), 2, 1, 1),
    ((2, 6, 8), (4, 3), 1, 1, 2),
    ((2, 6, 7), (9, 3), 2, 1, 3),
    ((2, 3, 8), (5, 3), 3, 0, 1),
    ((2, 3, 5), (5, 1), 1, 0, 1),
]


@pytest.mark.parametrize(("image", "kernel", "stride", "padding", "groups"), SHAPES)
def test_products_are_the_convolution_and_its_gradients(
    image: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    groups: int,
) -> None:
    torch.manual_seed(0)
    (n, channels, side), (kernels, k) = image, kernel
    x = torch.randn(n, channels, side, side + 2, dtype=torch.double, requires_grad=True)
    weight = torch.randn(kernels, channels // groups, k, k, dtype=torch.double, requires_grad=True)
    bias = torch.randn(kernels, dtype=torch.double, requires_grad=True)
    step, pad = [stride] * 2, [padding] * 2
    expected = F.conv2d(x, weight, bias, stride, padding, groups=groups)
    found = convolution(x, weight, bias, step, pad, [1, 1], False, [0, 0], groups)
    torch.testing.assert_close(found, expected)

    dy = torch.randn_like(expected)
    gradients = convolution_backward(
        dy, x, weight, [kernels], step, pad, [1, 1], False, [0, 0], groups, [True] * 3
    )
    wanted = torch.autograd.grad(expected, (x, weight, bias), dy)
    for gradient, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, other)


def test_only_the_gradients_asked_for_are_computed() -> None:
    x, weight, dy = torch.rand(1, 2, 4, 4), torch.rand(3, 2, 3, 3), torch.rand(1, 3, 2, 2)
    found = convolution_backward(
        dy, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
    )
    assert [gradient is None for gradient in found] == [True, False, True]


@pytest.mark.parametrize(
    ("side", "stride", "dilation", "transposed"),
    [(8, 1, 2, False), (8, 1, 1, True), (8, 4, 1, False), (200, 1, 1, False)],
)
def test_other_convolutions_stay_as_they_are(
    side: int, stride: int, dilation: int, transposed: bool
) -> None:
    x, weight = torch.rand(1, 3, side, side), torch.rand(3, 3, 3, 3)
    arguments = (x, weight, None, [stride] * 2, [0, 0], [dilation] * 2, transposed, [0, 0], 1)
    assert AS_PRODUCTS[torch.ops.aten.convolution.default](*arguments) is NotImplemented

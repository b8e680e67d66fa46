import pytest
import torch

from firstorder.engines.native.covered import is_published
from firstorder.model import Conv4
from firstorder.model.layers import SameConv2d, same_padding
from firstorder.network import Network


@pytest.mark.parametrize(
    ("side", "stride", "expected"),
    [(28, 2, (0, 1)), (14, 2, (0, 1)), (7, 2, (1, 1)), (4, 2, (0, 1)), (84, 1, (1, 1))],
)
def test_padding_is_tensorflows(side: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(side, stride) == expected


def test_an_even_side_is_padded_at_the_right_and_the_bottom_only() -> None:
    """A kernel that reads its own top left pixel sees pixels 0 and 2, and never the padding."""
    convolution = SameConv2d(1, 1, stride=2, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()[0, 0, 0, 0] = 1
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert convolution(image).flatten().tolist() == [0, 2, 8, 10]


def test_an_odd_side_is_padded_on_both() -> None:
    convolution = SameConv2d(1, 1, stride=2, bias=False)
    with torch.no_grad():
        convolution.weight.zero_()[0, 0, 0, 0] = 1
    image = torch.arange(9.0).view(1, 1, 3, 3)
    assert convolution(image).flatten().tolist() == [0, 0, 0, 4]


@pytest.mark.parametrize(
    ("ways", "bias", "count"),
    [
        # 9*64 + 3 * 9*64*64 weights, 4 * 2*64 of batch norm, 256*5 + 5 of the head
        (5, False, 576 + 110_592 + 512 + 1_285),
        (5, True, 576 + 110_592 + 512 + 1_285 + 256),
        (20, True, 576 + 110_592 + 512 + 5_140 + 256),
    ],
)
def test_the_omniglot_network_has_the_published_size(ways: int, bias: bool, count: int) -> None:
    network = Conv4(num_classes=ways, conv_bias=bias)
    assert sum(p.numel() for p in network.parameters()) == count
    assert network(torch.rand(3, 1, 28, 28)).shape == (3, ways)


@pytest.mark.parametrize(
    ("bias", "count"),
    # 27*32 + 3 * 9*32*32 weights, 4 * 2*32 of batch norm, 1152*5 + 5 of the head
    [(False, 864 + 27_648 + 256 + 5_765), (True, 864 + 27_648 + 256 + 5_765 + 128)],
)
def test_the_mini_imagenet_network_has_the_published_size(bias: bool, count: int) -> None:
    network = Conv4(
        num_classes=5, in_channels=3, image_size=84, filters=32, downsample="pool", conv_bias=bias
    )
    assert sum(p.numel() for p in network.parameters()) == count
    assert network.features(torch.rand(2, 3, 84, 84)).shape == (2, 32, 6, 6)


def test_convolution_biases_cannot_change_the_output() -> None:
    network, x = Conv4(num_classes=5, conv_bias=True), torch.rand(4, 1, 28, 28)
    before = network(x)
    with torch.no_grad():
        network.features[0].bias.normal_()  # type: ignore[union-attr, operator]
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    network = Conv4(num_classes=5, conv_bias=True)
    weight = network.features[3].weight
    bound = (6 / (9 * 64 + 9 * 64)) ** 0.5
    assert 0.98 * bound < weight.abs().max() <= bound  # type: ignore[operator]
    assert network.features[3].bias.abs().sum() == 0  # type: ignore[operator, union-attr]
    assert network.head.bias.abs().sum() == 0


def test_batch_norm_uses_the_statistics_of_the_batch_and_epsilon_1e_3() -> None:
    norm = Conv4(num_classes=5).features[1]
    x = torch.randn(6, 64, 3, 3)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    torch.testing.assert_close(norm.eval()(x), (x - mean) / (variance + 1e-3).sqrt())


def test_an_unknown_downsampling_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"model.downsample=strid is not known, did you mean stride"
    ):
        Conv4(num_classes=5, downsample="strid")


def test_dropout_makes_it_random_and_runs_as_any_other_network() -> None:
    assert not Network(Conv4(5)).is_random
    network = Network(Conv4(5, dropout=0.2))
    assert network.is_random
    assert not is_published(network)
    x = torch.rand(3, 1, 28, 28)
    phi = network.initial()
    assert torch.equal(network.predict(phi, x), Network(Conv4(5)).predict(phi, x))

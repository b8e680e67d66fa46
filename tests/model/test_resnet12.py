import torch
from torch import nn

from firstorder.model import ResNet12
from firstorder.model.dropblock import DropBlock
from firstorder.network import Network


def test_it_has_the_literatures_size() -> None:
    """Lee et al. 2019: 12.4 million weights with their widths, the head left out."""
    network = ResNet12(5)
    head = sum(p.numel() for p in network.head.parameters())
    assert round((sum(p.numel() for p in network.parameters()) - head) / 1e6, 1) == 12.4
    assert (
        sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in network.modules()) == 12
    )


def test_it_takes_any_side_and_a_task_does_not_depend_on_another() -> None:
    network = Network(ResNet12(3, in_channels=1, image_size=10, widths=(2, 3, 4, 5)))
    assert not network.is_random
    assert network(network.initial(), torch.rand(4, 1, 10, 10)).shape == (4, 3)


def test_dropblock_drops_its_share_in_squares_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(50, 20, 16, 16)
    layer = DropBlock(0.1, 3)
    y = layer(x)
    dropped = (y == 0).float().mean().item()
    assert 0.09 < dropped < 0.1  # squares overlap
    assert abs(y.mean().item() - 1) < 1e-5
    whole = (
        nn.functional.max_pool2d((y != 0).float(), 3, stride=1) == 0
    )  # every hole is of whole squares
    covered = nn.functional.max_pool2d(nn.functional.pad(whole.float(), (2,) * 4), 3, stride=1)
    assert torch.equal(covered > 0, y == 0)
    assert layer.eval()(x) is x
    assert Network(ResNet12(3, 1, 10, widths=(2, 3, 4, 5), drop=0.1)).is_random


def test_dropblock_drops_as_much_of_a_small_map_on_each_of_its_sides() -> None:
    torch.manual_seed(0)
    dropped = (DropBlock(0.1, 5)(torch.ones(2000, 20, 6, 6)) == 0).float().mean((0, 1))
    assert abs(dropped.mean().item() - 0.1) < 0.01  # four places, seldom two at once
    torch.testing.assert_close(dropped, dropped.flip(0), atol=0.01, rtol=0)
    torch.testing.assert_close(dropped, dropped.flip(1), atol=0.01, rtol=0)

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
    assert 0.07 < dropped < 0.1  # squares overlap, and few begin at the edge
    assert abs(y.mean().item() - 1) < 1e-5
    inner = y[:, :, 1:-1, 1:-1] == 0  # every hole is part of a 3x3 one: none stands alone
    around = nn.functional.avg_pool2d((y == 0).float(), 3, stride=1)
    assert (around[inner] > 0.3).all()
    assert layer.eval()(x) is x
    assert Network(ResNet12(3, 1, 10, widths=(2, 3, 4, 5), drop=0.1)).is_random

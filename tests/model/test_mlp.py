import torch

from firstorder.model import MLP


def test_the_sine_network_is_1_64_64_1() -> None:
    network = MLP()
    assert [tuple(p.shape) for p in network.parameters() if p.dim() == 2] == [
        (64, 1),
        (64, 64),
        (1, 64),
    ]
    assert network(torch.zeros(7, 1)).shape == (7, 1)

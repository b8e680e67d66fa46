import torch

from firstorder.model import FourierMLP
from firstorder.network import Network


def test_directions_are_drawn_once_and_not_learnt() -> None:
    network = Network(FourierMLP(2, 8, 3.0, (4,), 1))
    assert list(network.constants()) == ["directions"]
    assert len(network.initial()) == 16 * 4 + 4 + 4 + 1


def test_it_sees_coordinates_through_waves_only() -> None:
    """Whole-number directions make it periodic in every coordinate."""
    network = FourierMLP(2, 8, 3.0, (4,), 1)
    network.directions.round_()
    x = torch.rand(5, 2)
    torch.testing.assert_close(
        network(x), network(x + torch.tensor([1.0, -2.0])), atol=1e-4, rtol=0
    )

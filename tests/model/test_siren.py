import torch

from firstorder.model import Siren


def test_its_sines_are_as_wide_in_every_layer() -> None:
    """Section 3.2 of its paper: w0 W x of later layers is about normal, of deviation 1."""
    torch.manual_seed(0)
    network = Siren(2, (256, 256, 256), 1)
    x = torch.rand(2000, 2) * 2 - 1
    for number, layer in enumerate(network.layers[:-1]):
        if number:
            assert 0.8 < (network.w0 * x @ layer.weight.T).std().item() < 1.2
        x = (network.w0 * layer(x)).sin()


def test_one_layer_is_the_formula() -> None:
    network = Siren(1, (3,), 1, w0=2.0)
    x = torch.tensor([[0.3], [-0.7]])
    first, last = network.layers
    by_hand = (2.0 * (x @ first.weight.T + first.bias)).sin() @ last.weight.T + last.bias + 0.5
    torch.testing.assert_close(network(x), by_hand)

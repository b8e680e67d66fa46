import pytest
import torch
from torch import nn
from torch.func import vmap

from firstorder.model import MLP, Conv4
from firstorder.network import Network


def test_the_vector_holds_the_modules_parameters_in_order() -> None:
    module = MLP()
    phi = Network(module).initial()
    assert torch.equal(phi, torch.cat([p.flatten() for p in module.parameters()]).detach())
    pieces = Network(module).unflatten(phi)
    assert all(torch.equal(pieces[name], p) for name, p in module.named_parameters())


def test_a_network_is_its_module_at_the_initial_vector() -> None:
    module, x = Conv4(num_classes=5, filters=4), torch.rand(3, 1, 28, 28)
    network = Network(module)
    torch.testing.assert_close(network(network.initial(), x), module(x))


def test_a_network_vectorises_over_tasks() -> None:
    network = Network(Conv4(num_classes=5, filters=4))
    phis = torch.stack([network.initial(), network.initial() * 1.5])
    x = torch.rand(2, 3, 1, 28, 28)
    each = torch.stack([network(phi, images) for phi, images in zip(phis, x, strict=True)])
    torch.testing.assert_close(vmap(network)(phis, x), each)


def test_buffers_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="track_running_stats=False"):
        Network(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))

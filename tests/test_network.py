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


def test_frozen_parameters_and_buffers_are_not_in_phi_but_count() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    module[0].weight.requires_grad_(False)
    module[1].register_buffer("scale", torch.tensor(2.0))
    network, x = Network(module), torch.rand(4, 2)
    assert list(network.layout) == ["0.bias", "1.weight", "1.bias"]
    assert network.initial().shape == (3 + 3 + 1,)
    assert set(network.constants()) == {"0.weight", "1.scale"}
    before = network(network.initial(), x)
    frozen = {"0.weight": torch.zeros(3, 2), "1.scale": torch.tensor(2.0)}
    network.set_constants(frozen)
    assert not torch.equal(network(network.initial(), x), before)
    with pytest.raises(ValueError, match="are not those of Sequential"):
        network.set_constants({})


def test_dropout_is_active_in_training_and_off_in_prediction() -> None:
    network = Network(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5)))
    phi, x = network.initial(), torch.rand(4, 8)
    assert network.is_random
    assert not torch.equal(network(phi, x), network(phi, x))
    assert torch.equal(network.predict(phi, x), network.predict(phi, x))
    assert not torch.equal(network(phi, x), network(phi, x))


def test_a_mask_covers_the_parameters_whose_names_start_so() -> None:
    layout = Network(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))).layout
    assert layout.last_layer == "1"
    assert layout.mask(["1"]).tolist() == [False] * 9 + [True] * 4
    assert layout.mask(["0.bias"]).sum() == 3
    assert layout.mask([""]).all()


def test_running_statistics_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="track_running_stats=False"):
        Network(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))

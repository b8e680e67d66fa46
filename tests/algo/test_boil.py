import pytest
import torch
from torch import nn

from firstorder.algo import MAML
from firstorder.algo.base import Context
from firstorder.algo.boil import BOIL
from firstorder.network import Network
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error

SETTINGS = {"inner_steps": 4, "inner_batch_size": 6, "inner_lr": 0.05}


def test_only_the_body_adapts_and_all_layers_learn() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 5), nn.Tanh()), nn.Linear(5, 1)).double()
    network, x = Network(module), torch.randn(4, 6, 2, dtype=torch.float64)
    loss, context = TaskLoss(network, squared_error, "sum"), Context(network.layout)
    batches = [(each, each.sum(1, keepdim=True).sin()) for each in x]
    boil, meta = BOIL(**SETTINGS), {"phi": network.initial()}
    state, head = boil.optimizer.init(meta["phi"]), context.layout.mask(["1"])
    adapted, _ = boil.adapt(loss, meta, state, batches, context)
    assert torch.equal(adapted[head], meta["phi"][head])
    assert (adapted[~head] != meta["phi"][~head]).all()
    found = boil.meta_gradient(loss, meta, state, batches, context).direction["phi"]
    assert (found != 0).all()
    whole = BOIL(**SETTINGS, layers=[""]).meta_gradient(loss, meta, state, batches, context)
    maml = MAML(**SETTINGS).meta_gradient(loss, meta, state, batches, context)
    torch.testing.assert_close(whole.direction["phi"], maml.direction["phi"])


def test_a_network_of_one_layer_has_no_body_to_adapt() -> None:
    with pytest.raises(ValueError, match="algo=boil finds nothing to adapt"):
        BOIL(**SETTINGS).must_take(Network(nn.Linear(2, 1)))

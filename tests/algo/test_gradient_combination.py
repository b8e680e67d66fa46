from typing import Any

import pytest
import torch
from torch import Tensor

from firstorder.algo import FOMAML, GradientCombination, Joint, MetaAlgorithm, Reptile
from firstorder.algo.base import Context

SETTINGS: dict[str, Any] = {"inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.05}
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def direction(algorithm: MetaAlgorithm) -> Tensor:
    state = algorithm.optimizer.init(PHI)
    return algorithm.meta_gradient(
        loss, {"phi": PHI}, state, BATCHES[: algorithm.inner_steps], Context()
    ).direction["phi"]


@pytest.mark.parametrize("inner_optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("weights", "dedicated"),
    [
        ([1, 1, 1], Reptile(**SETTINGS)),
        ([], Reptile(**SETTINGS)),
        ([0, 0, 1], FOMAML(**SETTINGS)),
        ([1, 0, 0], Joint(**{**SETTINGS, "inner_steps": 1})),
    ],
    ids=["reptile", "no_weights", "shared_tail_fomaml", "joint"],
)
def test_special_weights_are_the_dedicated_algorithms(
    weights: list[float], dedicated: MetaAlgorithm, inner_optimizer: str
) -> None:
    combination = GradientCombination(**SETTINGS, inner_optimizer=inner_optimizer, weights=weights)
    dedicated = type(dedicated)(**{**vars(dedicated), "inner_optimizer": inner_optimizer})
    torch.testing.assert_close(direction(combination), direction(dedicated))


def test_an_average_divides_by_the_sum_of_weights() -> None:
    total = GradientCombination(**SETTINGS, weights=[0, 1, 3])
    average = GradientCombination(**SETTINGS, weights=[0, 1, 3], average=True)
    torch.testing.assert_close(direction(average), direction(total) / 4)
    assert GradientCombination(**SETTINGS, average=True).step_weights == [1 / 3] * 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": [1.0, 2.0]}, "algo.weights=.* has 2 numbers for algo.inner_steps=3"),
        ({"weights": [1.0, -1.0, 0.0], "average": True}, "algo.weights=.* sum to 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        GradientCombination(**SETTINGS, **settings)

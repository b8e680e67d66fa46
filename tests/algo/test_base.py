from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from firstorder.algo import Reptile
from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.data.minibatches import cycle_minibatches
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, reptile
from firstorder.task.episode import Episode


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def tasks(count: int, tail: int = 0) -> Episode:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator, dtype=torch.float64)

    rng = np.random.default_rng(0)
    order = np.stack([cycle_minibatches(12, 4, 3, rng) for _ in range(count)])
    return Episode(
        draw(12, 5),
        draw(12),
        draw(tail, 5),
        draw(tail),
        torch.from_numpy(order),
        torch.zeros(count, dtype=torch.int64),
    )


PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
SETTINGS = {"inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.05, "meta_batch_size": 4}


def test_under_sgd_tasks_at_once_are_tasks_in_turn() -> None:
    serial = Reptile(**SETTINGS, inner_optimizer="sgd")
    parallel = replace(serial, parallel=True)
    in_turn = serial.meta_batch(loss, {"phi": PHI}, (), tasks(4), Context())
    at_once = parallel.meta_batch(loss, {"phi": PHI}, (), tasks(4), Context())
    torch.testing.assert_close(at_once.direction["phi"], in_turn.direction["phi"])
    torch.testing.assert_close(at_once.last_loss, in_turn.last_loss)


def test_a_meta_batch_is_the_mean_of_its_tasks() -> None:
    """Eq. 5."""
    serial = Reptile(**SETTINGS, inner_optimizer="sgd")
    batch = tasks(4)
    each = [
        serial.meta_gradient(loss, {"phi": PHI}, (), list(batch.task(i).batches()), Context())
        for i in range(4)
    ]
    expected = sum(found.direction["phi"] for found in each) / 4
    torch.testing.assert_close(
        serial.meta_batch(loss, {"phi": PHI}, (), batch, Context()).direction["phi"], expected
    )


def test_under_adam_the_state_flows_from_task_to_task() -> None:
    serial = Reptile(**SETTINGS)
    batch = tasks(2)
    state = serial.optimizer.init(PHI)
    first = serial.meta_gradient(
        loss, {"phi": PHI}, state, list(batch.task(0).batches()), Context()
    )
    second = serial.meta_gradient(
        loss, {"phi": PHI}, first.state, list(batch.task(1).batches()), Context()
    )
    both = serial.meta_batch(loss, {"phi": PHI}, state, batch, Context())
    assert torch.equal(
        both.direction["phi"], (first.direction["phi"] + second.direction["phi"]) / 2
    )
    assert all(torch.equal(a, b) for a, b in zip(both.state, second.state, strict=True))
    assert both.state[2] == 6  # steps counted across both tasks


def test_the_tail_is_the_last_mini_batch() -> None:
    with_tail = list(tasks(1, tail=7).task(0).batches())
    assert [len(x) for x, _ in with_tail] == [4, 4, 4, 7]
    assert len(list(tasks(1).task(0).batches())) == 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"inner_steps": 0}, "algo.inner_steps=0 must be at least 1"),
        ({"inner_lr": 0.0}, "algo.inner_lr=0.0 must be above 0"),
        ({"inner_optimizer": "adan"}, "did you mean adam"),
        ({"outer_optimizer": "Adm"}, "did you mean Adam"),
        ({"loss_reduction": "median"}, "algo.loss_reduction=median is not known"),
        ({"tail_shots": -1}, "algo.tail_shots=-1 must be at least 0"),
        ({"tail_shots": 5, "inner_steps": 1}, "algo.inner_steps must be at least 2"),
        ({"inner_options": {"eps": "a"}}, "algo.inner_options.eps=a must be a number"),
        ({"inner_options": {"beta1": [0.9]}}, r"algo.inner_options.beta1=\[0.9\] must be a number"),
        ({"inner_options": {"beta2": 5}}, "algo.inner_options.beta2=5 must be below 1"),
        (
            {"inner_optimizer": "sgd", "inner_options": {"weight_decay": -5}},
            "algo.inner_options.weight_decay=-5 must be at least 0",
        ),
    ],
)
def test_a_setting_that_cannot_be_met_is_named(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Reptile(**{**SETTINGS, **settings})  # type: ignore[arg-type]


def test_a_new_algorithm_is_one_method() -> None:
    @dataclass(frozen=True, kw_only=True)
    class HalfReptile(MetaAlgorithm):
        def meta_gradient(
            self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
        ) -> MetaGradient:
            found = reptile(*self.inner(loss, meta, context), state, batches)
            return found._replace(direction={"phi": found.direction["phi"] / 2})

    half = HalfReptile(**SETTINGS).meta_batch(
        loss, {"phi": PHI}, Reptile(**SETTINGS).optimizer.init(PHI), tasks(1), Context()
    )
    whole = Reptile(**SETTINGS).meta_batch(
        loss, {"phi": PHI}, Reptile(**SETTINGS).optimizer.init(PHI), tasks(1), Context()
    )
    torch.testing.assert_close(2 * half.direction["phi"], whole.direction["phi"])
    assert HalfReptile(**SETTINGS).name == "half_reptile"

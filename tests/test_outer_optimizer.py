import pytest
import torch
from torch.nn import Parameter

from firstorder import outer_optimizer
from firstorder.algo import Reptile

PHI = torch.tensor([1.0, 2.0])
ADAPTED = torch.tensor([3.0, -2.0])


def test_sgd_with_step_size_epsilon_is_the_papers_interpolation() -> None:
    phi = Parameter(PHI.clone())
    optimizer = outer_optimizer.build("SGD", [phi], 0.25, {})
    phi.grad = PHI - ADAPTED  # the direction that Reptile gives
    optimizer.step()
    torch.testing.assert_close(phi.data, PHI + 0.25 * (ADAPTED - PHI))


@pytest.mark.parametrize(
    ("lr", "optimizer", "is_taken"),
    [(1.0, "SGD", True), (1.0, "Adam", False), (0.001, "Adam", True), (1.0, "Adadelta", True)],
)
def test_the_step_of_interpolation_is_not_taken_for_one_of_adam(
    lr: float, optimizer: str, is_taken: bool
) -> None:
    settings = {"inner_steps": 2, "inner_batch_size": 1, "inner_lr": 0.1}
    if is_taken:
        Reptile(**settings, outer_lr=lr, outer_optimizer=optimizer)  # type: ignore[arg-type]
        return
    with pytest.raises(ValueError, match=r"algo.outer_lr=1.0 .* add algo.outer_lr=0.001"):
        Reptile(**settings, outer_lr=lr, outer_optimizer=optimizer)  # type: ignore[arg-type]


def test_a_list_among_the_options_is_the_tuple_that_torch_wants() -> None:
    built = outer_optimizer.build("Adam", [Parameter(PHI)], 0.001, {"betas": [0.5, 0.9]})
    assert built.defaults["betas"] == (0.5, 0.9)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"foo": 1}, "foo"), ({"lr": 1.0}, "algo.outer_lr"), ({"eps": -1.0}, "eps")],
)
def test_options_that_are_not_the_optimizers_are_refused_with_their_key(
    options: dict[str, float], told: str
) -> None:
    with pytest.raises(ValueError, match=rf"algo.outer_options=.*Adam.*{told}"):
        outer_optimizer.check("Adam", 0.001, options)

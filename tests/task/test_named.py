from unittest.mock import Mock, patch

import pytest
import torch
import torchmetrics
from torch import Tensor, nn

from firstorder.algo.evaluation import Evaluator
from firstorder.network import Network
from firstorder.task import Episode
from firstorder.task.classification import cross_entropy
from firstorder.task.named import Named

ZERO = torch.zeros(2, 1, 1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)


def scores_of(kind: Named, outputs: int, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the kind's scores of two tasks, and the predictions that they are of, (2, m, outputs)."""
    torch.manual_seed(0)
    network = Network(nn.Linear(3, outputs))
    x, phi = torch.rand(2, y.shape[1], 3), torch.randn(2, len(network.initial()))
    scores = kind.score(network, phi, Episode(x, y, x, y, *ZERO))
    predicted = torch.stack([network.predict(p, one) for p, one in zip(phi, x, strict=True)])
    return scores[kind.measure], predicted


def test_a_score_is_the_metric_of_each_task() -> None:
    y = torch.rand(2, 6, 1)
    kind = Named(False, metric="R2Score")
    found, predicted = scores_of(kind, 1, y)
    for score, one, target in zip(found, predicted, y, strict=True):
        expected = torchmetrics.functional.r2_score(one[:, 0], target[:, 0])
        torch.testing.assert_close(score, expected)
    assert kind.protocols == ("r2_score",)
    assert kind.higher_is_better
    assert not Named(False).higher_is_better


def test_the_usual_loss_and_score_of_classes_are_those_of_classification() -> None:
    y = torch.randint(4, (2, 6))
    kind = Named(True)
    found, predicted = scores_of(kind, 4, y)
    torch.testing.assert_close(found, (predicted.argmax(-1) == y).float().mean(1))
    assert kind.criterion is cross_entropy


def test_a_loss_is_torchs_for_each_example() -> None:
    kind = Named(False, loss="HuberLoss", loss_options={"delta": 0.5})
    prediction, target = torch.randn(5, 2), torch.randn(5, 2)
    losses = kind.criterion(prediction, target)
    assert losses.shape == (5,)
    torch.testing.assert_close(losses.mean(), nn.HuberLoss(delta=0.5)(prediction, target))


def test_a_task_that_diverged_is_nan() -> None:
    kind = Named(False)
    network = Network(nn.Linear(3, 1))
    x, phi = torch.rand(2, 4, 3), torch.full((2, 4), torch.nan)
    scores = kind.score(network, phi, Episode(x, x[..., :1], x, x[..., :1], *ZERO))
    assert scores["mean_squared_error"].isnan().all()


def test_a_metric_of_several_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="gives 4 numbers a task"):
        scores_of(
            Named(True, metric="Recall",
                  metric_options={"task": "multiclass", "num_classes": 4, "average": "none"}),
            4, torch.randint(4, (2, 6)),
        )  # fmt: skip


def test_a_metric_that_is_undefined_or_of_a_task_that_diverged_is_counted_as_the_worst() -> None:
    kind = Named(False, metric="PearsonCorrCoef")
    network = Network(nn.Linear(3, 1))
    x, y = torch.rand(2, 6, 3), torch.rand(2, 6, 1)
    constant = torch.stack([torch.zeros(4), torch.full((4,), torch.nan)])
    scores = kind.score(network, constant, Episode(x, y, x, y, *ZERO))
    assert scores[kind.measure].isnan().all()
    evaluator = Evaluator(Mock(), kind, Mock(network=Mock(is_random=False)))
    with patch.object(Evaluator, "_score", return_value=scores):
        counted, without_score = evaluator.score({}, (), Episode(x, y, x, y, *ZERO))
    assert without_score.tolist() == [True, True]
    assert counted[kind.measure].tolist() == [-1, -1]
    worst = {"PearsonCorrCoef": -1.0, "R2Score": float("-inf"), "MeanSquaredError": float("inf")}
    task = Episode(x, y, x, y, *ZERO)
    assert {name: Named(False, metric=name).score_if_diverged(task) for name in worst} == worst
    assert Named(True).score_if_diverged(task) == 0


def test_labels_of_the_usual_loss_can_be_smoothed() -> None:
    prediction, target = torch.randn(5, 3), torch.randint(3, (5,))
    losses = Named(True).smoothed(0.1)(prediction, target)
    expected = nn.functional.cross_entropy(prediction, target, label_smoothing=0.1)
    torch.testing.assert_close(losses.mean(), expected)
    with pytest.raises(ValueError, match=r"data\.source\.loss_options"):
        Named(True, loss="MultiMarginLoss").smoothed(0.1)
    with pytest.raises(ValueError, match="is for classes"):
        Named(False).smoothed(0.1)


NUMBERS, CLASSES = torch.rand(6, 1), torch.randint(3, (6,))


@pytest.mark.parametrize(
    ("kind", "y", "told"),
    [
        (Named(True, loss="MSELoss"), CLASSES, "loss=MSELoss does not go"),
        (Named(True, loss="HuberLoss"), CLASSES[:3], "loss=HuberLoss does not go"),
        (
            Named(False, loss="CrossEntropyLoss"),
            NUMBERS.long(),
            "loss=CrossEntropyLoss does not go",
        ),
        (Named(False, loss="TripletMarginLoss"), NUMBERS, "loss=TripletMarginLoss does not go"),
        (Named(False, metric="R2Score"), NUMBERS[:1], "metric=R2Score does not go .*two samples"),
        (Named(False, metric="BLEUScore"), NUMBERS, "metric=BLEUScore does not go"),
    ],
)
def test_a_loss_or_metric_that_does_not_fit_is_named_before_training(
    kind: Named, y: Tensor, told: str
) -> None:
    network, x = Network(nn.Linear(2, 3 if kind.has_classes else 1)), torch.rand(len(y), 2)
    task = Episode(x, y, x, y, *ZERO)
    usual = Named(kind.has_classes)
    usual.check_task(network, network.initial(), task)
    with pytest.raises(ValueError, match=rf"data\.source\.{told}"):
        kind.check_task(network, network.initial(), task)


def test_options_of_no_loss_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"data\.source\.loss_options=\{'delta': 1\} are of no loss"
    ):
        Named(False, loss_options={"delta": 1})

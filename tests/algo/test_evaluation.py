import numpy as np
import pytest
import torch
from torch import nn

from firstorder.algo import Reptile
from firstorder.algo.evaluation import EvaluationSettings, Evaluator, curve_steps
from firstorder.data.minibatches import cycle_minibatches
from firstorder.model import MLP, Conv4
from firstorder.network import Network
from firstorder.run.learner import MetaLearner
from firstorder.task import Classification, Regression, TaskKind
from firstorder.task.classification import (
    cross_entropy,
    predict_one_by_one,
    predict_transductively,
)
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error


def episodes(tasks: int, ways: int = 5, shots: int = 2, queries: int = 1) -> Episode:
    generator = torch.Generator().manual_seed(0)
    n, m = ways * shots, ways * queries
    rng = np.random.default_rng(0)
    order = np.stack([cycle_minibatches(n, 5, 3, rng) for _ in range(tasks)])
    return Episode(
        torch.rand(tasks, n, 1, 28, 28, generator=generator),
        torch.arange(ways).repeat_interleave(shots).expand(tasks, n),
        torch.rand(tasks, m, 1, 28, 28, generator=generator),
        torch.arange(ways).repeat_interleave(queries).expand(tasks, m),
        torch.from_numpy(order),
        torch.zeros(tasks, dtype=torch.int64),
    )


def test_one_by_one_is_a_pass_over_the_support_set_and_each_query_image() -> None:
    """Section 6.1: batch norm sees all training samples and a single test sample."""
    network = Network(Conv4(num_classes=5, filters=4))
    phi, task = network.initial(), episodes(1)
    support, query = task.support_x[0], task.query_x[0]
    each = [network(phi, torch.cat([support, image[None]]))[-1] for image in query]
    torch.testing.assert_close(predict_one_by_one(network, phi[None], task)[0], torch.stack(each))


def test_transduction_is_one_pass_over_the_query_set() -> None:
    network = Network(Conv4(num_classes=5, filters=4))
    phi, task = network.initial(), episodes(1)
    expected = network(phi, task.query_x[0])[None]
    torch.testing.assert_close(predict_transductively(network, phi[None], task), expected)
    assert not torch.allclose(predict_one_by_one(network, phi[None], task), expected)


def test_without_batch_norm_the_protocols_agree() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    phi, task = network.initial()[None], episodes(1)
    torch.testing.assert_close(
        predict_one_by_one(network, phi, task), predict_transductively(network, phi, task)
    )


@pytest.mark.parametrize("kind", [Classification(), Regression()])
def test_tasks_at_once_score_as_tasks_in_turn(kind: TaskKind) -> None:
    torch.manual_seed(0)
    algorithm = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.001)
    if isinstance(kind, Classification):
        module, tasks = Conv4(num_classes=5, filters=4), episodes(3)
    else:
        module = MLP()
        tasks = Episode(*(torch.randn(3, n, 1) for n in (10, 10, 20, 20)), *episodes(3)[4:])
    scores = [
        MetaLearner(
            algorithm,
            module,
            kind,
            outer_steps=1,
            evaluation=EvaluationSettings(parallel=parallel),
        ).evaluate(tasks)[0]
        for parallel in (False, True)
    ]
    assert scores[0].keys() == scores[1].keys()
    for name, values in scores[0].items():
        torch.testing.assert_close(scores[1][name], values, rtol=1e-3, atol=1e-4)


def test_accuracy_is_the_fraction_of_query_images_named_right() -> None:
    """A network that reads the label off the image, and one wrong label of five."""
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(5, 5, bias=False)))
    phi = torch.eye(5).flatten()
    images = torch.eye(5).view(5, 1, 1, 5)
    task = Episode(
        images,
        torch.arange(5),
        images,
        torch.tensor([0, 1, 2, 3, 0]),
        torch.zeros(1, 5, dtype=int),
        torch.tensor(0),
    )
    one = Episode(*(field[None] for field in task))
    loss = TaskLoss(network, cross_entropy, "sum")
    rule = Reptile(inner_steps=1, inner_batch_size=5, inner_lr=1e-6)
    state = rule.optimizer.init(phi)
    scores, diverged = Evaluator(rule, Classification(), loss).score({"phi": phi}, state, one)
    assert not diverged.any()
    assert scores["transductive"] == pytest.approx(0.8)
    assert scores["non_transductive"] == pytest.approx(0.8)


def test_a_task_that_diverges_counts_as_chance_and_is_told() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=1e38, inner_optimizer="sgd")
    evaluator = Evaluator(rule, Classification(), TaskLoss(network, cross_entropy, "sum"))
    scores, diverged = evaluator.score({"phi": network.initial()}, (), episodes(2))
    assert diverged.all()
    assert all(torch.equal(values, torch.full((2,), 0.2)) for values in scores.values())


def test_a_curve_starts_before_the_first_step_and_ends_after_the_last() -> None:
    assert curve_steps(5) == [0, 1, 2, 5]
    assert curve_steps(50) == [0, 1, 2, 5, 10, 20, 50]
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.1, inner_optimizer="sgd")
    evaluator = Evaluator(rule, Classification(), TaskLoss(network, cross_entropy, "sum"))
    meta, tasks = {"phi": network.initial()}, episodes(4)
    unadapted = evaluator.score(meta, (), tasks, steps=0)[0]["transductive"]
    logits = network(meta["phi"], tasks.query_x.flatten(0, 1)).unflatten(0, (4, -1))
    assert torch.equal(unadapted, (logits.argmax(-1) == tasks.query_y).float().mean(1))
    whole, all_steps = evaluator.score(meta, (), tasks), evaluator.score(meta, (), tasks, steps=3)
    assert torch.equal(whole[0]["transductive"], all_steps[0]["transductive"])


def test_permutations_average_the_probabilities_of_heads_in_other_orders() -> None:
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.05)
    loss, tasks, phi = TaskLoss(network, cross_entropy, "sum"), episodes(3), network.initial()
    state = rule.optimizer.init(phi)._replace(v=torch.rand(len(phi)))
    found, _ = Evaluator(rule, Classification(), loss, permutations=3).score(
        {"phi": phi}, state, tasks
    )
    chances = []
    for number in range(3):
        order = torch.arange(5)
        if number:
            order = torch.randperm(5, generator=torch.Generator().manual_seed(number))
        labels = tasks._replace(support_y=order[tasks.support_y])  # renumbered instead
        evaluator = Evaluator(rule, Classification(), loss)
        adapted = [evaluator.adapt({"phi": phi}, state, labels.task(i)) for i in range(3)]
        logits = predict_transductively(network, torch.stack(adapted), tasks)
        chances.append(logits.softmax(-1)[..., order])
    right = torch.stack(chances).mean(0).argmax(-1) == tasks.query_y
    torch.testing.assert_close(found["transductive"], right.float().mean(1))


def test_a_shared_head_makes_the_numbers_of_classes_void() -> None:
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.05)
    loss, tasks, meta = TaskLoss(network, cross_entropy, "sum"), episodes(6), {}
    meta["phi"], order = network.initial(), torch.tensor([3, 0, 4, 1, 2])
    others = tasks._replace(support_y=order[tasks.support_y], query_y=order[tasks.query_y])
    state = rule.optimizer.init(meta["phi"])
    evaluator = Evaluator(rule, Classification(), loss, shared_head=True)
    (one, _), (other, _) = (evaluator.score(meta, state, each) for each in (tasks, others))
    assert torch.equal(one["transductive"], other["transductive"])


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"eval\.tasks=0 must be at least 1"):
        EvaluationSettings(tasks=0)
    with pytest.raises(ValueError, match=r"eval\.monitor_every=-1 must be at least 0"):
        EvaluationSettings(monitor_every=-1)


def test_adapting_and_pictures_start_from_the_head_that_is_scored() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)))
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.05)
    loss, task, meta = (
        TaskLoss(network, cross_entropy, "sum"),
        episodes(1).task(0),
        {"phi": network.initial()},
    )
    shared = {"phi": network.layout.with_shared_head(meta["phi"])}
    state = rule.optimizer.init(meta["phi"])
    evaluator = Evaluator(rule, Classification(), loss, shared_head=True)
    plain = Evaluator(rule, Classification(), loss)
    assert torch.equal(evaluator.adapt(meta, state, task), plain.adapt(shared, state, task))
    for left in (state, None):
        points = evaluator.example(task, {"": (meta, left)}).weights[""]
        assert torch.equal(points[0], shared["phi"])


def test_orders_of_classes_are_for_tasks_that_number_them() -> None:
    settings = EvaluationSettings(permutations=2)
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.05)
    MetaLearner(rule, Conv4(5), Classification(), outer_steps=1, evaluation=settings)
    with pytest.raises(ValueError, match=r"eval\.permutations .* Regression do not: leave it at 1"):
        MetaLearner(rule, MLP(), Regression(), outer_steps=1, evaluation=settings)


def test_a_head_of_one_output_has_nothing_to_share() -> None:
    rule = Reptile(inner_steps=3, inner_batch_size=5, inner_lr=0.05)
    loss = TaskLoss(Network(MLP()), squared_error, "sum")
    with pytest.raises(ValueError, match=r"eval\.shared_head=true .* it has one"):
        Evaluator(rule, Regression(), loss, shared_head=True)

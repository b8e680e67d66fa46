from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from firstorder.analysis import PlainLearning
from firstorder.data import Sinusoid
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures
from firstorder.data.images.source import ImageSource
from firstorder.network import Network
from firstorder.task.classification import cross_entropy


class Shades(ImageSource):
    """Four classes of twelve images, told apart by their brightness."""

    name = "shades"

    def key(self) -> dict[str, object]:
        return {}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        for i in range(4):
            yield str(i), partial(self.of_class, i)

    def of_class(self, i: int) -> Pictures:
        noise = np.random.default_rng(i).integers(0, 40, (12, 3, 3, 1))
        return Pictures((60 * i + noise).astype(np.uint8), [])

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return {"train": [*names]}


@pytest.fixture
def study(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> PlainLearning:
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    torch.manual_seed(0)
    study = PlainLearning(
        source=Shades(), model=nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), betas=(0.0, 2.0),
        epsilons=(0.5,), step_sizes=(0.5,), inner_steps=3, batch_size=4, epochs=4, seeds=(0, 1),
    )  # fmt: skip
    study.source.prepare()
    return study


def test_a_sixth_of_each_class_is_held_out(study: PlainLearning) -> None:
    x, y = study.test
    assert y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    seen = {
        tuple(image.flatten().tolist()) for step in study.rounds(0) for b in step for image in b[0]
    }
    assert len(seen) == 40  # an epoch takes 36 of them, other ones each time
    assert not seen & {tuple(image.flatten().tolist()) for image in x}


def test_without_amplification_it_is_sgd_and_with_it_later_gradients_count_more(
    study: PlainLearning,
) -> None:
    """One round by hand: weights 1 - beta, 1, 1 + beta of three gradients taken on SGD's way."""
    (batches, *_) = study.rounds(0)
    network = Network(study.model)
    phi = network.initial()

    def gradient(point: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        point = point.clone().requires_grad_()
        (found,) = torch.autograd.grad(
            cross_entropy(network(point, batch[0]), batch[1]).mean(), point
        )
        return found

    point, gradients = phi, []
    for batch in batches:
        gradients.append(gradient(point, batch))
        point = point - 0.5 * gradients[-1]
    for beta in (0.0, 2.0):
        weights = (1 - beta, 1, 1 + beta)
        by_hand = phi - 0.5 * sum(w * g for w, g in zip(weights, gradients, strict=True))
        torch.testing.assert_close(study.round(network, phi, batches, beta, 1.0, 0.5), by_hand)
    halfway = study.round(network, phi, batches, 0.0, 0.5, 0.5)
    torch.testing.assert_close(halfway, (phi + point) / 2)


def test_every_method_is_measured_with_every_seed(study: PlainLearning) -> None:
    table = study.measure()
    assert table.method.tolist() == ["beta = 0", "beta = 2", "epsilon = 0.5"] * 2
    assert table["test accuracy"].between(0.25, 1).all()
    summary = study.summarise(table)
    assert len(summary) == 3
    assert len(study.draw(table).axes) == 1


def test_more_images_a_round_than_there_are_would_train_nothing(study: PlainLearning) -> None:
    with pytest.raises(ValueError, match=r"14 are 42 images, and shades has 40 .*batch_size"):
        replace(study, batch_size=14).measure()


def test_a_source_without_classes_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="data=sinusoid is no data set of images in classes"):
        PlainLearning(source=Sinusoid(), model=nn.Linear(1, 1))

import logging
from collections.abc import Sequence
from typing import ClassVar

import pytest
import torch

from firstorder.algo import Reptile
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data import Sinusoid
from firstorder.data.datamodule import EpisodeDataModule
from tests.data.conftest import Patches

EVALUATION = EvaluationSettings(tasks=3, inner_steps=2, inner_batch_size=2)


def module(source: object, tail_shots: int = 0, **settings: int) -> EpisodeDataModule:
    algorithm = Reptile(
        inner_steps=3, inner_batch_size=4, inner_lr=0.1, tail_shots=tail_shots, meta_batch_size=2
    )
    sizes = {"ways": 2, "shots": 3, "train_shots": 4, "outer_steps": 5, "seed": 0, **settings}
    return EpisodeDataModule(source, algorithm, EVALUATION, **sizes)  # type: ignore[arg-type]


def opened(data: EpisodeDataModule) -> EpisodeDataModule:
    data.prepare_data()
    data.setup()
    return data


def test_training_gets_its_shots_and_evaluation_its_own() -> None:
    data = opened(module(Patches()))
    train, test = data.training_sampler()[0], data.test_sampler()[0]
    assert (len(train.support_x), len(train.query_x), len(train.batch_indices)) == (2 * 4, 0, 3)
    assert (len(test.support_x), len(test.query_x), len(test.batch_indices)) == (2 * 3, 2 * 1, 2)


def test_a_separate_tail_comes_off_the_training_shots() -> None:
    train = opened(module(Patches(), tail_shots=1)).training_sampler()[0]
    assert (len(train.support_x), len(train.query_x), len(train.batch_indices)) == (2 * 3, 2 * 1, 2)


class NoValidation(Patches):
    """Patches without validation classes."""

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return {"train": list(names[:6]), "val": [], "test": list(names[6:])}


def test_validation_is_on_validation_classes() -> None:
    data = opened(module(Patches()))
    assert data.monitor_split == data.monitor_sampler().split == "val"
    assert data.monitor_prefix == "val"


def test_without_validation_classes_it_is_on_training_classes_and_named_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        data = opened(module(NoValidation()))
    assert data.monitor_split == data.monitor_sampler().split == "train"
    assert data.monitor_prefix == "train_tasks"
    assert "patches has no validation classes: train_tasks/* is measured on" in caplog.text
    assert opened(module(NoValidation(validation_classes=2))).monitor_prefix == "val"


def test_what_validation_is_on_is_not_told_where_there_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = module(NoValidation())
    data.prepare_data()
    with caplog.at_level(logging.INFO):
        data.setup("test")
    assert "no validation classes" not in caplog.text


def test_sine_waves_are_validated_on_a_split_of_their_own() -> None:
    assert opened(module(Sinusoid(), ways=1)).monitor_prefix == "val"


def test_the_data_are_described_once_although_lightning_prepares_twice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = module(Patches())
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            opened(data)
    assert caplog.text.count("fingerprint") == 1


@pytest.mark.parametrize("source", [Patches(), NoValidation()], ids=["val", "train"])
def test_a_size_is_named_by_the_setting_it_came_from_whatever_split_it_is_drawn_from(
    source: Patches,
) -> None:
    with pytest.raises(ValueError, match=r"takes 20 support .* has \d: lower data.shots or eval"):
        opened(module(source, shots=20))
    with pytest.raises(ValueError, match=r"takes 20 support .* has \d: lower data.train_shots$"):
        opened(module(source, train_shots=20))


def test_there_is_a_meta_batch_for_every_outer_iteration() -> None:
    loader = opened(module(Patches())).train_dataloader()
    assert len(loader) == 5
    assert next(iter(loader)).support_x.shape[0] == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ways": 3}, "data.ways=3"),
        ({"tail_shots": 4}, "algo.tail_shots=4 leaves none of data.train_shots=4"),
    ],
)
def test_a_size_that_cannot_be_met_fails_at_the_start(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        opened(module(Patches(), **settings))


def test_a_checkpoint_gives_the_source_back_what_it_knew_in_training() -> None:
    class Remembers(Sinusoid):
        known: ClassVar[dict[str, int]] = {"metres": 1}

        def state_dict(self) -> dict[str, int]:
            return self.known

        def load_state_dict(self, state: dict[str, int]) -> None:
            type(self).known = {**state, "again": 2}

    data = module(Remembers(), ways=1)
    checkpoint = {"EpisodeDataModule": data.state_dict()}  # where Lightning puts it
    data.load_state_dict(data.state_in(checkpoint))
    assert data.state_dict() == {"metres": 1, "again": 2}
    none = module(Sinusoid(), ways=1)
    none.load_state_dict(none.state_in({}))
    assert none.state_dict() == {}


def test_a_sine_wave_needs_no_preparation() -> None:
    assert opened(module(Sinusoid(), ways=1)).test_sampler()[0].support_x.shape == (3, 1)


def test_images_are_changed_at_random_in_training_alone() -> None:
    """Not where training classes are evaluated, so that a gap is one between classes."""
    plain, augmented = (
        opened(module(NoValidation(augment=names))) for names in ((), ("flip", "crop", "colour"))
    )
    assert torch.equal(
        plain.monitor_sampler()[0].support_x, augmented.monitor_sampler()[0].support_x
    )
    assert plain.training_sampler()[0].support_x.shape == (8, 1, 4, 4)
    changed = augmented.training_sampler()[0].support_x
    assert not torch.equal(plain.training_sampler()[0].support_x, changed)

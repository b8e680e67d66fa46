import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from firstorder.algo import Reptile
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data import Sinusoid
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.images.resident import resident
from firstorder.task.episode import Episode
from tests.data.conftest import Patches

CPU = torch.device("cpu")


def batches(source: Patches, on_device: Any, workers: int = 0) -> list[Episode]:
    """Return the first batches of training, validation and test as the learner gets them."""
    algorithm = Reptile(
        inner_steps=3, inner_batch_size=4, inner_lr=0.1, tail_shots=1, meta_batch_size=3
    )
    data = EpisodeDataModule(
        source, algorithm, EvaluationSettings(tasks=4, monitor_tasks=4, batch=3), seed=5, ways=2,
        shots=3, train_shots=4, outer_steps=2, workers=workers, on_device=on_device,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    raw = [batch for loader in loaders for batch in loader]
    assert (raw[0].support_x.dim() == 2) == (on_device == "always")
    return [data.transfer_batch_to_device(batch, CPU, 0) for batch in raw]


@pytest.mark.parametrize("rotations", [False, True])
def test_tasks_that_travel_as_places_are_the_same_to_the_bit(rotations: bool) -> None:
    drawn = batches(Patches(rotations=rotations), "never")
    looked_up = batches(Patches(rotations=rotations), "always")
    assert len(drawn) == len(looked_up) == 6
    for one, other in zip(drawn, looked_up, strict=True):
        for field, same in zip(one, other, strict=True):
            assert field.dtype == same.dtype
            assert torch.equal(field, same)


def test_other_processes_may_draw_the_places() -> None:
    here, there = (batches(Patches(rotations=True), "always", workers) for workers in (0, 1))
    assert all(torch.equal(a.support_x, b.support_x) for a, b in zip(here, there, strict=True))


def test_images_that_are_made_or_changed_for_a_task_stay_and_always_says_why() -> None:
    changed = Patches(augment=["flip"])
    for source in (Sinusoid(), changed):
        assert resident(source, torch.device("cuda"), "auto") is None
    with pytest.raises(
        ValueError, match=r"on_device=always cannot be: sinusoid is no data set of i"
    ):
        resident(Sinusoid(), CPU, "always")
    with pytest.raises(ValueError, match=r"data\.source\.augment changes the images of patches"):
        resident(changed, CPU, "always")
    assert resident(Patches(), CPU, "auto") is None


def test_auto_leaves_a_gpu_most_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source: Any = Patches()
    source.prepare()
    monkeypatch.setattr(
        torch.cuda, "mem_get_info", lambda device: (4 * source.pixels.nbytes - 1, 0)
    )
    with caplog.at_level(logging.INFO):
        assert resident(source, SimpleNamespace(type="cuda"), "auto") is None  # type: ignore[arg-type]
    assert "too large beside" in caplog.text

"""The episodes of a run, as Lightning asks for them."""

import logging
from dataclasses import replace
from typing import Any

import torch
from lightning import LightningDataModule

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.images.resident import OnDevice, ResidentImages, resident
from firstorder.data.sampler import MONITOR, TEST, TRAIN, EpisodeLoader, EpisodeSampler, MetaBatches
from firstorder.data.source import TaskSource
from firstorder.task.episode import Episode

logger = logging.getLogger(__name__)


class EpisodeDataModule(LightningDataModule):
    """Serve N-way K-shot episodes for training, for validation meanwhile, and for the final test.

    Validation is on tasks of the validation split, or, where a data set has none, on other tasks of the
    training split, see `monitor_split`. It never sees the test split, unless `eval.monitor_split=test`
    asks for a curve of test accuracy, on other tasks than those of the final test.

    Args:
        source: where tasks come from.
        algorithm: its hyper-parameters say how training tasks are cut into mini-batches.
        evaluation: the same for validation and test tasks.
        seed: every episode is a function of the seed, of its stream and of its index.
        ways: N, classes a task.
        shots: K, support images a class at evaluation.
        train_shots: images a class in training, the tail included.
        outer_steps: outer iterations, one meta-batch each.
        workers: processes that draw episodes ahead; 0 draws them in the training process.
        on_device: keep all images in the memory of the device, see `firstorder.data.images.resident`.

    Raises:
        ValueError: the tail leaves nothing to train on.
    """

    def __init__(
        self,
        source: TaskSource,
        algorithm: MetaAlgorithm,
        evaluation: EvaluationSettings,
        *,
        seed: int,
        ways: int,
        shots: int,
        train_shots: int,
        outer_steps: int,
        workers: int = 0,
        on_device: OnDevice = "never",
    ) -> None:
        super().__init__()
        if train_shots <= algorithm.tail_shots:
            raise ValueError(
                f"algo.tail_shots={algorithm.tail_shots} leaves none of data.train_shots={train_shots}"
                " for the mini-batches before the tail"
            )
        self.source, self.algorithm, self.evaluation = source, algorithm, evaluation
        self.seed, self.ways, self.shots, self.train_shots = seed, ways, shots, train_shots
        self.outer_steps, self.workers, self.on_device = outer_steps, workers, on_device
        self.test_split = "test"  # that the next test draws from
        self.train_tasks = min(evaluation.train_tasks, evaluation.tasks)
        self.images: ResidentImages | None = None
        self._is_prepared = self._is_open = False

    def prepare_data(self) -> None:
        """Fetch and prepare the data once, although Lightning asks again before the final test."""
        if not self._is_prepared:
            self.source.prepare()
            self._is_prepared = True

    def state_dict(self) -> dict[str, Any]:
        """Return what checkpoints remember of the data, such as units; nothing for most sources."""
        return self.source.state_dict() if hasattr(self.source, "state_dict") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if hasattr(self.source, "load_state_dict"):
            self.source.load_state_dict(state)

    @classmethod
    def state_in(cls, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint remembers of the data, where Lightning keeps it."""
        state: dict[str, Any] = checkpoint.get(cls.__qualname__, {})
        return state

    def setup(self, stage: str = "") -> None:
        """Open the data once, and draw an episode of each stream so that a wrong size fails at once."""
        if self._is_open:
            return
        self.source.setup()
        self._is_open = True
        # The test before the validation, which may be on training classes: where both are too large,
        # the sentence names data.shots.
        for sampler in (self.training_sampler(), self.test_sampler(), self.monitor_sampler()):
            sampler[0]
        if self.train_tasks:
            try:
                self._evaluation_sampler("train", TEST)[0]
            except ValueError as error:  # nothing but a number in results.json depends on them
                logger.info("tasks of the training classes are not evaluated: %s", error)
                self.train_tasks = 0
        self.images = resident(self.source, self.device, self.on_device)
        validates = stage != "test" and self.evaluation.monitor_every > 0
        reports = self.trainer is None or self.trainer.is_global_zero
        if validates and reports and self.monitor_split == "train":
            logger.info(
                "%s has no validation classes: %s/* is measured on tasks of the training classes",
                self.source.name,
                self.monitor_prefix,
            )

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def monitor_split(self) -> str:
        """The split that validation tasks are drawn from; known after `setup`."""
        if self.evaluation.monitor_split != "auto":
            return self.evaluation.monitor_split
        classes = self.source.classes  # empty where all splits are alike
        return "val" if not classes or classes.get("val", 0) > 0 else "train"

    @property
    def monitor_prefix(self) -> str:
        """The first part of the names of validation metrics, which says where they are measured."""
        return {"val": "val", "train": "train_tasks", "test": "test_tasks"}[self.monitor_split]

    @property
    def ranks(self) -> int:
        """The number of processes that share the tasks of this run."""
        return self.trainer.world_size if self.trainer else 1

    def training_sampler(self) -> EpisodeSampler:
        """Draw training tasks: the support set without the tail, and the tail as query set."""
        algorithm = self.algorithm
        return EpisodeSampler(
            source=self.source, split="train", stream=TRAIN, seed=self.seed, ways=self.ways,
            shots=self.train_shots - algorithm.tail_shots, query_shots=algorithm.tail_shots,
            steps=algorithm.support_steps, batch_size=algorithm.inner_batch_size,
            replacement=algorithm.replacement, size_settings="data.train_shots",
        )  # fmt: skip

    def monitor_sampler(self) -> EpisodeSampler:
        """Draw evaluation tasks for validation while training runs."""
        return self._evaluation_sampler(self.monitor_split, MONITOR)

    def test_sampler(self) -> EpisodeSampler:
        """Draw evaluation tasks for the final test; those of training classes are not trained on."""
        return self._evaluation_sampler(self.test_split, TEST)

    def _evaluation_sampler(self, split: str, stream: int) -> EpisodeSampler:
        settings, source = self.evaluation, self.source
        plain = source.unaugmented() if hasattr(source, "unaugmented") else source
        return EpisodeSampler(
            source=plain, split=split, stream=stream, seed=self.seed, ways=self.ways,
            shots=self.shots, query_shots=settings.query_shots,
            steps=settings.inner_steps, batch_size=settings.inner_batch_size,
            size_settings="data.shots or eval.query_shots",
        )  # fmt: skip

    def train_dataloader(self) -> EpisodeLoader:
        size = self.algorithm.meta_batch_size
        done = self.trainer.global_step if self.trainer else 0  # above 0 after a resume
        return self._loader(self.training_sampler(), self.outer_steps * size, size, start=done)

    def val_dataloader(self) -> EpisodeLoader:
        settings = self.evaluation
        return self._loader(
            self.monitor_sampler(), settings.monitor_tasks, settings.batch * self.ranks
        )

    def test_dataloader(self) -> EpisodeLoader:
        settings = self.evaluation
        tasks = settings.tasks if self.test_split == "test" else self.train_tasks
        return self._loader(self.test_sampler(), tasks, settings.batch * self.ranks)

    def transfer_batch_to_device(
        self, batch: Episode, device: torch.device, dataloader_idx: int
    ) -> Episode:
        """Move a batch to the device, without waiting for it; look up the images that lie there."""
        if batch.support_x.device != device:
            pinned = device.type == "cuda"  # see `_loader`
            batch = Episode(*(field.to(device, non_blocking=pinned) for field in batch))
        return self.images.look_up(batch) if self.images else batch

    def _loader(
        self, sampler: EpisodeSampler, episodes: int, size: int, start: int = 0
    ) -> EpisodeLoader:
        trainer = self.trainer
        rank = trainer.global_rank if trainer else 0
        on_gpu = self.device.type == "cuda"
        if self.images:
            sampler = replace(sampler, source=self.images.places)
        batches = MetaBatches(sampler, episodes, size, rank, self.ranks)
        return EpisodeLoader(batches, start=start, workers=self.workers, pin_memory=on_gpu)

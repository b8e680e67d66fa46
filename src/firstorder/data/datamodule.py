"""Serve the episodes of a run to Lightning."""

import torch
from lightning import LightningDataModule

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.sampler import MONITOR, TEST, TRAIN, EpisodeLoader, EpisodeSampler, MetaBatches
from firstorder.data.source import TaskSource
from firstorder.task.episode import Episode


class EpisodeDataModule(LightningDataModule):
    """Serve N-way K-shot episodes for training, for a look while it runs, and for the final test.

    The look goes to the validation split, or, where a data set has none, to fresh tasks from the
    training classes: never to the test split.

    Args:
        source: where tasks come from.
        algorithm: its hyper-parameters say how training tasks are cut into mini-batches.
        evaluation: the same for evaluation.
        seed: every episode is a function of it, of its stream and of its index.
        ways: N, classes a task.
        shots: K, support images a class at evaluation.
        train_shots: images a class in training, the tail included.
        outer_steps: outer iterations, one meta-batch each.
        workers: processes that draw episodes ahead; 0 draws them in the training process.

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
    ) -> None:
        super().__init__()
        if train_shots <= algorithm.tail_shots:
            raise ValueError(
                f"algo.tail_shots={algorithm.tail_shots} leaves none of data.train_shots={train_shots}"
                " for the mini-batches before the tail"
            )
        self.source, self.algorithm, self.evaluation = source, algorithm, evaluation
        self.seed, self.ways, self.shots, self.train_shots = seed, ways, shots, train_shots
        self.outer_steps, self.workers = outer_steps, workers
        self._is_open = False

    def prepare_data(self) -> None:
        self.source.prepare()

    def setup(self, stage: str = "") -> None:
        """Open the data, and draw one episode of each stream so that a wrong size fails at once."""
        if self._is_open:  # Lightning asks again before the final test
            return
        self.source.setup()
        self._is_open = True
        # The test before the validation, which may be on training classes: where both are too large,
        # the sentence names data.shots.
        for sampler in (self.training_sampler(), self.test_sampler(), self.monitor_sampler()):
            sampler[0]

    def training_sampler(self) -> EpisodeSampler:
        """Draw training tasks: the support set without the tail, and the tail as query set."""
        algorithm = self.algorithm
        return EpisodeSampler(
            source=self.source, split="train", stream=TRAIN, seed=self.seed, ways=self.ways,
            shots=self.train_shots - algorithm.tail_shots, query_shots=algorithm.tail_shots,
            steps=algorithm.support_steps, batch_size=algorithm.inner_batch_size,
            replacement=algorithm.replacement,
        )  # fmt: skip

    def monitor_sampler(self) -> EpisodeSampler:
        """Draw evaluation tasks for a look while training runs."""
        has_validation = self.source.classes.get("val", 1) > 0
        return self._evaluation_sampler("val" if has_validation else "train", MONITOR)

    def test_sampler(self) -> EpisodeSampler:
        """Draw evaluation tasks for the final test."""
        return self._evaluation_sampler("test", TEST)

    def _evaluation_sampler(self, split: str, stream: int) -> EpisodeSampler:
        settings = self.evaluation
        return EpisodeSampler(
            source=self.source, split=split, stream=stream, seed=self.seed, ways=self.ways,
            shots=self.shots, query_shots=settings.query_shots,
            steps=settings.inner_steps, batch_size=settings.inner_batch_size,
        )  # fmt: skip

    def train_dataloader(self) -> EpisodeLoader:
        size = self.algorithm.meta_batch_size
        done = self.trainer.global_step if self.trainer else 0  # above 0 after a resume
        return self._loader(self.training_sampler(), self.outer_steps * size, size, start=done)

    def val_dataloader(self) -> EpisodeLoader:
        settings = self.evaluation
        return self._loader(self.monitor_sampler(), settings.monitor_tasks, settings.batch)

    def test_dataloader(self) -> EpisodeLoader:
        settings = self.evaluation
        return self._loader(self.test_sampler(), settings.tasks, settings.batch)

    def transfer_batch_to_device(
        self, batch: Episode, device: torch.device, dataloader_idx: int
    ) -> Episode:
        """Move a batch as Lightning does, where there is anything to move: its walk costs as much."""
        if batch.support_x.device == device:
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def _loader(
        self, sampler: EpisodeSampler, episodes: int, size: int, start: int = 0
    ) -> EpisodeLoader:
        trainer = self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        on_gpu = trainer is not None and trainer.strategy.root_device.type == "cuda"
        batches = MetaBatches(sampler, episodes, size, rank, ranks)
        return EpisodeLoader(batches, start=start, workers=self.workers, pin_memory=on_gpu)

"""Serve the episodes of a run to Lightning."""

from lightning import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn

from firstorder.algo.base import MetaAlgorithm
from firstorder.data.episode import Episode
from firstorder.data.sampler import (
    MONITOR,
    TEST,
    TRAIN,
    EpisodeLoader,
    EpisodeSampler,
    MetaBatches,
)
from firstorder.data.source import TaskSource


class EpisodeDataModule(LightningDataModule):
    """Serve N-way K-shot episodes for training, for monitoring while it runs, and for the final test.

    Monitoring looks at the validation split, or, where a data set has none, at unseen tasks from
    the training classes: never at the test split.

    Args:
        source: where tasks come from.
        algorithm: its hyper-parameters say how training tasks are cut into mini-batches.
        seed: every episode is a function of it.
        ways: N, classes a task.
        shots: K, support images a class at evaluation.
        train_shots: images a class in training, the tail included.
        outer_steps: outer iterations, one meta-batch each.
        query_shots: query images a class at evaluation.
        tasks, monitor_tasks: episodes of the final test and of one look while training.
        inner_steps, inner_batch_size: mini-batches at evaluation.
        workers: processes that draw episodes ahead; 0 draws them in the training process.

    Raises:
        ValueError: a setting cannot be met, such as more ways than classes.
    """

    def __init__(
        self,
        source: TaskSource,
        algorithm: MetaAlgorithm,
        *,
        seed: int,
        ways: int,
        shots: int,
        train_shots: int,
        outer_steps: int,
        query_shots: int,
        tasks: int,
        monitor_tasks: int,
        inner_steps: int,
        inner_batch_size: int,
        workers: int = 0,
    ) -> None:
        super().__init__()
        support_shots = train_shots - algorithm.tail_shots
        if support_shots < 1:
            raise ValueError(
                f"algo.tail_shots={algorithm.tail_shots} leaves none of data.train_shots={train_shots}"
                " for the mini-batches before it"
            )
        self.source = source
        self.workers = workers
        self.monitor_split = "val" if source.classes.get("val", 1) else "train"
        self.seed, self.ways = seed, ways
        self.outer_steps, self.meta_batch_size = outer_steps, algorithm.meta_batch_size
        self.tasks, self.monitor_tasks = tasks, monitor_tasks
        self.train_sampler = EpisodeSampler(
            source=source, split="train", stream=TRAIN, seed=seed, ways=ways, shots=support_shots,
            query_shots=algorithm.tail_shots, steps=algorithm.support_steps,
            batch_size=algorithm.inner_batch_size, replacement=algorithm.replacement,
        )  # fmt: skip
        self.shots, self.query_shots = shots, query_shots
        self.inner_steps, self.inner_batch_size = inner_steps, inner_batch_size

    def evaluation_sampler(self, split: str, stream: int) -> EpisodeSampler:
        """Return the sampler of evaluation episodes from a split."""
        return EpisodeSampler(
            source=self.source, split=split, stream=stream, seed=self.seed, ways=self.ways,
            shots=self.shots, query_shots=self.query_shots, steps=self.inner_steps,
            batch_size=self.inner_batch_size,
        )  # fmt: skip

    def prepare_data(self) -> None:
        self.source.prepare()

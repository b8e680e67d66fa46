"""Your own arrays: a file, or a group of a table's rows, is a task."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Len

from firstorder.data.array_files import split_tasks
from firstorder.data.array_form import check_alike, digest, number_of_classes
from firstorder.data.array_task import SPLITS, HowToRead
from firstorder.data.scale import Scale, Scales, scales_in, state_of
from firstorder.data.source import Task, TaskSizeError
from firstorder.settings import NO_OPTIONS, Count, Filename, NonNegative, Options, Seed, checked
from firstorder.task.base import TaskKind
from firstorder.task.named import LossName, MetricName, Named

logger = logging.getLogger(__name__)


class Arrays:
    """Draw tasks from arrays: a person, a device, a patient with its inputs x and its targets y.

    `root` is a folder with a .npz file a task, which holds x, (n, ...), and y, (n,) or (n, ...); in
    folders train, test and perhaps val, or side by side, and then split at random. Or it is a Parquet
    or CSV file with a row an example: `group` names the column that says which task it belongs to,
    `targets` the columns of y; all other columns are x, and a column "split", if there is one, says
    train, val or test. Classes are whole numbers from 0 without gaps that mean the same in every task.

    A task of a run is `data.shots` of a task's examples, and `eval.query_shots` others, drawn at random.
    Tasks may be of any size that is at least that.

    Args:
        root: the folder or the file.
        task: whether y are numbers or classes.
        loss: a loss of torch.nn by name; CrossEntropyLoss for classes, MSELoss for numbers where None.
        loss_options: its arguments.
        metric: a metric of torchmetrics by name; Accuracy or MeanSquaredError where None.
        metric_options: its arguments.
        group: of a table, the column that says which task a row belongs to.
        targets: of a table, the columns to predict.
        standardise: shift and scale each input, and each number to predict, to mean 0 and deviation 1
            over the training tasks. Scores are then in those units, which checkpoints remember.
        ratios: shares of the tasks for training, validation and test, where nothing else splits them.
        split_seed: of that split.
        min_examples: leave out tasks with fewer examples; else they are an error where a run asks for
            more.

    Raises:
        ValueError: files that are missing or cannot be used; the sentence names them.
    """

    name = "arrays"

    @checked("data.source")
    def __init__(
        self,
        root: Filename,
        *,
        task: Literal["regression", "classification"] = "regression",
        loss: LossName | None = None,
        loss_options: Options = NO_OPTIONS,
        metric: MetricName | None = None,
        metric_options: Options = NO_OPTIONS,
        group: str | None = None,
        targets: Sequence[str] = (),
        standardise: bool = False,
        ratios: Annotated[Sequence[NonNegative], Len(3, 3)] = (0.64, 0.16, 0.2),
        split_seed: Seed = 0,
        min_examples: Count = 1,
    ) -> None:
        if not sum(ratios):
            raise ValueError(f"data.source.ratios={list(ratios)} leaves no share for any split")
        how = HowToRead(group, tuple(targets), tuple(ratios), split_seed)
        self.root, found = root, split_tasks(Path(root), how)
        self.tasks = {s: [t for t in found[s] if t.size >= min_examples] for s in SPLITS}
        self.left_out = [t.name for s in SPLITS for t in found[s] if t.size < min_examples]
        everything = [one for tasks in self.tasks.values() for one in tasks]
        self.has_classes = task == "classification"
        if self.has_classes:
            self.tasks = {s: [one.with_classes() for one in self.tasks[s]] for s in SPLITS}
            everything = [one for tasks in self.tasks.values() for one in tasks]
        first = check_alike(everything, root)
        self.input_shape: tuple[int, ...] = first.x.shape[1:]
        self.output_shape: tuple[int, ...] = first.y.shape[1:]
        if self.has_classes:
            self.output_shape = (number_of_classes(everything, root),)
        self.kind = self.kind_of(
            {"task": task, "loss": loss, "loss_options": loss_options, "metric": metric,
             "metric_options": metric_options}
        )  # fmt: skip
        self.classes = {split: len(tasks) for split, tasks in self.tasks.items()}
        stored, self.scales = self.tasks, scales_in({})
        self.tasks = {s: [one.in_float32() for one in stored[s]] for s in SPLITS}
        self.fingerprint = digest(self.tasks)
        if standardise:
            self._stored = stored
            self._standardise(self._measured_scales())

    @staticmethod
    def kind_of(settings: Mapping[str, Any]) -> TaskKind:
        """Return the kind of the tasks from the settings alone, for a checkpoint far from its data."""
        names = ("loss", "loss_options", "metric", "metric_options")
        has_classes = settings.get("task") == "classification"
        return Named(has_classes, **{name: settings.get(name) for name in names})

    def _measured_scales(self) -> Scales:
        train = self._stored["train"]
        if not train:
            raise ValueError(
                "data.source.standardise=true scales by the training tasks, and there are none: see"
                " data.source.ratios"
            )
        letters = "x" if self.has_classes else "xy"
        return {letter: Scale.of([getattr(one, letter) for one in train]) for letter in letters}

    def _standardise(self, scales: Scales) -> None:
        self.scales = scales
        self.tasks = {
            split: [one.scaled(scales) for one in tasks] for split, tasks in self._stored.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the scales, which a checkpoint remembers: the network knows no other units."""
        return state_of(self.scales)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Scale as the run that wrote a checkpoint did, whatever the training tasks are here.

        Raises:
            ValueError: that run scaled, and these data are not to be.
        """
        scales = scales_in(state)
        if scales and not self.scales:
            raise ValueError(
                "the checkpoint's network was trained on standardised numbers: set"
                " data.source.standardise=true"
            )
        if self.scales and not scales:
            logger.warning(
                "the checkpoint does not remember the units of its training: data.source.standardise"
                " scales by the training tasks of %s", self.root,
            )  # fmt: skip
        elif self.scales:
            self._standardise(scales)

    def prepare(self) -> None:
        """Say what there is, and what was left out."""
        sizes = [len(task.x) for tasks in self.tasks.values() for task in tasks]
        counts = ", ".join(f"{len(self.tasks[split])} {split}" for split in SPLITS)
        logger.info(
            "arrays: %s tasks of %d to %d examples, inputs of %s, %s %s",
            counts, min(sizes), max(sizes), self.input_shape, self.output_shape[0],
            "classes" if self.has_classes else "numbers to predict",
        )  # fmt: skip

        if self.left_out:
            logger.info("left out, of too few examples: %s", ", ".join(self.left_out))

    def setup(self) -> None:
        """Do nothing: everything lies in memory."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: a task of arrays is one, set data.ways=1")
        tasks = self.tasks[split]
        if not tasks:
            raise TaskSizeError(
                f"there are no {split} tasks: put some into a folder {split}, or write {split} into the"
                " column split of their table; where neither is there, see data.source.ratios"
            )
        task = tasks[rng.integers(len(tasks))]
        if shots + query_shots > (smallest := min(tasks, key=lambda one: len(one.x))).size:
            raise TaskSizeError(
                f"a {split} task takes {shots} support and {query_shots} query examples, and"
                f" {smallest.name} has {smallest.size}: lower data.shots, data.train_shots or"
                " eval.query_shots, or leave small tasks out by data.source.min_examples"
            )
        order = rng.permutation(task.size)[: shots + query_shots]
        x, y = task.x[order], task.y[order]
        return Task(x[:shots], y[:shots], x[shots:], y[shots:])

"""Tasks from any learn2learn MetaDataset or Taskset."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pkgutil import resolve_name
from typing import Any

import numpy as np
from filelock import FileLock
from torch.utils.data import Dataset

from firstorder.data.interop import import_learn2learn
from firstorder.data.source import Task, TaskSizeError
from firstorder.data.taskset import draw_images, first_image, meta_dataset
from firstorder.folders import cache_root, make_folder
from firstorder.settings import FunctionPath
from firstorder.task.classification import Classification


class Learn2Learn:
    """Draw classification tasks from the data sets that a function of yours returns.

    The function takes no arguments and returns {"train": ..., "val": ..., "test": ...}, where "val"
    may be left out, or the named tuple of learn2learn's benchmarks. Each split is a MetaDataset, or
    any torch dataset of (image, label), from which tasks of the run's size are drawn; or a Taskset,
    whose own transforms draw its tasks, which must have the run's size. Images are (C, H, W), uint8
    or float, or Pillow images; float images reach the network as they are.

    Global random generators are seeded for each task, so that a task depends on nothing else, and
    restored after it. Task i of a Taskset with num_tasks is always the same one.

    Args:
        factory: the function's address, "package.module:function".

    Raises:
        ValueError: `factory` is not of that form.
    """

    name = "learn2learn"
    kind = Classification()

    def __init__(self, factory: FunctionPath) -> None:
        module, _, function = factory.partition(":")
        if not (module and function.isidentifier()):
            raise ValueError(
                f"data.source.factory={factory} must be of the form package.module:function"
            )
        self.factory = factory

    def prepare(self) -> None:
        """Call the function for the first time, one process after another: it may download."""
        make_folder(cache_root())
        with FileLock(cache_root() / "learn2learn.lock"):
            self.setup()

    def setup(self) -> None:
        """Call the function unless this process has called it."""
        _ = self._splits

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of the first training image; None before the function was called."""
        if "_splits" not in self.__dict__ or "train" not in self._splits:
            return None
        dataset = meta_dataset(self._splits["train"])
        return first_image(dataset, dataset.labels[0]).shape

    @property
    def classes(self) -> dict[str, int]:
        """Return the number of classes in each split."""
        numbers = {split: len(meta_dataset(tasks).labels) for split, tasks in self._splits.items()}
        return {"val": 0, **numbers}

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of every class's label, size and first image."""
        digest = hashlib.sha256()
        for split, tasks in sorted(self._splits.items()):
            dataset = meta_dataset(tasks)
            for label in dataset.labels:
                image, images = first_image(dataset, label), dataset.labels_to_indices[label]
                digest.update(repr((split, label, len(images), image.shape)).encode())
                digest.update(image.tobytes())
        return digest.hexdigest()

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task, from the split's classes or by the split's Taskset.

        Raises:
            ValueError: the split is missing.
            TaskSizeError: it cannot give a task of this size.
        """
        if split not in self._splits:
            raise ValueError(f"{self.factory} returns no {split!r} split and this run needs one")
        try:
            x = draw_images(self._splits[split], rng, ways, shots + query_shots)
        except TaskSizeError as error:
            raise type(error)(
                f"The {split} split of {self.factory} {error}; this run asks for data.ways={ways} "
                f"classes of {shots + query_shots} images ({shots} support, {query_shots} query)"
            ) from None
        labels = np.arange(ways)
        return Task(
            x[:, :shots].reshape(-1, *x.shape[2:]),
            labels.repeat(shots),
            x[:, shots:].reshape(-1, *x.shape[2:]),
            labels.repeat(query_shots),
        )

    @cached_property
    def _splits(self) -> dict[str, Any]:
        data = import_learn2learn("data")  # before the function, which imports learn2learn itself
        returned = self._returned()
        returned = returned._asdict() if hasattr(returned, "_asdict") else returned
        if not isinstance(returned, Mapping):
            raise ValueError(
                f"{self.factory} returns a {type(returned).__name__}: let it return a dictionary of "
                "train, val and test"
            )
        splits = {}
        for name, tasks in returned.items():
            if not isinstance(tasks, data.Taskset | Dataset):
                raise ValueError(
                    f"The {name} split of {self.factory} is a {type(tasks).__name__}: return a "
                    "learn2learn MetaDataset or Taskset, or a torch dataset"
                )
            if not isinstance(tasks, data.Taskset | data.MetaDataset):
                tasks = data.MetaDataset(tasks)
            splits["val" if name == "validation" else name] = tasks
        return splits

    def _returned(self) -> Any:
        function = self._function()
        try:
            return function()
        except Exception as error:  # whatever it raises itself
            raise ValueError(
                f"data.source.factory={self.factory} was called and raised"
                f" {type(error).__name__}: {error}"
            ) from error

    def _function(self) -> Callable[[], Any]:
        try:
            return resolve_name(self.factory)
        except Exception as error:  # whatever the import of a module raises
            raise ValueError(
                f"data.source.factory={self.factory} cannot be imported ({error}): is PYTHONPATH set "
                "to the folder it is in?"
            ) from error

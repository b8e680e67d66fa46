"""Tasks from any learn2learn MetaDataset or Taskset."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import Dataset

from firstorder.data.images.source import sample
from firstorder.data.interop import import_learn2learn
from firstorder.data.source import Task
from firstorder.folders import cache_root, make_folder
from firstorder.settings import FunctionPath


class Learn2Learn:
    """Draw classification tasks from what a function of yours returns.

    The function takes no arguments and returns {"train": ..., "val": ..., "test": ...}, where "val"
    may be left out, or the named tuple of learn2learn's benchmarks. Each split is a MetaDataset, or
    any torch dataset of (image, label), from which tasks of the run's size are drawn; or a Taskset,
    whose own transforms draw its tasks, which must have the run's size. Images are (C, H, W), uint8
    or float, or Pillow images; float images reach the network as they are.

    Global random generators are seeded for each task, so that a task depends on nothing else, and
    put back after it. Task i of a Taskset with num_tasks is always the same one.

    Args:
        factory: where the function is, "package.module:function".

    Raises:
        ValueError: `factory` is not of that form.
    """

    name = "learn2learn"
    kind = "classification"
    input_shape = None  # known only once the function has been called

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
        """Call the function unless this process has."""
        _ = self._splits

    @property
    def classes(self) -> dict[str, int]:
        """Return the number of classes in each split."""
        found = {split: len(_dataset(tasks).labels) for split, tasks in self._splits.items()}
        return {"val": 0, **found}

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of every class's label, size and first image."""
        digest = hashlib.sha256()
        for split, tasks in sorted(self._splits.items()):
            dataset = _dataset(tasks)
            for label in dataset.labels:
                indices = dataset.labels_to_indices[label]
                with _seeded(0):
                    image = _to_numpy(dataset[indices[0]][0])
                digest.update(repr((split, label, len(indices), image.shape)).encode())
                digest.update(image.tobytes())
        return digest.hexdigest()

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task, from the split's classes or by the split's Taskset.

        Raises:
            ValueError: the split is missing, or cannot give a task of this size.
        """
        if split not in self._splits:
            raise ValueError(f"{self.factory} returns no {split!r} split and this run needs one")
        tasks = self._splits[split]
        draw_images = _from_taskset if _is_taskset(tasks) else _from_classes
        try:
            x = draw_images(tasks, rng, ways, shots + query_shots)
        except _Unfit as unfit:
            raise ValueError(
                f"The {split} split of {self.factory} {unfit}; this run asks for data.ways={ways} "
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
        data = import_learn2learn("data")  # first, so that the function's own import finds it
        made = self._function()()
        made = made._asdict() if hasattr(made, "_asdict") else made
        if not isinstance(made, Mapping):
            raise ValueError(
                f"{self.factory} returns a {type(made).__name__}: let it return a dictionary of "
                "train, val and test"
            )
        splits = {}
        for name, tasks in made.items():
            if not isinstance(tasks, data.Taskset | Dataset):
                raise ValueError(
                    f"The {name} split of {self.factory} is a {type(tasks).__name__}: return a "
                    "learn2learn MetaDataset or Taskset, or a torch dataset"
                )
            known = isinstance(tasks, data.Taskset | data.MetaDataset)
            splits["val" if name == "validation" else name] = (
                tasks if known else data.MetaDataset(tasks)
            )
        return splits

    def _function(self) -> Callable[[], Any]:
        try:
            return resolve_name(self.factory)
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"data.source.factory={self.factory} cannot be imported ({error}): is PYTHONPATH set "
                "to the folder it is in?"
            ) from error


class _Unfit(Exception):
    """Say what a split offers, where it is not what the run asks for."""


def _is_taskset(tasks: Any) -> bool:
    return hasattr(tasks, "sample_task_description")


def _dataset(tasks: Any) -> Any:
    """Return the MetaDataset of a split."""
    return tasks.dataset if _is_taskset(tasks) else tasks


def _from_classes(dataset: Any, rng: np.random.Generator, ways: int, images: int) -> np.ndarray:
    """Draw classes and images of each without replacement: (ways, images, ...)."""
    if ways > len(dataset.labels):
        raise _Unfit(f"has {len(dataset.labels)} classes")
    (chosen,) = sample(rng, np.array([len(dataset.labels)]), ways)
    indices = [dataset.labels_to_indices[dataset.labels[way]] for way in chosen]
    counts = np.array([len(members) for members in indices])
    if images > counts.min():
        raise _Unfit(f"has a class of {counts.min()} images")
    drawn = sample(rng, counts, images)
    with _seeded(int(rng.integers(2**32))):
        x = [
            _to_numpy(dataset[members[i]][0])
            for members, row in zip(indices, drawn, strict=True)
            for i in row
        ]
    return np.stack(x).reshape(ways, images, *x[0].shape)


def _from_taskset(taskset: Any, rng: np.random.Generator, ways: int, images: int) -> np.ndarray:
    """Let the Taskset draw, and sort its images by class, first come first: (ways, images, ...)."""
    number = int(rng.integers(taskset.num_tasks if taskset.num_tasks > 0 else 2**32))
    with _seeded(number):
        task = taskset.get_task(taskset.sample_task_description())
    if not isinstance(task, Sequence) or len(task) != 2:
        raise _Unfit("gives tasks that are not (images, labels): is LoadData among its transforms?")
    x, y = _to_numpy(task[0]), np.asarray(task[1])
    labels, first, counts = np.unique(y, return_index=True, return_counts=True)
    if len(labels) != ways or set(counts) != {images}:
        raise _Unfit(f"gives tasks of {len(labels)} classes of {counts.tolist()} images")
    rows = [np.flatnonzero(y == label) for label in labels[np.argsort(first)]]
    return x[np.stack(rows)]


def _to_numpy(image: Any) -> np.ndarray:
    """Return the image's uint8 or float32 array, channels first where it is a Pillow image."""
    if isinstance(image, torch.Tensor):
        array = image.numpy(force=True)
    elif isinstance(image, np.ndarray):
        array = image
    else:
        array = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return array if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators that learn2learn and image transforms use, and put them back."""
    with isolate_rng(include_cuda=False):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        yield

"""One task out of a learn2learn MetaDataset or Taskset, as arrays that are sorted by class."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng

from firstorder.data.sample import sample_without_replacement
from firstorder.data.source import TaskSizeError, TooFewImages


def is_taskset(tasks: Any) -> bool:
    """Tell a Taskset from a MetaDataset."""
    return hasattr(tasks, "sample_task_description")


def meta_dataset(tasks: Any) -> Any:
    """Return the MetaDataset of a split, which may be a Taskset."""
    return tasks.dataset if is_taskset(tasks) else tasks


def draw_images(tasks: Any, rng: np.random.Generator, ways: int, images: int) -> np.ndarray:
    """Draw classes, and images of each without replacement.

    Returns:
        (ways, images, C, H, W).

    Raises:
        TaskSizeError: the split cannot give such a task. The sentence says what it offers, as in "has
            5 classes", and the caller puts the name of the split in front.
    """
    draw = _draw_from_taskset if is_taskset(tasks) else _draw_from_classes
    return draw(tasks, rng, ways, images)


def first_image(dataset: Any, label: Any) -> np.ndarray:
    """Return the first image of a class of a MetaDataset."""
    with _global_seed(0):
        return _to_numpy(dataset[dataset.labels_to_indices[label][0]][0])


def _draw_from_classes(
    dataset: Any, rng: np.random.Generator, ways: int, images: int
) -> np.ndarray:
    """Draw classes and images of a MetaDataset."""
    if ways > len(dataset.labels):
        raise TaskSizeError(f"has {len(dataset.labels)} classes")
    (chosen,) = sample_without_replacement(rng, np.array([len(dataset.labels)]), ways)
    indices = [dataset.labels_to_indices[dataset.labels[way]] for way in chosen]
    counts = np.array([len(members) for members in indices])
    if images > counts.min():
        raise TooFewImages(f"has a class of {counts.min()} images")
    drawn = sample_without_replacement(rng, counts, images)
    with _global_seed(int(rng.integers(2**32))):
        x = [
            _to_numpy(dataset[members[i]][0])
            for members, row in zip(indices, drawn, strict=True)
            for i in row
        ]
    return np.stack(x).reshape(ways, images, *x[0].shape)


def _draw_from_taskset(
    taskset: Any, rng: np.random.Generator, ways: int, images: int
) -> np.ndarray:
    """Let the Taskset draw, and sort its images by class, classes in the order of appearance."""
    number = int(rng.integers(taskset.num_tasks if taskset.num_tasks > 0 else 2**32))
    with _global_seed(number):
        task = taskset.get_task(taskset.sample_task_description())
    if not isinstance(task, Sequence) or len(task) != 2:
        raise TaskSizeError(
            "gives tasks that are not (images, labels): is LoadData among its transforms?"
        )
    x, y = _to_numpy(task[0]), np.asarray(task[1])
    labels, first, counts = np.unique(y, return_index=True, return_counts=True)
    if len(labels) != ways or set(counts) != {images}:
        raise TaskSizeError(f"gives tasks of {len(labels)} classes of {counts.tolist()} images")
    rows = [np.flatnonzero(y == label) for label in labels[np.argsort(first)]]
    return x[np.stack(rows)]


def _to_numpy(image: Any) -> np.ndarray:
    """Return an image as uint8 or float32, with the channels of a Pillow image moved to the front."""
    if isinstance(image, torch.Tensor):
        array = image.numpy(force=True)
    elif isinstance(image, np.ndarray):
        array = image
    else:
        array = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return array if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators that learn2learn and image transforms use; restore them afterwards."""
    with isolate_rng(include_cuda=False):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        yield

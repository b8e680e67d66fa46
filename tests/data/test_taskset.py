import importlib.util
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from firstorder.data.interop import INSTALL, import_learn2learn
from firstorder.data.taskset import draw_images

CLASSES, IMAGES = 6, 4

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("learn2learn") is None,
    reason=f"learn2learn is not installed: {INSTALL}",
)


def images(first_label=0):
    """Give every image its label and its number within the class as pixels."""
    labels = torch.arange(first_label, first_label + CLASSES).repeat(IMAGES)
    numbers = torch.arange(IMAGES).repeat_interleave(CLASSES)
    pixels = torch.stack([labels, numbers], dim=1).to(torch.uint8)
    return TensorDataset(pixels.reshape(-1, 2, 1, 1), labels)


def meta_dataset(first_label=0):
    return import_learn2learn("data").MetaDataset(images(first_label))


def taskset(ways=3, shots=2, num_tasks=-1, load=True):
    data = import_learn2learn("data")
    dataset = data.MetaDataset(images())
    transforms = [data.transforms.FusedNWaysKShots(dataset, n=ways, k=shots)]
    if load:
        transforms += [data.transforms.LoadData(dataset), data.transforms.RemapLabels(dataset)]
    return data.Taskset(dataset, transforms, num_tasks=num_tasks)


@pytest.mark.parametrize("make", [meta_dataset, taskset])
def test_images_are_grouped_by_class_and_are_different_ones(make):
    for seed in range(20):
        drawn = draw_images(make(), np.random.default_rng(seed), ways=3, images=2)
        assert drawn.shape == (3, 2, 2, 1, 1)
        labels, numbers = drawn.reshape(3, 2, 2).transpose(2, 0, 1)
        assert (labels[:, 0] == labels[:, 1]).all()
        assert len(set(labels[:, 0])) == 3
        assert (numbers[:, 0] != numbers[:, 1]).all()


def test_drawing_leaves_the_global_generators_as_they_were():
    tasks = taskset()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    draw_images(tasks, np.random.default_rng(0), ways=3, images=2)
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_a_taskset_with_num_tasks_has_only_so_many_tasks():
    tasks = taskset(num_tasks=2)
    drawn = [draw_images(tasks, np.random.default_rng(i), ways=3, images=2) for i in range(30)]
    assert len({images.tobytes() for images in drawn}) == 2


class Pictures(Dataset):
    """Pillow images, two of each of three classes named by strings."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return Image.new("RGB", (5, 4), (i, 0, 255)), "abc"[i // 2]


def test_pillow_images_come_channels_first():
    dataset = import_learn2learn("data").MetaDataset(Pictures())
    drawn = draw_images(dataset, np.random.default_rng(0), ways=2, images=2)
    assert drawn.shape == (2, 2, 3, 4, 5)
    assert drawn.dtype == np.uint8
    assert (drawn[:, :, 2] == 255).all()


def test_float_images_stay_what_they_are():
    images = TensorDataset(torch.full((4, 1, 2, 2), -0.5), torch.tensor([0, 0, 1, 1]))
    dataset = import_learn2learn("data").MetaDataset(images)
    drawn = draw_images(dataset, np.random.default_rng(0), ways=2, images=2)
    assert drawn.dtype == np.float32
    assert (drawn == -0.5).all()

"""Tasks from learn2learn are tasks like any other."""

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from firstorder.data.interop import INSTALL
from firstorder.data.learn2learn import Learn2Learn
from firstorder.data.source import TaskSizeError
from tests.data.test_taskset import CLASSES, IMAGES, images, meta_dataset, taskset

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("learn2learn") is None,
    reason=f"learn2learn is not installed: {INSTALL}",
)


@pytest.fixture
def source(monkeypatch):
    """Return a function that makes a source of what a user's function returns."""

    def make(splits):
        module = ModuleType("my_tasks")
        monkeypatch.setattr(module, "make", lambda: splits, raising=False)
        monkeypatch.setitem(sys.modules, "my_tasks", module)
        return Learn2Learn("my_tasks:make")

    return make


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("make", [meta_dataset, images, taskset])
def test_a_task_has_distinct_classes_in_order_of_draw_and_distinct_images(source, make):
    made = source({"train": make(), "test": make()})
    for seed in range(20):
        task = made.draw("train", rng(seed), 3, 1, 1)
        assert task.support_x.shape == task.query_x.shape == (3, 2, 1, 1)
        assert task.support_x.dtype == np.uint8
        assert task.support_y.tolist() == task.query_y.tolist() == [0, 1, 2]
        support, query = task.support_x.reshape(3, 2), task.query_x.reshape(3, 2)
        assert len(set(support[:, 0])) == 3
        assert (support[:, 0] == query[:, 0]).all()  # the same class
        assert (support[:, 1] != query[:, 1]).all()  # another image of it


@pytest.mark.parametrize("make", [meta_dataset, taskset, lambda: taskset(num_tasks=5)])
def test_a_task_depends_on_its_generator_alone(source, make):
    made, again = source({"train": make()}), source({"train": make()})
    tasks = [made.draw("train", rng(seed), 3, 1, 1) for seed in (0, 1, 0)]
    random.random()  # whatever else draws
    alone = again.draw("train", rng(0), 3, 1, 1)
    for field, expected, repeated in zip(alone, tasks[0], tasks[2], strict=True):
        np.testing.assert_array_equal(field, expected)
        np.testing.assert_array_equal(field, repeated)


def test_the_named_tuple_of_the_benchmarks_is_understood(source):
    tasksets = namedtuple("tasksets", ("train", "validation", "test"))
    made = source(tasksets(taskset(), taskset(), taskset()))
    assert made.classes == {"train": CLASSES, "val": CLASSES, "test": CLASSES}


def test_a_validation_split_may_be_left_out(source):
    made = source({"train": meta_dataset(), "test": meta_dataset(10)})
    assert made.classes == {"train": CLASSES, "val": 0, "test": CLASSES}


def test_the_shape_of_the_images_is_known_once_the_function_was_called(source):
    made = source({"train": taskset(), "test": taskset()})
    assert made.input_shape is None
    made.setup()
    assert made.input_shape == (2, 1, 1)


def test_the_fingerprint_tells_data_apart(source):
    prints = [source({"train": meta_dataset(label)}).fingerprint for label in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("make", "size", "sentence"),
    [
        (meta_dataset, (7, 1, 1), "train split .* has 6 classes; .* data.ways=7"),
        (meta_dataset, (2, 3, 2), "has a class of 4 images; .* 5 images"),
        (taskset, (2, 1, 1), r"gives tasks of 3 classes of \[2, 2, 2\] images; .*data.ways=2"),
        (lambda: taskset(load=False), (3, 1, 1), "not .images, labels.: is LoadData among"),
    ],
)
def test_a_task_that_a_split_cannot_give_is_refused(source, make, size, sentence):
    with pytest.raises(TaskSizeError, match=sentence):
        source({"train": make()}).draw("train", rng(), *size)


def test_a_missing_split_is_named(source):
    with pytest.raises(ValueError, match="my_tasks:make returns no 'test' split"):
        source({"train": meta_dataset()}).draw("test", rng(), 2, 1, 1)


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ([1, 2, 3], "returns a list: let it return a dictionary"),
        ({"train": 1}, "train split of my_tasks:make is a int: return a learn2learn"),
    ],
)
def test_what_is_no_task_set_is_refused(source, splits, sentence):
    with pytest.raises(ValueError, match=sentence):
        source(splits).setup()


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("my_tasks", "must be of the form package.module:function"),
        (
            "no_such_module:make",
            "cannot be imported .No module named 'no_such_module'.: is PYTHONPATH",
        ),
        ("firstorder.data:no_such", "no attribute 'no_such'"),
    ],
)
def test_a_function_that_is_not_found_is_named(factory, sentence):
    with pytest.raises(ValueError, match=sentence):
        Learn2Learn(factory).setup()


def test_what_the_function_raises_is_told_with_its_name(source, monkeypatch):
    made = source(None)
    monkeypatch.setattr(sys.modules["my_tasks"], "make", lambda: {}["root"])
    with pytest.raises(ValueError, match=r"factory=my_tasks:make .* raised KeyError: 'root'"):
        made.setup()


def test_preparing_calls_the_function_once(source, monkeypatch, tmp_path):
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    made, calls = source(None), []
    monkeypatch.setattr(
        sys.modules["my_tasks"], "make", lambda: calls.append(1) or {"train": meta_dataset()}
    )
    made.prepare()
    made.setup()
    assert len(calls) == 1


class ClassDataset:
    """Stand in for torchmeta's: a data set of the images of one class at each index."""

    def __init__(self, meta_split):
        self.split = ("train", "val", "test").index(meta_split)

    def __len__(self):
        return CLASSES

    def __getitem__(self, label):
        pixels = [label, self.split, 255]
        return [(torch.tensor(pixels, dtype=torch.uint8).reshape(3, 1, 1), "name")] * IMAGES


@pytest.fixture
def my_tasks(monkeypatch, tmp_path):
    """Follow the guide: export images from torchmeta, and write the module that reads them."""
    guide = (ROOT / "docs/learn2learn.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (module,) = (block for block in blocks if "def splits" in block)
    (export,) = (block for block in blocks if "MyClassDataset" in block)
    monkeypatch.chdir(tmp_path)
    exec(export, {"np": np, "MyClassDataset": ClassDataset})
    Path("my_tasks.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_tasks", raising=False)
    return tmp_path


def test_the_guide_moves_images_from_torchmeta(my_tasks):
    made = Learn2Learn("my_tasks:splits")
    assert made.classes == {"train": CLASSES, "val": CLASSES, "test": CLASSES}
    task = made.draw("test", rng(), 5, 2, 1)
    assert (task.support_x[:, 1] == 2).all()
    assert len(set(task.query_x[:, 0].flat)) == 5


def guide_commands():
    """Return the settings of the guide's runs."""
    guide = (ROOT / "docs/learn2learn.md").read_text().replace("\\\n", " ")
    return re.findall(r"^PYTHONPATH=. python src/train.py (.*)$", guide, re.MULTILINE)


@pytest.mark.parametrize("settings", guide_commands(), ids=["splits", "maml_omniglot"])
def test_the_guide_leads_to_a_run(my_tasks, settings):
    small = """
        data.shots=2 data.train_shots=4 algo.inner_steps=3 algo.meta_batch_size=1
        model.in_channels=3 model.image_size=1 model.filters=4
        trainer.max_steps=2 trainer.accelerator=cpu trainer.threads=1
        eval.inner_steps=1 eval.tasks=2 eval.batch=2 logger=csv hydra.run.dir=run
    """
    command = [sys.executable, str(ROOT / "src/train.py"), *settings.split(), *small.split()]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, check=True)
    results = json.loads((my_tasks / "run/results.json").read_text())
    assert results["data"]["classes"] == {"train": CLASSES, "val": CLASSES, "test": CLASSES}

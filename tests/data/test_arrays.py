import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from firstorder.data import Arrays


def write(folder: Path, number: int = 10, *, first: int = 0, classes: bool = False) -> Path:
    """Write tasks of different sizes; every example of task i begins with i."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(first, first + number):
        x = rng.standard_normal((6 + i, 3)).astype(np.float32)
        x[:, 0] = i
        y = rng.integers(0, 4, 6 + i) if classes else x.sum(1)
        np.savez(folder / f"task{i}.npz", x=x, y=y)
    return folder


def test_tasks_are_split_once_and_examples_never_asked_twice(tmp_path: Path) -> None:
    source = Arrays(str(write(tmp_path)), split_seed=3)
    drawn: dict[str, set[float]] = {"train": set(), "val": set(), "test": set()}
    for split, seen in drawn.items():
        for seed in range(60):
            task = source.draw(split, np.random.default_rng(seed), 1, 4, 2)
            assert task.support_x.shape == (4, 3)
            assert task.support_y.shape == (4, 1)
            assert len({*map(tuple, task.support_x), *map(tuple, task.query_x)}) == 6
            np.testing.assert_allclose(task.query_y[:, 0], task.query_x.sum(1), rtol=1e-5)
            (one,) = {*task.support_x[:, 0].tolist(), *task.query_x[:, 0].tolist()}
            seen.add(one)
    assert sorted(x for seen in drawn.values() for x in seen) == list(range(10))
    assert [len(seen) for seen in drawn.values()] == [6, 2, 2]


def test_folders_split_them_where_there_are_some(tmp_path: Path) -> None:
    write(tmp_path / "train", 3)
    write(tmp_path / "test", 2, first=3)
    source = Arrays(str(tmp_path))
    assert {split: len(tasks) for split, tasks in source.tasks.items()} == {
        "train": 3, "val": 0, "test": 2
    }  # fmt: skip
    with pytest.raises(ValueError, match="no val tasks"):
        source.draw("val", np.random.default_rng(0), 1, 2, 2)


def test_whole_numbers_are_classes_of_all_tasks(tmp_path: Path) -> None:
    source = Arrays(str(write(tmp_path, classes=True)), task="classification")
    assert source.output_shape == (4,)
    assert source.kind.measure == "accuracy"
    task = source.draw("train", np.random.default_rng(0), 1, 4, 2)
    assert task.support_y.dtype == np.int64
    assert task.support_y.shape == (4,)
    assert Arrays.kind_of({"task": "classification"}).measure == "accuracy"
    with pytest.raises(ValueError, match=r"npz must hold classes"):
        Arrays(str(write(tmp_path)), task="classification")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_is_the_same_tasks(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((40, 3)), columns=["age", "dose", "effect"])
    table["patient"] = np.repeat([f"p{i}" for i in range(10)], 4)
    path = tmp_path / f"trial.{suffix}"
    (table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path))
    source = Arrays(str(path), group="patient", targets=["effect"])
    tasks = {task.name.split()[1]: task for each in source.tasks.values() for task in each}
    assert len(tasks) == 10
    rows = table[table.patient == "p7"]
    np.testing.assert_allclose(tasks["p7"].x, rows[["age", "dose"]], rtol=1e-5)
    np.testing.assert_allclose(tasks["p7"].y, rows[["effect"]], rtol=1e-5)
    table["split"] = np.repeat(["train"] * 7 + ["test"] * 3, 4)
    (table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path))
    source = Arrays(str(path), group="patient", targets=["effect"])
    assert [len(source.tasks[split]) for split in ("train", "val", "test")] == [7, 0, 3]


def test_numbers_are_scaled_by_the_training_tasks(tmp_path: Path) -> None:
    source = Arrays(str(write(tmp_path)), standardise=True)
    x = np.concatenate([task.x for task in source.tasks["train"]])
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-5)


def test_scaling_loses_no_digits_of_large_numbers(tmp_path: Path) -> None:
    seconds = 1_700_000_000 + np.arange(5)  # float32 counts them in steps of 128
    for number in range(5):
        np.savez(tmp_path / f"{number}.npz", x=seconds, y=2.0 * seconds)
    source = Arrays(str(tmp_path), standardise=True)
    wanted = (np.arange(5) - 2) / np.sqrt(2)
    for task in source.tasks["test"]:
        assert task.x.dtype == task.y.dtype == np.float32
        np.testing.assert_allclose(task.x[:, 0], wanted, rtol=1e-6)
        np.testing.assert_allclose(task.y[:, 0], wanted, rtol=1e-6)


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_checkpoint_keeps_the_units_of_its_training(
    task: Literal["regression", "classification"], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        y = np.arange(6) % 2 if task == "classification" else np.arange(6)
        np.savez(tmp_path / f"{number}.npz", x=np.arange(6), y=y)
    trained = Arrays(str(tmp_path), task=task, standardise=True)
    for number in range(5):  # in centimetres, say, where it was metres
        np.savez(tmp_path / f"{number}.npz", x=np.arange(6) * 100, y=y)
    other = Arrays(str(tmp_path), task=task, standardise=True)
    np.testing.assert_allclose(other.tasks["test"][0].x, trained.tasks["test"][0].x)
    other.load_state_dict(trained.state_dict())
    deviation = np.arange(6).std()
    np.testing.assert_allclose(
        other.tasks["test"][0].x[:, 0], (np.arange(6) * 100 - 2.5) / deviation, rtol=1e-6
    )
    np.testing.assert_allclose(other.tasks["test"][0].y, trained.tasks["test"][0].y)
    other.load_state_dict({})
    assert "does not remember the units" in caplog.text


def test_what_never_changes_in_training_is_not_scaled(tmp_path: Path) -> None:
    for number in range(5):
        np.savez(tmp_path / f"{number}.npz", x=np.full(7, 0.1), y=np.arange(7))
    source = Arrays(str(tmp_path), standardise=True)
    np.testing.assert_allclose(source.tasks["train"][0].x, 0, atol=1e-6)


def test_the_fingerprint_is_of_the_values_and_the_split(tmp_path: Path) -> None:
    root = write(tmp_path)
    first = Arrays(str(root)).fingerprint
    assert Arrays(str(root)).fingerprint == first
    assert Arrays(str(root), split_seed=1).fingerprint != first
    with np.load(root / "task0.npz") as arrays:
        np.savez(root / "task0.npz", x=arrays["x"] + 1, y=arrays["y"])
    assert Arrays(str(root)).fingerprint != first


def test_small_tasks_are_left_out_by_request_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = str(write(tmp_path))
    with pytest.raises(ValueError, match=r"lower data\.shots"):
        Arrays(root).draw("train", np.random.default_rng(0), 1, 8, 5)
    source = Arrays(root, min_examples=13)
    source.draw("train", np.random.default_rng(0), 1, 8, 5)
    with caplog.at_level(logging.INFO):
        source.prepare()
    assert "task6.npz" in caplog.text
    assert "task7.npz" not in caplog.text


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "tasks")

    def refuses(words: str, **settings: object) -> None:
        with pytest.raises(ValueError, match=words):
            Arrays(str(root), **settings)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="there is no folder"):
        Arrays(str(tmp_path / "none"))
    refuses("no share", ratios=[0, 0, 0])
    refuses("metric_options", metric="R2Score", metric_options={"no": 1})
    refuses("is not known", loss="HubrLoss")
    np.savez(root / "task3.npz", x=np.zeros((5, 2)), y=np.zeros(5))
    refuses("task3.npz.*shape")
    np.savez(root / "task3.npz", x=np.full((5, 3), np.nan), y=np.zeros(5))
    refuses("task3.npz.*not finite")
    np.savez(root / "task3.npz", x=np.full((5, 3), 1e300), y=np.zeros(5))
    refuses("task3.npz.*too large for a network")
    np.savez(root / "task3.npz", x=np.zeros((5, 3)), y=np.zeros(4))
    refuses("task3.npz.*5 and 4")
    np.savez(root / "task3.npz", inputs=np.zeros((5, 3)))
    refuses("task3.npz is no .npz file with arrays x and y")
    (root / "task3.npz").write_bytes(b"half a fi")
    refuses("task3.npz is no .npz file with arrays x and y")
    table = tmp_path / "t.csv"
    table.write_text("who,a,b\nx,1,2\ny,3,four\n")
    root = table
    refuses("data.source.group")
    refuses("no column 'whom'", group="whom", targets=["b"])
    refuses("column 'b'.*not numbers", group="who", targets=["a"])
    table.write_text("who,a,b\nx,1,2\n,3,4\n")
    refuses("column 'who'.*names no task in 1 rows", group="who", targets=["b"])
    table.write_text("who,a,b\nx,1,2\nx,3,4\n")
    refuses(
        "standardise.*there are none",
        group="who",
        targets=["b"],
        standardise=True,
        ratios=[0, 0, 1],
    )


def test_one_number_an_example_is_a_vector_of_one(tmp_path: Path) -> None:
    for number in range(5):
        np.savez(tmp_path / f"{number}.npz", x=np.arange(4.0), y=np.arange(4.0))
    assert Arrays(str(tmp_path)).input_shape == (1,)


def test_classes_count_from_0_without_gaps(tmp_path: Path) -> None:
    for number in range(5):
        np.savez(tmp_path / f"{number}.npz", x=np.arange(4.0), y=[1, 2, 10**9, 2])
    with pytest.raises(
        ValueError, match=r"no task of .* has the class 0, and .* a class 1000000000"
    ):
        Arrays(str(tmp_path), task="classification")


def test_a_split_without_tasks_says_how_it_gets_some(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("who,a,b,split\n" + "".join(f"{i},{i},1,train\n" for i in range(5)))
    source = Arrays(str(table), group="who", targets=["b"])
    with pytest.raises(
        ValueError, match=r"there are no test tasks.*write test into the column split"
    ):
        source.draw("test", np.random.default_rng(0), 1, 1, 0)

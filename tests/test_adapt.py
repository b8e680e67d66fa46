"""A user's folders of images, told apart by a trained initialisation."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Script

NAMES = ("ring", "bar [bold]", "cro$$")


def draw(shape: int, rng: np.random.Generator) -> Image.Image:
    """Draw a ring, a bar or a cross, dark on white, at a random place."""
    y, x = np.mgrid[:40, :50]
    x, y = x - 25 - rng.integers(-2, 3), y - 20 - rng.integers(-2, 3)
    ink = (
        abs(np.hypot(x, y) - 11) < 2,
        abs(x) < 3,
        (abs(x - y) < 3) | (abs(x + y) < 3),
    )[shape]
    return Image.fromarray(np.where(ink, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images to learn from, `support`, and images to tell apart, `query`."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    (folder / "query").mkdir()
    for shape, name in enumerate(NAMES):
        (folder / "support" / name).mkdir(parents=True)
        for index in range(4):
            draw(shape, rng).save(folder / "support" / name / f"{index}.jpg")
            draw(shape, rng).convert("RGB").save(folder / "query" / f"{shape} {index}.png")
    return folder


def test_images_are_told_apart_by_the_names_of_their_folders(
    folder: Path, tiny_run: Path, script: Script
) -> None:
    done = script(
        "adapt.py", f"ckpt_path={tiny_run / 'checkpoints' / 'last.ckpt'}", "support=support",
        "query=query", "eval.inner_steps=40", "together=true", "hydra.run.dir=out", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((folder / "out" / "predictions.csv").open()))
    names = [Path(row["image"]).name for row in rows]
    assert names == sorted(path.name for path in (folder / "query").iterdir())
    right = [NAMES[int(name[0])] == row["predicted"] for name, row in zip(names, rows, strict=True)]
    assert sum(right) >= 10  # of 12, by a network that has hardly been trained, with 3 ways, not 5
    for row in rows:
        chances = {name: float(row[name]) for name in NAMES}
        assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
        assert max(chances, key=lambda name: chances[name]) == row["predicted"]
    assert Image.open(folder / "out" / "predictions.png").width > 500
    assert "2 3.png" in done.stdout
    assert "bar [bold]" in done.stdout


def test_what_is_missing_is_said_in_a_sentence(
    folder: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from firstorder.cli.adapt import classes_in, images_in

    (tmp_path / "one" / "a").mkdir(parents=True)
    (tmp_path / "two" / "a").mkdir(parents=True)
    (tmp_path / "two" / "b").mkdir(parents=True)
    (tmp_path / "loose" / "a").mkdir(parents=True)
    (tmp_path / "loose" / "dog.png").touch()
    for call, sentence in (
        (lambda: classes_in(tmp_path / "none"), "support=.*none is not a folder"),
        (
            lambda: classes_in(tmp_path / "one"),
            "must hold two folders of images or more, one for each class, and holds 1",
        ),
        (lambda: classes_in(tmp_path / "two"), "two/a holds no image"),
        (
            lambda: classes_in(tmp_path / "loose"),
            r"support=.*loose holds dog\.png beside the folders",
        ),
        (lambda: images_in(tmp_path / "none", "query"), "query=.*none is not a folder"),
        (lambda: images_in(tmp_path / "one" / "a", "query"), "query=.* holds no image"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


def test_a_command_without_a_checkpoint_says_so_and_leaves_nothing(
    script: Script, tmp_path: Path
) -> None:
    for given, sentence in (
        ([], "ckpt_path must be given: add ckpt_path=... to the command"),
        (["ckpt_path=none.ckpt", "support=a", "query=b"], "ckpt_path=none.ckpt is not a file"),
    ):
        done = script("adapt.py", *given, cwd=tmp_path)
        assert done.returncode == 1
        assert f"error: {sentence}" in done.stderr
        assert not list(tmp_path.glob("outputs/adapt/*"))

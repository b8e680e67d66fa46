"""What the README promises is run as it stands there."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, TINY, Script
from tests.pages import examples

README = (ROOT / "README.md").read_text()
EXAMPLES = examples(ROOT / "README.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the README's examples written where they say."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.egg-info"))
    for path, block in EXAMPLES.items():
        assert not (ROOT / path).exists(), f"the example {path} would overwrite a file"
        (folder / path).write_text(block)
    return folder


@pytest.mark.parametrize(
    "chosen", ["algo=mean_reptile", "model=softmax", "data=gratings"], ids=lambda c: c.split("=")[0]
)
def test_a_new_part_is_one_file_and_one_yaml(chosen: str, copy: Path, script: Script) -> None:
    group, name = chosen.split("=")
    overrides = [
        o for o in TINY if not o.startswith((f"{group}=", "model." if group == "model" else "-"))
    ]
    done = script(
        copy / "src" / "train.py", *overrides, chosen, "logger=csv", f"hydra.run.dir={name}",
        cwd=copy, PYTHONPATH=str(copy / "src"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((copy / name / "results.json").read_text())
    assert results["steps"] == 6
    if group == "algo":
        assert results["algo"] == name


def test_the_lines_of_a_program_run(tiny_run: Path, tmp_path: Path, monkeypatch) -> None:
    (lines,) = re.findall(r"```python\n(import firstorder\n.*?)```", README, flags=re.S)
    checkpoint = str(tiny_run / "checkpoints" / "last.ckpt")
    lines = lines.replace("outputs/.../checkpoints/last.ckpt", checkpoint)
    shorter = lines.replace("steps=500", "steps=2, progress=False")
    assert checkpoint in shorter != lines
    images = np.random.default_rng(0).integers(0, 255, (10, 28, 28), np.uint8)
    monkeypatch.chdir(tmp_path)
    given = {"images": images, "labels": [*"abcde"] * 2, "more": images[:3]}
    exec(shorter, given)
    assert set(given["adapted"].predict(images[:3])) <= set("abcde")
    assert (tmp_path / "letters.ckpt").is_file()

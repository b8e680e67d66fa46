"""A data set can be looked at before a run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "src/show.py"


def test_a_folder_of_images_is_shown_at_the_first_try(tmp_path):
    rng = np.random.default_rng(0)
    for name in "abcdefghij":
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(256, size=(20 + i, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{i}.jpg")
    command = [
        sys.executable, str(SCRIPT), "data=imagefolder", f"data.root={tmp_path / 'mine'}",
        "split=train", "data.ways=3", "data.shots=2", "query_shots=1", "episodes=2",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("imagefolder: 6 train, 2 val, 2 test classes of 4 images, 84x84x3")
    picture = tmp_path / "outputs" / "show_imagefolder" / "train.png"
    assert lines[-1] == f"2 episodes of imagefolder are drawn in {picture}"
    assert Image.open(picture).size[0] > 200

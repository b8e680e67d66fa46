"""The wheel alone, in an environment of its own and a folder that is not the repository."""

import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image

from tests.conftest import ROOT, TINY
from tests.test_readme import EXAMPLES

PARTS = ("src", "conf", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def firstorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command that the wheel installs; torch and the rest come from this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:  # building leaves files beside the sources
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", "."],
        cwd=folder,
        check=True,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], cwd=folder, check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    (wheel,) = (folder / "dist").glob("firstorder-*.whl")
    subprocess.run(
        [*pip, "--python", "venv/bin/python", "install", "--no-deps", "--ignore-installed", wheel],
        cwd=folder, check=True,
    )  # fmt: skip
    return folder / "venv" / "bin" / "firstorder"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_trains_evaluates_adapts_and_shows_parts_of_the_users_own(
    firstorder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {name: value for name, value in environment.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [firstorder, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    # The README's algorithm and network, in a package and with configs that are the user's.
    (tmp_path / "mine").mkdir()
    for path, block in EXAMPLES.items():
        if path.startswith("src") and "data" not in path:
            (tmp_path / "mine" / Path(path).name).write_text(block)
        elif "data" not in path:
            own = tmp_path / "configs" / Path(path).relative_to("conf")
            own.parent.mkdir(parents=True, exist_ok=True)
            own.write_text(
                block.replace("firstorder.algo.", "mine.").replace("firstorder.model.", "mine.")
            )
    overrides = [o for o in TINY if not o.startswith("model.")]
    own_parts = ["algo=mean_reptile", "model=softmax", "--config-dir=configs", "plugins=[mine]"]
    done = run("train", *overrides, *own_parts, "logger=csv", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["algo"] == "mean_reptile"
    assert results["config"]["algo"]["_target_"] == "mine.mean_reptile.MeanReptile"
    assert results["config"]["model"]["num_classes"] == 5
    assert results["commit"] is None

    done = run(
        "evaluate",
        "ckpt_path=run/checkpoints/last.ckpt",
        "logger=csv",
        "eval.tasks=4",
        own_parts[-1],
    )
    assert done.returncode == 0, done.stderr

    for place in ("support/a", "support/b", "query"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("L", (30, 30), 200 if place.endswith("b") else 20).save(
            tmp_path / place / "1.png"
        )
    learnt = ["ckpt_path=run/checkpoints/last.ckpt", own_parts[-1]]
    done = run("adapt", *learnt, "support=support", "query=query", "hydra.run.dir=adapted")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "adapted" / "predictions.csv").read_text().splitlines()
    assert table[0] == "image,predicted,a,b"
    assert len(table) == 2

    if find_spec("flask"):
        with subprocess.Popen(
            [firstorder, "demo", *learnt, "port=0"], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE,
        ) as demo:  # fmt: skip
            assert demo.stdout
            (address,) = re.findall(r"http://\S+", demo.stdout.readline())
            assert b"<title>" in urlopen(address).read()
            demo.send_signal(signal.SIGINT)

    done = run("trian")
    assert (done.returncode, done.stderr) == (
        1,
        "error: there is no command trian, did you mean train?\n",
    )

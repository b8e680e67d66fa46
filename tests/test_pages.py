"""Every command of every page is run as it stands there, at a tiny scale: `make pages`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.pages import PAGES, Command, commands, examples, shell_lines
from tests.task.test_new_kind import STRANGER, YAML
from tests.test_docs import arrays  # noqa: F401 (a fixture)

pytestmark = [pytest.mark.pages, pytest.mark.timeout(600)]

LEFT_OUT = {  # what is in a command: why it is not run here
    r"(^|\s)make |^\.ci/|^\.venv/|^source ": "it is the Makefile's, or sets up",
    r"pip install|apt-get|^docker|^export ": "it sets up a machine",
    r"pytest": "make test runs it",
    r"benchmarks/": "it measures: make bench, or its page, says when",
    r"^python docs/": "tests/test_docs.py holds what it makes to the configs",
    r"torchrun|srun|sbatch|launcher=slurm": "it needs a cluster; tests/run/test_ranks.py runs ranks",
    r"miniimagenet|table1": "no copy of mini-ImageNet can be fetched",
    r"^wandb |workspace\.py": "it needs a Weights & Biases account, or a run that has one",
}
NEEDS = {"model.rank": "peft", "learn2learn": "learn2learn", r"src/demo\.py": "flask"}
PROGRAMS = (
    r"(?:[A-Z_]+=\S* )*(?:make|python|firstorder|torchrun|srun|sbatch|pip|apt-get|docker|export|source"
    r"|pytest|wandb|\.\w+/\S+) "
)
TINY = [
    "trainer.compile=never",
    "trainer.progress=false",
    "eval.tasks=2",
    "eval.inner_steps=2",
    "logger=csv",
]
SMALLER = {  # by script, or by what is analysed
    "train": [*TINY, "trainer.max_steps=2", "eval.monitor_tasks=2", "eval.train_tasks=0"],
    "evaluate": TINY,
    "report": ["include_dirty=true"],
    "demo": ["port=0", "eval.inner_steps=2"],
    "expansion": [
        "analysis.tasks=1", "analysis.steps=[2]", "analysis.alphas=[1e-6,1e-5]", "model.hidden=[4]",
    ],
    "manifolds": ["analysis.iterations=4"],
    "sine_wave": ["analysis.outer_steps=2", "model.hidden=[4]"],
    "fields": [
        "analysis.outer_steps=2", "analysis.counts=[0,2]", "analysis.tasks=2", "model.hidden=[4]",
    ],
    "plain_learning": [
        "analysis.epochs=1", "analysis.seeds=[0]", "analysis.betas=[0]", "analysis.epsilons=[]",
        "analysis.step_sizes=[0.1]", "analysis.batch_size=500", "model.filters=4",
    ],
    "sweep": ["seed=0", "hydra.launcher.n_jobs=1"],
    "search": ["hydra.sweeper.n_trials=3"],
}  # fmt: skip


class Place(NamedTuple):
    """A folder that looks like the project's, for the commands of one page; its runs so far."""

    folder: Path
    runs: list[tuple[str, Path]]  # what they were trained on, and where they lie


def listed() -> list[Command | str]:
    """Return what the pages say to run: the commands of this project, and other lines."""
    found: list[Command | str] = []
    others: dict[str, None] = {}
    for page in PAGES:
        if page.name == "REPORT.md":
            continue  # a report's: `make paper` has run them
        own = {command.line.strip(): command for command in commands(page)}
        found += own.values()
        lines = [line.strip() for line in shell_lines(page)]
        others |= {a: None for a in lines if a not in own and re.match(PROGRAMS, a)}
    return [*found, *others]


def name_of(command: Command | str) -> str:
    if isinstance(command, str):
        return command.strip()
    return f"{command.page.relative_to(ROOT)}: {' '.join(command.line.split())}"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return the user's environment, without an account anywhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "HYDRA"))}
    return {**kept, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos/, of many classes, shown/, of three, and asked/."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    wanted = {f"photos/tree{n:02}": 17 for n in range(30)}
    wanted |= {"shown/ash": 3, "shown/beech": 3, "shown/elder": 3, "asked": 4}
    for name, count in wanted.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """Return a folder of two finished runs, `one` and `other`, for pages that have none of their own."""
    folder = tmp_path_factory.mktemp("trained")
    for outer_lr, name in ((1.0, "one"), (0.5, "other")):
        command = [sys.executable, ROOT / "src" / "train.py", *SMALLER["train"], "model.filters=8"]
        given = [f"algo.outer_lr={outer_lr}", f"hydra.run.dir={name}"]
        subprocess.run(
            [*command, *given], cwd=folder, env=environment, check=True, capture_output=True
        )
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, photos: Path, trained: Path, arrays: Path):  # noqa: F811
    """Return a function from a page to the place where its commands are run."""

    @cache
    def place(page: Path) -> Place:
        folder = tmp_path_factory.mktemp(page.stem)
        without = shutil.ignore_patterns("_build", "__pycache__", "*.egg-info")
        for part in ("src", "conf", "docs"):
            shutil.copytree(ROOT / part, folder / part, ignore=without)
        shutil.copytree(trained, folder / "outputs")
        for part in ("photos", "shown", "asked"):
            (folder / part).symlink_to(photos / part)
        (folder / "my_arrays").symlink_to(arrays)
        files = {**examples(page), "ripples.py": STRANGER, "conf/data/ripples.yaml": YAML}
        for path, text in files.items():
            (folder / path).write_text(text)
        draw = np.random.default_rng(0).integers
        splits = ("train", "val", "test")
        np.savez(
            folder / "images.npz",
            **{f"{s}_images": draw(0, 256, (160, 1, 28, 28), np.uint8) for s in splits},
            **{f"{s}_labels": np.arange(160) % 8 for s in splits},
        )
        return Place(folder, [("glyphs", folder / "outputs" / "one")])

    return place


def filled(command: Command, place: Place) -> list[str]:
    """Return a command's words: what the reader is to fill in is filled in, all is made smaller."""
    data = next((w for w in command.words if w.startswith("data=")), "data=").removeprefix("data=")
    given, words = list(command.words), list[str]()
    if given == ["..."] and command.script == "adapt":
        given = ["ckpt_path=...", "support=FOLDER", "query=FOLDER"]
    for word in given:
        key, _, value = word.partition("=")
        if key == "ckpt_path" and ("..." in value or "RUN" in value):
            fit = [
                at for kind, at in place.runs if kind == data or (not data and kind != "sinusoid")
            ]
            run = fit[0 if command.script == "train" else -1]  # one goes on with the same settings
            words.append(f"ckpt_path={run / 'checkpoints' / 'last.ckpt'}")
        elif key in ("support", "query"):
            words.append(f"{key}={'shown' if key == 'support' else 'asked'}")
        elif key == "data.root":
            value = re.sub("^/where/.*", os.environ.get("FIRSTORDER_DATA", "data"), value)
            value = re.sub("^(/my/)?(photos|images|pictures)", "photos", value)
            words.append(f"data.root={value.replace('/my/arrays', 'my_arrays')}")
        elif key == "sine_ckpt_path":
            words.append("sine_ckpt_path=outputs/sine/checkpoints/last.ckpt")
        elif key == "analysis.study":
            study = next((place.folder / "outputs" / "sweeps").glob("appendix_a*/appendix_a"))
            words.append(f"analysis.study={study}")
        elif key in ("runs", "out"):
            is_kept = value == "[docs/results/runs]"
            other = "[outputs]" if key == "runs" else "outputs/report"
            words.append(word if is_kept else f"{key}={other}")
        elif not re.search(r"(^|=)\.\.\.$", word):
            words.append(word)
    line = " ".join(words)
    kinds = [command.script, *re.findall(r"analysis=(\w+)", line)]
    if "sweep=" in line:
        kinds.append("search" if "appendix_a" in line else "sweep")
    elif "launcher=local" in line:
        kinds.append("sweep")
    smaller = [w for kind in kinds for w in SMALLER.get(kind, [])]
    if "trainer.max_steps=0" in words:
        smaller = [w for w in smaller if not w.startswith("trainer.max_steps")]
    is_a_run = command.script == "train" and "--cfg" not in line
    if is_a_run and not re.search("multirun|sweep=|hydra.run.dir", line):
        smaller.append(f"hydra.run.dir=outputs/run{len(place.runs)}")
    return words + smaller


@pytest.mark.parametrize("command", listed(), ids=name_of)
def test_a_command_runs(command: Command | str, places, environment: dict[str, str]) -> None:
    line = command if isinstance(command, str) else command.line
    for holds, reason in LEFT_OUT.items():
        if re.search(holds, line):
            pytest.skip(reason)
    for holds, package in NEEDS.items():
        if re.search(holds, line) and not find_spec(package):
            pytest.skip(f"it needs the package {package}")
    assert isinstance(command, Command), "it is neither run nor left out for a reason"
    place = places(command.page)
    words = filled(command, place)
    variables = re.match(r"\s*((?:[A-Z_]+=\S* )*)", line)
    assert variables
    own = dict(each.split("=", 1) for each in variables[1].split())
    path = os.pathsep.join(["src", own.pop("PYTHONPATH", "."), environment.get("PYTHONPATH", "")])
    endless = "--watch" in words or (command.script == "demo" and "export=" not in line)
    done = run(
        [sys.executable, f"src/{command.script}.py", *words],
        place.folder, {**environment, **own, "PYTHONPATH": path}, endless=endless,
    )  # fmt: skip
    expected = 128 + signal.SIGINT if endless else 0
    assert done.returncode == expected, (
        f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    )
    if command.script == "train" and (at := re.findall(r"hydra.run.dir=(\S+)", " ".join(words))):
        results = json.loads((place.folder / at[-1] / "results.json").read_text())
        place.runs.append((results["data"]["name"], place.folder / at[-1]))


def run(
    words: list[str], folder: Path, environment: dict[str, str], *, endless: bool
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; one that has none is interrupted after a while."""
    with subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        if endless:
            time.sleep(15)
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=500)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

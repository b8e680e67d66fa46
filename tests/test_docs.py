"""What the pages say is so: commands compose, examples work, links lead somewhere."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from firstorder.algo import Reptile
from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import CONF
from firstorder.cli.messages import message
from firstorder.cli.schema import register, register_package
from firstorder.cli.validation import validate
from firstorder.meta_gradient import MetaGradient
from firstorder.plugins import trust_overrides
from tests.conftest import ROOT
from tests.pages import PAGES, Command, commands, examples, links, shell_lines

MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
Compose = Callable[..., DictConfig]
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the files that docs/own_arrays.md speaks of."""
    folder, rng = tmp_path_factory.mktemp("arrays"), np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (24 * 12, 8, 8, 3), np.uint8))
    np.save(folder / "labels.npy", np.arange(24 * 12) % 24)
    x = rng.uniform(-1, 1, (20, 30, 2))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", x.sum(-1, keepdims=True))
    for name, targets in {"tasks": x.sum(-1), "classes": np.arange(30) % 3 + 0 * x[..., 0]}.items():
        (folder / name).mkdir()
        for number, (inputs, y) in enumerate(zip(x, targets, strict=True)):
            np.savez(folder / name / f"{number}.npz", x=inputs, y=y)
    years = [f"land{i},{1950 + year},{40 + i + year / 9}" for i in range(12) for year in range(12)]
    (folder / "gapminder.csv").write_text("\n".join(["country,year,lifeExp", *years]))
    rows = [f"p{i // 40},{i % 7},{i / 3},{i % 2}" for i in range(480)]
    (folder / "table.csv").write_text("\n".join(["patient,age,dose,effect", *rows]))
    return folder


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, arrays: Path) -> Iterator[Compose]:
    """Compose a config as it is once the pages' examples are pasted into the project."""
    copy = tmp_path_factory.mktemp("pasted")
    shutil.copytree(CONF, copy / "conf")
    for page in PAGES:
        for path, text in examples(page).items():
            assert not (ROOT / path).exists(), f"the example {path} would overwrite a file"
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_text(text)
    with (
        pytest.MonkeyPatch.context() as patch,
        initialize_config_dir(str(copy / "conf"), version_base="1.3"),
    ):
        patch.setenv("FIRSTORDER_CACHE", str(copy / "cache"))
        patch.setattr("firstorder.plugins.named", set())
        for name in ("algo", "data", "model"):
            package = import_module(f"firstorder.{name}")
            patch.setattr(
                package, "__path__", [*package.__path__, str(copy / "src/firstorder" / name)]
            )
        analysis = import_module("firstorder.analysis")
        register()
        register_package(analysis, lambda cls: issubclass(cls, analysis.base.Analysis))

        def composed(script: str, *overrides: str) -> DictConfig:
            logs = re.search(
                r"- (train|logger: wandb)$", (CONF / f"{script}.yaml").read_text(), re.M
            )
            quiet = ["logger=csv"] if logs else []  # W&B's names need a running command
            return compose(
                script, [*quiet, *(o.replace("/my/arrays", str(arrays)) for o in overrides)]
            )

        yield composed


@names
def test_every_command_composes(page: Path, composed: Compose) -> None:
    for command in dict.fromkeys(commands(page)):
        assert (ROOT / "src" / f"{command.script}.py").is_file(), command.line
        if not (CONF / f"{command.script}.yaml").is_file():
            continue  # it takes no settings
        for job in command.jobs:
            try:
                check(composed, command, job)
            except Exception as error:
                pytest.fail(f"{command.line}: {message(error)}", pytrace=False)


def check(composed: Compose, command: Command, job: Sequence[str]) -> None:
    """Compose a job's config and check its settings, as far as these are of this project alone."""
    if "--config-dir" in command.line:
        job = [override for override in job if not names_a_file_of_ones_own(override)]
    cfg = composed(command.script, *job)
    if re.search(r"\.\.\.(\s|$)|plugins=|sweep=|^(srun|torchrun)", command.line):
        return  # to be filled in; modules of the reader's own; jobs with other configs, or many ranks
    trust_overrides(job)
    validate(cfg)


def names_a_file_of_ones_own(override: str) -> bool:
    group, name = override.split("=", 1)
    return (CONF / group).is_dir() and not (CONF / group / f"{name}.yaml").is_file()


def test_the_rules_would_find_a_wrong_command(composed: Compose) -> None:
    for overrides in (["algo=reptil"], ["algo.inner_step=3"], ["trainer.max_steps=many"]):
        with pytest.raises(Exception, match=r"reptil|inner_step|many"):
            composed("train", *overrides)


@names
def test_what_a_command_names_is_there(page: Path) -> None:
    targets = re.findall(r"^([a-z0-9]+):", MAKEFILE, flags=re.M)
    for line in shell_lines(page):
        for target in re.findall(r"(?:^|\s)make ([a-z]\w*)", line):
            assert target in targets, line
        for path in re.findall(r"\bpython ((?:src|docs|benchmarks)/\w+\.py)", line):
            assert (ROOT / path).is_file(), line
        for extra in re.findall(r"pip install .*(?:\.|firstorder)\[(\w+)\]", line):
            assert extra in PROJECT["project"]["optional-dependencies"], line


@names
def test_links_lead_somewhere(page: Path) -> None:
    """Whether a page has the heading that a link names is checked by `make docs`."""
    for link in links(page):
        path = link.partition("#")[0]
        assert (page.parent / path).exists(), link


@pytest.mark.parametrize(
    "overrides",
    [
        ["algo=tethered_reptile", "data=sinusoid", "model.hidden=[8]"],
        ["data=array_functions", "data.root=/my/arrays", "model.hidden=[8]"],
        ["data=array_images", "data.root=/my/arrays", "data.source.train=12", "data.source.test=6",
         "model.filters=4"],
    ],
    ids=lambda overrides: overrides[0],
)  # fmt: skip
def test_an_example_gives_a_direction(overrides: list[str], composed: Compose) -> None:
    assert direction(composed("train", *overrides)).direction["phi"].abs().sum() > 0


def test_the_lines_on_arrays_run() -> None:
    page = (ROOT / "docs/own_arrays.md").read_text()
    (lines,) = re.findall(r"```python\n(import firstorder\n.*?)```", page, flags=re.S)
    shorter = lines.replace("steps=500", "steps=1, progress=False").replace(
        "tasks=100", "tasks=1, curve_tasks=0"
    )
    assert shorter.count("=1") > lines.count("=1")
    x = np.random.default_rng(0).normal(size=(120, 16))
    given = {
        "x": x, "y": np.arange(120) % 10, "new_x": x, "new_y": [*"abcdef"] * 20,
        "few_x": x[:6], "few_y": [*"uvwxyz"], "more_x": x[:2],
    }  # fmt: skip
    exec(shorter, given)
    assert set(given["adapted"].predict(x[:2])) <= set("uvwxyz")


def test_a_tether_is_what_its_page_says(composed: Compose) -> None:
    given = ["data=sinusoid", "model.hidden=[8]"]
    reptile = direction(composed("train", *given)).direction["phi"]
    free, tied = (
        direction(
            composed("train", *given, "algo=tethered_reptile", f"algo.pull={pull}")
        ).direction["phi"]
        for pull in (0, 1)
    )
    assert torch.equal(free, reptile)
    assert not tied.any()


def direction(cfg: DictConfig) -> MetaGradient:
    """Return the direction of a run's first meta-batch."""
    torch.manual_seed(0)
    learner, data = assemble(cfg, plain(cfg))
    assert isinstance(learner.algorithm, Reptile)
    data.prepare_data()
    data.setup()
    tasks = next(iter(data.train_dataloader())).to_float()
    return learner.algorithm.meta_batch(
        learner.loss, learner.meta, learner.inner_state, tasks, learner.context(0)
    )


def test_the_reference_has_every_algorithm() -> None:
    page = (ROOT / "docs/reference/algorithms.md").read_text()
    for module in (ROOT / "src/firstorder/algo").glob("[!_]*.py"):
        assert f"firstorder.algo.{module.stem}\n" in page


def test_the_page_on_design_has_the_floors_that_imports_are_held_to() -> None:
    contract = next(
        c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers"
    )
    held = [re.findall(r"firstorder\.(\w+)", layer) for layer in contract["layers"]]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", (ROOT / "docs/design.md").read_text(), re.M)
    assert [re.findall(r"\w+", row) for row in rows] == held


@pytest.mark.parametrize("page", ["experiments", "settings"])
def test_a_page_keeps_up_with_the_configs_that_it_is_made_of(page: str) -> None:
    command = [sys.executable, ROOT / "docs" / f"{page}.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_version_stands_in_one_place() -> None:
    import firstorder

    for path in ("pyproject.toml", "CITATION.cff", "setup.py"):
        assert firstorder.__version__ not in (ROOT / path).read_text(), path
    assert f"## {firstorder.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_what_an_extra_installs_is_pinned() -> None:
    """But for those that constraints.txt cannot hold beside the others, or that are a user's own."""
    apart = {"peft", "ray"}

    def named(line: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>~! ]", line)[0]).lower()

    pinned = {named(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [each for name in extras.keys() - apart for each in extras[name]]
    wanted += PROJECT["project"]["dependencies"]
    assert {named(each) for each in wanted} - pinned == {"firstorder"}

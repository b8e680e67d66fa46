"""What the README promises is run as it stands there."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY, Script

README = (ROOT / "README.md").read_text()
EXAMPLES = dict(  # file -> what a reader pastes into it, whole
    re.findall(r"`([\w/.]+)`:\n\n```(?:python|yaml)\n(.*?)```", README, flags=re.S)
)


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


def test_the_commands_name_scripts_and_settings_that_exist() -> None:
    for path in re.findall(r"python (src/\w+\.py)", README):
        assert (ROOT / path).is_file(), path
    for group in ("algo", "data", "model", "logger"):
        for name in re.findall(rf"\b{group}=(\w+)", README):
            assert (ROOT / "conf" / group / f"{name}.yaml").is_file() or any(
                path.endswith(f"{group}/{name}.yaml") for path in EXAMPLES
            ), f"{group}={name}"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target

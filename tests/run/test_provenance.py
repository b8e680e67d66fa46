import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from firstorder.run.provenance import git_state, hardware, peak_memory
from tests.conftest import ROOT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return the source folder of a repository like this one, with one commit."""
    package = tmp_path / "src" / "firstorder"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    return tmp_path / "src"


def test_the_commit_is_that_of_the_code(repository: Path) -> None:
    command = ["git", "-C", repository, "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert git_state(repository) == (head, False)


def test_changed_and_new_code_makes_a_tree_dirty_and_other_files_do_not(repository: Path) -> None:
    (repository.parent / "notes.txt").touch()
    assert git_state(repository)[1] is False
    (repository / "firstorder" / "mine.py").touch()
    assert git_state(repository)[1] is True


def test_there_is_no_commit_outside_a_repository(tmp_path: Path) -> None:
    assert git_state(tmp_path) == (None, None)


def test_an_environment_inside_another_repository_is_not_that_repository(repository: Path) -> None:
    installed = repository.parent / ".venv" / "site-packages"
    (installed / "firstorder").mkdir(parents=True)
    (installed / "firstorder" / "__init__.py").touch()
    assert git_state(installed) == (None, None)


def test_hardware_is_described_without_the_name_of_the_host() -> None:
    found = hardware()
    assert found["cores"] >= 1
    assert found["threads"] >= 1
    assert found["memory"] > 2**28
    assert found["processor"]
    assert platform.node() not in json.dumps(found).split('"')


def test_peak_memory_is_that_of_this_process_and_not_of_its_parent() -> None:
    """A parent that holds 1 GB more does not raise what its child reports."""
    child = "from firstorder.run.provenance import peak_memory; print(peak_memory()['peak_memory'])"
    parent = (
        "import subprocess, sys; held = b'1' * 10**9;"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert 2**25 < int(done.stdout) < 9 * 10**8
    assert peak_memory()["peak_memory"]

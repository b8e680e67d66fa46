"""What a config may name; each attack is planted where it could do harm, and none does."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from firstorder.plugins import find_class, installed, is_trusted, trust_overrides
from firstorder.run.learner import MetaLearner
from tests.conftest import SECRET

REFUSED = r"add plugins=\[|where only values may stand|is not a class"
STRANGER = "import pathlib\npathlib.Path(__file__).with_name('executed').touch()\n"


@pytest.fixture
def harm(tmp_path: Path) -> dict[str, Any]:
    """Return settings that would execute, overwrite, truncate, abort, import, each by its key."""
    pd.Series([0]).to_pickle(tmp_path / "second.pkl")
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "stranger.py").write_text(STRANGER)
    kept = str(tmp_path / "kept.txt")
    return {
        "algo.outer_options": {
            "eps": {"_target_": "pandas.read_pickle", "filepath_or_buffer": str(tmp_path / "second.pkl")}
        },
        "algo.inner_options": {"x": [{"_target_": "numpy.savetxt", "fname": kept, "X": [1]}]},
        "model": {"_target_": "logging.FileHandler", "filename": kept, "mode": "w"},
        "eval": {"_target_": "firstorder.algo.evaluation.torch.save", "obj": 1, "f": kept},
        "data.source": {"_target_": "firstorder.data.Learn2Learn", "factory": "os:abort"},
        "algo": {"_target_": "stranger.Algorithm"},
    }  # fmt: skip


def planted(folder: Path, run: Path, key: str, value: Any) -> Path:
    """Return a copy of a run's checkpoint with another value in its config."""
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    node = checkpoint["config"]
    *parents, last = key.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    checkpoint["config"]["plugins"] = ["stranger"]  # which is not heard
    torch.save(checkpoint, folder / "planted.ckpt")
    return folder / "planted.ckpt"


@pytest.mark.parametrize(
    "key", ["algo.outer_options", "algo.inner_options", "model", "eval", "data.source", "algo"]
)
def test_what_a_checkpoint_names_is_not_built(
    key: str, harm: dict[str, Any], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command itself, in this process, with the stranger's module within reach."""
    from evaluate import main  # src/evaluate.py

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    reads: list[Any] = []
    monkeypatch.setattr(pd, "read_pickle", reads.append)
    path = planted(tmp_path, tiny_run, key, harm[key])
    arguments = ["evaluate.py", f"ckpt_path={path}", "logger=csv", "hydra.run.dir=again"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value).startswith("error: ")
    if key != "eval":  # whose other settings are missed first
        assert re.search(REFUSED, str(ended.value))
    assert not (tmp_path / "again" / "results.json").exists()
    if key != "data.source":  # which is not opened
        with pytest.raises(ValueError, match=REFUSED):
            MetaLearner.load_from_checkpoint(path)
    assert not reads
    assert not (tmp_path / "executed").exists()
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_a_command_line_names_what_it_trusts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstorder.plugins.named", set())
    trust_overrides(
        ["plugins=[a.b,'c']", "data.source._target_=d.Source", "data.source.factory=e:f"]
    )
    trusted = "a.b.X", "c", "d.Source", "e", "firstorder.algo.Reptile"
    assert all(is_trusted(name) for name in trusted)
    assert not any(is_trusted(name) for name in ("a.X", "cc.X", "os", "firstorder.run.run.Run", ""))


def test_a_trusted_module_does_not_pass_on_what_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstorder.plugins.named", set())
    with pytest.raises(ValueError, match=r"add plugins=\[torch.nn.modules.linear\]"):
        find_class("model", "firstorder.model.mlp.nn.Linear")


def test_an_installed_package_offers_plug_ins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "stranger-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: stranger\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[firstorder.plugins]\nx = stranger.tasks\n")
    monkeypatch.syspath_prepend(tmp_path)
    installed.cache_clear()
    assert is_trusted("stranger.tasks.Source")
    assert not is_trusted("stranger.Other")
    installed.cache_clear()


def test_no_secret_of_the_environment_is_written(tiny_run: Path) -> None:
    """Into results, logs, configs, checkpoints, the files of Weights & Biases, or the terminal."""
    files = [path for path in tiny_run.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"results.json", "train.log", "last.ckpt", "stdout.txt", "stderr.txt"} <= names
    assert any(path.suffix == ".wandb" for path in files)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path

"""docs/results/report is what its run records say, and a published number comes out again."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from firstorder.results.report import write_report
from tests.conftest import ROOT, Script
from tests.results.test_report import settings

RESULTS = ROOT / "docs" / "results"
TEXTS = (".md", ".csv")  # pictures, HTML and Parquet hold their libraries' versions
FEW = 20  # of the 10,000 test tasks


def test_the_published_report_is_that_of_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    write_report(settings(runs=["docs/results/runs"], out=str(tmp_path)))
    published = RESULTS / "report"
    files = {path.relative_to(published) for path in published.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == files
    for name in files:
        if name.suffix in TEXTS:
            assert (tmp_path / name).read_text() == (published / name).read_text(), name


def test_each_published_checkpoint_is_the_one_that_is_listed() -> None:
    lines = (RESULTS / "checkpoints" / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    found = sorted((RESULTS / "checkpoints").glob("*.ckpt"))
    assert {path.name: sha256(path.read_bytes()).hexdigest() for path in found} == listed


def test_a_published_cell_comes_out_again_on_its_first_tasks(
    script: Script, data_root: Path, tmp_path: Path
) -> None:
    """Another processor may round an answer the other way, hence one task of twenty."""
    done = script(
        "evaluate.py", f"ckpt_path={RESULTS}/checkpoints/table2_5way_seed0.ckpt", f"eval.tasks={FEW}",
        "eval.train_tasks=0", "logger=csv", "trainer.progress=false", "hydra.run.dir=again",
        cwd=tmp_path, FIRSTORDER_DATA=str(data_root),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = RESULTS / "runs" / "table2_5way_5shot" / "seed=0" / "scores.npz"
    with np.load(record) as published, np.load(tmp_path / "again" / "scores.npz") as again:
        for protocol in ("transductive", "non_transductive"):
            differ = published[protocol][:FEW] != again[protocol]
            assert len(differ) == FEW
            assert differ.sum() <= 1, protocol

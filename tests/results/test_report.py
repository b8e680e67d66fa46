import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import yaml

from firstorder.places import CONF
from firstorder.results.report import write_report
from firstorder.results.settings import ReportSettings
from tests.conftest import TINY, Script
from tests.results.conftest import MakeRun, label

STEPS = list(range(10, 110, 10))


@pytest.fixture
def outputs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Return a folder of runs for all tables and figures, and of others that do not count."""
    draw = np.random.default_rng(0)

    def scores(level: float) -> dict[str, list[float]]:
        names = ("transductive", "non_transductive")
        return {name: (draw.random(20) < level).astype(float).tolist() for name in names}

    for seed in (0, 1):
        make_run(f"t2_{seed}", scores(0.9), seed=seed, experiment=label())
        make_run(
            f"t2_fomaml_{seed}", scores(0.8), seed=seed, experiment=label(series="1st-order MAML")
        )
        for series in ("g1", "g2", "g1 + g2", "g4", "g1 + g2 + g3 + g4"):
            curve = {"step": STEPS, "test_tasks/transductive": draw.random(10).tolist()}
            make_run(
                f"f3_{series.replace(' ', '')}_{seed}", scores(0.7), seed=seed, curve=curve,
                experiment=label("figure3", series), settings={"algo": {"weights": series}},
            )  # fmt: skip
        for x in (2, 4, 5, 6):
            make_run(
                f"f4a_{x}_{seed}", scores(0.9 if x < 5 else 0.5), seed=seed,
                experiment=label("figure4a", "FOMAML, shared tail, cycling", x=x),
                settings={"algo": {"inner_steps": x}},
            )  # fmt: skip
    for x, level in ((4, 0.9), (5, 0.85)):
        make_run(
            f"f4a_drawn_{x}", scores(level),
            experiment=label("figure4a", "FOMAML, shared tail, replacement", x=x),
            settings={"algo": {"inner_steps": x, "replacement": True}},
        )  # fmt: skip
    make_run("short", scores(0.5), experiment=label(), steps=3)
    make_run("plain", scores(0.5), data="glyphs")
    make_run("dirty", scores(0.5), dirty=True)
    make_run("failed", status={"status": "failed", "error": "no disk"})
    return tmp_path / "outputs"


def settings(**given: Any) -> ReportSettings:
    plain = yaml.safe_load((CONF / "report.yaml").read_text())
    defaults = {key: plain[key] for key in plain if key not in ("defaults", "hydra")}
    return ReportSettings(**{**defaults, **given})


def report(runs: Path, out: Path) -> dict[str, bytes]:
    write_report(settings(runs=[str(runs)], out=str(out)))
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_the_same_records_give_the_same_bytes_and_all_there_is(
    outputs: Path, tmp_path: Path
) -> None:
    first = report(outputs, tmp_path / "one")
    moved = tmp_path / "elsewhere" / "outputs"
    shutil.copytree(outputs, moved)
    assert report(moved, tmp_path / "two") == first
    assert {
        "REPORT.md", "report.html", "runs.csv", "runs.parquet", "table1.csv", "table1.md",
        "table2.csv", "table2.md", "cifarfs.csv", "figures/figure3.svg", "figures/figure3.png",
        "figures/figure3.csv", "figures/figure4a.svg",
    } <= set(first)  # fmt: skip
    table = pd.read_parquet(tmp_path / "one" / "runs.parquet")
    assert len(table) == 2 * (2 * 2 + 2 * 5 + 2 * 4 + 2 + 2)
    assert {"config.algo.inner_steps", "config.algo.weights"} <= set(table.columns)


def test_the_page_holds_all_it_shows(outputs: Path, tmp_path: Path) -> None:
    page = report(outputs, tmp_path / "out")["report.html"].decode()
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert "src=" not in page.replace('src="data:', "")
    assert "http" not in page.replace("http-equiv", "")
    for words in (
        "not run",
        "moving average",
        "3 of 100,000",
        "no disk",
        "differed from the commit",
    ):
        assert words in page


def test_runs_of_a_strangers_are_counted_without_a_word(outputs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "stranger" / "their_run"
    shutil.copytree(outputs / "t2_0", copy)
    results = json.loads((copy / "results.json").read_text())
    results["seed"] = results["config"]["seed"] = 77
    (copy / "results.json").write_text(json.dumps(results))
    out = tmp_path / "out"
    write_report(settings(runs=[str(outputs), str(copy.parent)], out=str(out)))
    cell = pd.read_csv(out / "table2.csv").query(
        "algorithm == 'Reptile' and ways == 5 and shots == 5 and steps == 100000"
    )
    assert cell.seeds.tolist() == [3]


def test_findings_have_the_sign_that_was_put_in(outputs: Path, tmp_path: Path) -> None:
    report(outputs, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "findings.csv")
    falls = table[table.finding.str.contains("cycling") & (table.protocol == "transductive")]
    curve = "FOMAML, shared tail, cycling: inner iterations"
    assert falls.what.tolist() == [f"{curve} 5 - 4", f"{curve} 6 - 4"]
    assert (falls["mean"] < 0).all()
    assert (falls.tasks == 40).all()
    gradual = table[table.finding.str.contains("gradually") & (table.protocol == "transductive")]
    assert gradual.what.tolist() == [
        "FOMAML, shared tail, replacement: inner iterations 5 - 4",
        "FOMAML, shared tail, replacement: inner iterations 5 - 4, less that of"
        " FOMAML, shared tail, cycling",
    ]
    assert gradual["mean"].iloc[1] > 0
    improve = table[table.finding.str.startswith("All methods")]  # no two curves that tell
    assert improve["mean"].isna().all()


def test_other_runs_of_a_sweep_are_told_apart_by_themselves(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for steps in (1, 5):
        make_run(
            f"swept_{steps}", {"transductive": [1.0, 0.5, 0.0]}, data="glyphs",
            settings={"algo": {"inner_steps": steps}},
            command=["/somewhere/src/train.py", "sweep=depth", "logger=csv"],
        )  # fmt: skip
    make_run("plain", {"transductive": [1.0, 0.5, 0.0]}, settings={"algo": {"inner_lr": 0.5}})
    page = report(tmp_path / "outputs", tmp_path / "out")["REPORT.md"].decode()
    alone, swept = page[page.index("## Other runs") : page.index("## Runs")].split("`python")
    assert "sweep=depth" in swept
    assert "algo.inner_steps" in swept
    assert "algo.inner_steps" not in alone
    assert "inner_lr" not in swept


def test_figures_of_analyses_are_taken_over(tmp_path: Path) -> None:
    for name in "2026-01-01", "2026-01-02":
        folder = tmp_path / "outputs" / "analyze" / name
        folder.mkdir(parents=True)
        config = {
            "analysis": {"_target_": "firstorder.analysis.Manifolds"},
            "trainer": {},
            "algo": {},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "table.json").write_text("[]")
        (folder / "manifolds.png").write_bytes(name.encode())
    files = report(tmp_path / "outputs", tmp_path / "out")
    assert files["figures/figure2.png"] == b"2026-01-02"  # the last
    assert "python src/analyze.py analysis=sine_wave" in files["REPORT.md"].decode()
    assert "0 runs read, 0 runs left out" in files["REPORT.md"].decode()


def test_a_run_that_cannot_be_compared_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compare: nowhere cannot be compared: unfinished"):
        write_report(
            settings(runs=[str(tmp_path)], out=str(tmp_path / "out"), compare=["nowhere"] * 2)
        )
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_the_report_that_was_there(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outputs" / "none").mkdir()
    before = report(tmp_path / "outputs" / "none", tmp_path / "out")
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("firstorder.results.report.as_html", Mock(side_effect=full))
    with pytest.raises(ValueError, match="out cannot be written"):
        report(outputs, tmp_path / "out")
    after = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*")}
    assert {name: p.read_bytes() for name, p in after.items() if p.is_file()} == before


def test_nothing_run_is_a_report_too(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    files = report(tmp_path / "outputs", tmp_path / "out")
    assert "not run (49.97 ± 0.32)" in files["table1.md"].decode()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"smoothing": 2}, "smoothing=2 must be at most 1"),
        ({"compare": ["one"]}, r"compare=\[one\] must name two run folders"),
        ({"runs": []}, r"runs=\[\] must hold at least 1"),
        ({"runs": None}, "runs=null must be a list"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        settings(**wrong)


def test_real_runs_are_reported_and_compared(script: Script, tmp_path: Path) -> None:
    for name, lr in ("a", "0.001"), ("b", "0.01"):
        done = script(
            "train.py", *TINY, "logger=csv", f"algo.inner_lr={lr}", f"hydra.run.dir=runs/{name}",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    done = script(
        "report.py", "runs=[runs]", "out=out", "include_dirty=true", "compare=[runs/a,runs/b]",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs are reported in out/report.html" in done.stdout
    text = (tmp_path / "out" / "REPORT.md").read_text()
    for name in "a", "b":
        test = json.loads((tmp_path / "runs" / name / "results.json").read_text())["test"]
        assert f"{100 * test['transductive']['accuracy']:.2f}" in text
    assert "The two runs asked for" in text


def test_a_mistyped_setting_is_answered(script: Script, tmp_path: Path) -> None:
    done = script("report.py", "run=[x]", cwd=tmp_path)
    assert done.returncode != 0
    assert "did you mean runs?" in done.stderr

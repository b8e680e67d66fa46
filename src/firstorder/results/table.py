"""One tidy table of runs: a row for each run and protocol."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from firstorder.results.content import measure_of
from firstorder.results.neutral import counts, moves_test_tasks, settings_of
from firstorder.results.paper import full_iterations
from firstorder.results.runs import RunRecord

GROUP_DIGITS = 8
SETTING, CLASS = "config.", "._target_"  # how the column of a setting begins; how a class's ends


def settings_that_count(run: RunRecord) -> dict[str, Any]:
    """Return the settings, besides the seed, that a run's numbers depend on."""
    return {key: value for key, value in settings_of(run.config).items() if counts(key)}


def group_of(run: RunRecord) -> str:
    """Return a short name of all that a run's numbers depend on but the seed."""
    label, data = run.label, run.results["data"]
    place = (label.artefact, label.series) if label else None
    content = [place, data["name"], data["fingerprint"], run.results["steps"]]
    text = json.dumps([*content, settings_that_count(run)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:GROUP_DIGITS]


def test_tasks_of(run: RunRecord) -> str:
    """Return what decides a run's test tasks: two runs with the same value had the same ones.

    Task i of a data set is a function of the seed, the split and i.
    """
    leaves = settings_of(run.config)
    chosen = {
        key: value
        for key, value in leaves.items()
        if key in ("data.ways", "data.shots", "eval.query_shots")
        or (key.startswith("data.source.") and moves_test_tasks(key))
    }
    content = [run.results["data"]["fingerprint"], run.results["seed"], chosen]
    return json.dumps(content, sort_keys=True, default=str)


def tidy(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Return a row for each run and protocol: where it belongs, its score, how it was made.

    Settings that differ between the runs are columns at the end, named by their dotted keys. `repeat`
    marks runs whose group and seed another run has with as many test tasks or more: they would be
    counted twice.
    """
    rows = [row for run in runs for row in rows_of(run)]
    table = pd.DataFrame(rows)
    if not rows:
        return table
    best = table.sort_values(["tasks", "run"], ascending=[False, True], kind="stable")
    table["repeat"] = best.duplicated(["group", "seed", "protocol"]).reindex(table.index)
    return table.join(differing([settings_that_count(run) for run in runs], runs), on="run")


def rows_of(run: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield a run's rows, without its settings."""
    results, label, data = run.results, run.label, run.config["data"]
    hardware = results.get("hardware") or {}
    full = full_iterations(label.artefact, data["ways"], data["shots"]) if label else None
    for protocol, summary in run.test.items():
        measure = measure_of(summary)
        yield {
            "run": run.name,
            "job": run.job,
            "artefact": label.artefact if label else None,
            "series": label.series if label else None,
            "x": float(label.x) if label and label.x is not None else None,
            "iterations": full or results["steps"],
            "steps": results["steps"],
            "algo": results["algo"],
            "data": results["data"]["name"],
            "fingerprint": results["data"]["fingerprint"],
            "ways": data["ways"],
            "shots": data["shots"],
            "seed": results["seed"],
            "group": group_of(run),
            "protocol": protocol,
            "measure": measure,
            "score": float(summary[measure]),
            "ci95": float(summary["ci95"]),
            "tasks": int(summary["tasks"]),
            "diverged": int(summary.get("diverged", 0)),
            "gap": (results.get("gap") or {}).get(protocol),
            "train_seconds": results.get("train_seconds"),
            "eval_seconds": results.get("eval_seconds"),
            "interruptions": results.get("interruptions", 0),
            "peak_memory": results.get("peak_memory"),
            "commit": results.get("commit"),
            "dirty": run.trained_dirty or results.get("dirty"),
            "started": results.get("started"),
            **{name: hardware.get(name) for name in ("processor", "cores", "threads", "gpu")},
        }


def differing(settings: Sequence[Mapping[str, Any]], runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Return the settings that are not alike in all runs, a row a run; columns of one type each."""
    names = pd.Index([run.name for run in runs], name="run")
    frame = pd.DataFrame(settings, index=names, dtype=object)  # whole numbers stay whole
    frame = frame.where(frame.notna(), None)
    unlike = [c for c in sorted(frame) if frame[c].map(repr).nunique() > 1]
    columns = {c: frame[c] if is_numeric(frame[c]) else frame[c].map(text_of) for c in unlike}
    return pd.DataFrame(columns, index=frame.index).rename(columns=lambda key: f"{SETTING}{key}")


def told_apart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the settings that tell groups of runs apart, as texts, a row a group; as few as will do.

    Classes come first, by their names; what follows from a setting that is there is left out.
    """
    groups = table.drop_duplicates("group").set_index("group")
    settings = [name for name in groups if name.startswith(SETTING)]
    found, apart = pd.DataFrame(index=groups.index), 1
    for name in sorted(settings, key=lambda name: not name.endswith(CLASS)):
        texts = ["" if pd.isna(value) else str(value) for value in groups[name]]
        if name.endswith(CLASS):
            texts = [text.rpartition(".")[2] for text in texts]
        wider = found.assign(**{name.removeprefix(SETTING).removesuffix(CLASS): texts})
        if (kinds := len(wider.drop_duplicates())) > apart:
            found, apart = wider, kinds
    return found


def is_numeric(column: pd.Series) -> bool:
    """Tell whether all values are numbers."""
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in column)


def text_of(value: Any) -> str | None:
    """Write a setting as Hydra's command line takes it."""
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def write(table: pd.DataFrame, folder: Path, name: str = "runs") -> None:
    """Write a table as Parquet and CSV; the same table gives the same bytes."""
    table.to_parquet(folder / f"{name}.parquet", index=False)
    table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")

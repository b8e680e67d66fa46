"""Find run folders in any mixture of paths.

What a folder holds is described by `firstorder.run`; it is read without that package, so that records
are readable wherever there is pandas.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

RECORD, STATUS, CONFIG, SCORES = "results.json", "run.json", "config.yaml", "scores.npz"
METRICS, MEASUREMENTS = "metrics.csv", "table.json"


def run_folders(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of runs at and below the paths, each once, by the name it is shown under.

    Raises:
        ValueError: a path is not a folder.
    """
    return named_folders(paths, is_run)


def analysis_folders(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of finished analyses at and below the paths, by name."""
    return named_folders(paths, is_analysis)


def named_folders(paths: Sequence[Path], wanted: Callable[[Path], bool]) -> dict[str, Path]:
    """Return the wanted folders at and below the paths, each once, sorted by name."""
    names: dict[Path, str] = {}
    for root in paths:
        if not root.is_dir():
            raise ValueError(f"runs: {root} is not a folder")
        for folder in walk(root, wanted):
            names.setdefault(folder.resolve(), shown(folder, root))
    folders: dict[str, Path] = {}
    for folder, name in sorted(names.items(), key=lambda pair: (pair[1], pair[0])):
        alike = sum(other == name for other in names.values())
        folders[name if alike == 1 else folder.as_posix()] = folder
    return folders


def walk(root: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the wanted folders at and below a root; nothing is looked for within one of them."""
    for place, below, _ in os.walk(root):
        if wanted(folder := Path(place)):
            yield folder
            below.clear()
        below[:] = sorted(name for name in below if not name.startswith("."))


def shown(folder: Path, root: Path) -> str:
    """Return a folder's path from here, or from its root where that lies elsewhere."""
    resolved, here = folder.resolve(), Path.cwd()
    if resolved.is_relative_to(here):
        return resolved.relative_to(here).as_posix()
    return (Path(root.resolve().name) / folder.relative_to(root)).as_posix()


def is_run(folder: Path) -> bool:
    """Tell whether a folder is that of a training or evaluation run, finished or not."""
    if (folder / RECORD).is_file() or (folder / STATUS).is_file():
        return True
    config = read_config(folder)
    return {"trainer", "algo"} <= config.keys() and "analysis" not in config


def is_analysis(folder: Path) -> bool:
    """Tell whether a folder is that of a finished analysis."""
    return (folder / MEASUREMENTS).is_file() and "analysis" in read_config(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a folder's config.yaml, empty where it has none."""
    try:
        config = yaml.safe_load((folder / CONFIG).read_bytes())
    except (OSError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}

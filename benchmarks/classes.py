"""How far a score depends on which of Omniglot's characters are the test ones.

    python benchmarks/classes.py docs/results/runs/table2_5way_5shot/seed=0 [--root data]

A seed draws its 423 test characters, and the interval over tasks is about tasks of those only. Here each
task's score is explained, by least squares, by a term for each of its characters. The variance of these
terms, less what noise makes of them, over their number is the variance of the mean score over draws of
characters.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from firstorder.data import Omniglot
from firstorder.data.images.resident import Places
from firstorder.data.images.split import TURNS
from firstorder.data.sampler import TEST, EpisodeSampler

CHARACTERS = 1623  # of Omniglot, before they are turned


def classes_of_tasks(source: Omniglot, config: dict[str, Any], number: int) -> np.ndarray:
    """Return the classes of the first test tasks, (tasks, ways)."""
    data, evaluation = config["data"], config["eval"]
    sampler = EpisodeSampler(
        source=Places(source), split="test", stream=TEST, seed=config["seed"], ways=data["ways"],
        shots=data["shots"], query_shots=evaluation["query_shots"], steps=1, batch_size=1,
    )  # fmt: skip
    queries = np.stack([sampler.fields(index)[2] for index in range(number)])
    return source.class_numbers[queries[:, :: evaluation["query_shots"]] // TURNS]


def deviation_over_classes(classes: np.ndarray, scores: np.ndarray, of: int) -> float:
    """Return the standard deviation of the mean score over draws of the classes from all of a data set.

    Args:
        classes: of each task, (tasks, ways).
        scores: of each task, (tasks,).
        of: classes of the data set, from which those of the tasks were drawn without replacement.

    Raises:
        ValueError: there are too few tasks to tell classes apart.
    """
    tasks, ways = classes.shape
    present, places = np.unique(classes, return_inverse=True)
    if tasks < 10 * len(present):
        raise ValueError(
            f"{tasks} tasks are too few to explain by {len(present)} classes: take ten times as many"
        )
    shares = np.zeros((tasks, len(present)))
    np.add.at(shares, (np.arange(tasks)[:, None], places.reshape(tasks, ways)), 1 / ways)
    inverse = np.linalg.inv(shares.T @ shares)
    centred = scores - scores.mean()
    terms = inverse @ shares.T @ centred
    noise = np.square(centred - shares @ terms).sum() / (tasks - len(present))
    variance = terms.var() - noise * np.trace(inverse) / len(present)
    left = 1 - len(present) / of  # of a finite population: with all of it drawn nothing would vary
    return float(np.sqrt(max(variance, 0.0) / len(present) * left))


def main() -> None:
    """Print a run's intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run folder with results.json and scores.npz")
    parser.add_argument("--root", default="data", help="the folder that holds Omniglot")
    given = parser.parse_args()
    config = json.loads((given.run / "results.json").read_text())["config"]
    source = Omniglot(root=given.root, split_seed=config["data"]["source"]["split_seed"])
    source.prepare()
    source.setup()
    with np.load(given.run / "scores.npz") as scores:
        classes = classes_of_tasks(source, config, len(scores["task"]))
        for protocol in ("transductive", "non_transductive"):
            each = 100 * scores[protocol].astype(float)
            over_tasks = each.std(ddof=1) / len(each) ** 0.5
            over_classes = deviation_over_classes(classes, each, of=CHARACTERS)
            both = 1.96 * float(np.hypot(over_tasks, over_classes))
            print(
                f"{protocol}: {each.mean():.2f} %, 95 % over tasks {1.96 * over_tasks:.2f},"
                f" over draws of characters {1.96 * over_classes:.2f}, both {both:.2f}"
            )


if __name__ == "__main__":
    main()

"""What Weights & Biases is told of a run besides its settings: its data, its size, its code."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.journal import Journal
from firstorder.run.learner import MetaLearner
from firstorder.run.loggers import WeightsAndBiases

LONGEST_TAG = 64


def tags_of(config: dict[str, Any], algo: str, data: str) -> list[str]:
    """Return what to find a run by: algorithm, data, ways and shots, its place in the paper."""
    ways, shots = config["data"]["ways"], config["data"]["shots"]
    sizes = f"{ways}-way {shots}-shot" if ways > 1 else f"{shots}-shot"
    place = (config.get("label") or {}).get("artefact")
    return [tag[:LONGEST_TAG] for tag in (algo, data, sizes, place) if tag]


class DescribeRun(Callback):
    """Add the data's fingerprint, the number of parameters and the commit to a run's config.

    They are known once the data are read.
    """

    def __init__(self, wandb: WeightsAndBiases, journal: Journal) -> None:
        self.wandb, self.journal = wandb, journal

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, MetaLearner)
        data = getattr(trainer, "datamodule", None)
        assert isinstance(data, EpisodeDataModule)
        found = {
            "algo": pl_module.algorithm.name,
            "data": data.source.name,
            "fingerprint": data.source.fingerprint,
            "classes": data.source.classes,
            "parameters": pl_module.phi.numel(),
            "commit": self.journal.commit,
            "dirty": self.journal.dirty,
        }
        self.wandb.describe({"run": found})

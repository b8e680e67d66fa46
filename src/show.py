"""Look at a data set: python src/show.py data=omniglot split=train writes a picture of episodes."""

import firstorder.starting  # noqa: F401 # isort: skip

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from firstorder.cli.assembly import build
from firstorder.cli.commands import entry
from firstorder.data.sampler import MONITOR, TEST, TRAIN, EpisodeSampler
from firstorder.data.source import TaskSource
from firstorder.folders import filling
from firstorder.messages import one_of

STREAMS = {"train": TRAIN, "val": MONITOR, "test": TEST}


@entry("show")
def main(cfg: DictConfig) -> None:
    """Draw the first episodes of a split, support and query, and say where the picture is."""
    one_of("split", cfg.split, STREAMS)
    source: TaskSource = build(cfg, "data.source")
    source.prepare()
    source.setup()
    sampler = EpisodeSampler(
        source=source, split=cfg.split, stream=STREAMS[cfg.split], seed=cfg.seed,
        ways=cfg.data.ways, shots=cfg.data.shots, query_shots=cfg.query_shots,
        steps=1, batch_size=1,
    )  # fmt: skip
    folder, name = Path(HydraConfig.get().runtime.output_dir), f"{cfg.split}.png"
    figure = source.kind.draw_episodes([sampler[i] for i in range(cfg.episodes)])
    with filling(folder) as draft:
        figure.savefig(draft / name, dpi=150)
    print(f"{cfg.episodes} episodes of {source.name} are drawn in {folder / name}")


if __name__ == "__main__":
    main()

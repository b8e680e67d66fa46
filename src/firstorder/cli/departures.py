"""What a reader of the paper would take for a mistake, said in one line before a run."""

import logging
from collections.abc import Iterator

from omegaconf import DictConfig

logger = logging.getLogger(__name__)


def report_departures(cfg: DictConfig) -> None:
    """Warn of settings that depart from the published ones, and log where mini-batches overlap."""
    for sentence in departures(cfg):
        logger.warning(sentence)
    algo, data = cfg.algo, cfg.data
    images = data.ways * (data.train_shots - algo.tail_shots)
    drawn = (algo.inner_steps - (algo.tail_shots > 0)) * algo.inner_batch_size
    if drawn > images and not algo.replacement:
        logger.info(
            "mini-batches overlap: the inner loop takes %d images out of %d, and so some of them twice",
            drawn, images,
        )  # fmt: skip


def departures(cfg: DictConfig) -> Iterator[str]:
    """Yield a sentence for each departure; an experiment has the paper's settings, and none."""
    if cfg.label is not None:
        return
    data, algo, test = cfg.data, cfg.algo, cfg.eval
    name = data.source._target_.rpartition(".")[2]
    if (
        name == "Omniglot"
        and data.ways == 20
        and (algo.inner_steps, algo.inner_batch_size) == (5, 10)
    ):
        yield (
            f"data.ways=20 runs with the 5-way settings of Table 3; the published 20-way ones are"
            f" experiment=table2_20way_{5 if data.shots == 5 else 1}shot"
        )
    support = data.ways * data.shots
    if name in ("MiniImageNet", "CifarFS") and data.shots == 1 and test.inner_batch_size == 15:
        table = "table1" if name == "MiniImageNet" else "cifarfs"
        yield (
            "data.shots=1 runs with the 5-shot setting eval.inner_batch_size=15 of Table 4; the"
            f" published 1-shot ones are experiment={table}_1shot"
        )
    elif test.inner_batch_size > support:
        yield (
            f"eval.inner_batch_size={test.inner_batch_size} is more than the {support} support images of"
            f" a task: every mini-batch holds some of them twice; lower it to {support} or below"
        )
    if algo._target_.endswith("GradientCombination"):
        needed = algo.inner_steps * algo.inner_batch_size
        if needed > data.ways * data.train_shots:
            yield (
                f"the {algo.inner_steps} mini-batches of Figure 3 do not overlap, and data.train_shots="
                f"{data.train_shots} is too few for that; the published curves are experiment=figure3_g1,"
                " figure3_g2, ..."
            )

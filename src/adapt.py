"""Tell your own classes apart: python src/adapt.py ckpt_path=... support=FOLDER query=FOLDER."""

import firstorder.starting  # isort: skip

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import firstorder
from firstorder.cli.adapt import classes_in, images_in, show, write_csv
from firstorder.cli.commands import entry
from firstorder.figures.answers import draw_answers
from firstorder.folders import filling


@entry("adapt")
def main(cfg: DictConfig) -> None:
    """Fine-tune on the support images, one folder a class, and name the class of each query image."""
    learner = firstorder.load(cfg.ckpt_path)
    learner.must_take_images(cfg.ckpt_path)
    support, query = classes_in(Path(cfg.support)), images_in(Path(cfg.query), "query")
    adapted = learner.adapt(
        [path for paths in support.values() for path in paths],
        [name for name, paths in support.items() for _ in paths],
        steps=cfg.eval.inner_steps, batch_size=cfg.eval.inner_batch_size, lr=cfg.eval.inner_lr,
    )  # fmt: skip
    probabilities = adapted.probabilities(query, together=cfg.together)
    folder = Path(HydraConfig.get().runtime.output_dir)
    with filling(folder) as draft:
        write_csv(draft / "predictions.csv", query, [*support], probabilities)
        draw_answers(support, query, probabilities).savefig(draft / "predictions.png", dpi=150)
    show(query, [*support], probabilities, folder)


if __name__ == "__main__":
    main()

"""Meta-train, and test what was learnt, by a call."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from lightning import seed_everything
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.source import TaskSource
from firstorder.library.described import describe
from firstorder.library.learner import Learner, form_of
from firstorder.messages import nearest
from firstorder.run.final_test import final_test
from firstorder.run.learner import MetaLearner
from firstorder.run.run import Run
from firstorder.run.shapes import check_fit
from firstorder.run.trainer import TrainerConfig, build_trainer
from firstorder.settings import Count, Seed, check


def train(
    *,
    algo: MetaAlgorithm,
    source: TaskSource,
    model: nn.Module | Callable[[], nn.Module],
    steps: int,
    ways: int = 5,
    shots: int = 5,
    train_shots: int = 10,
    evaluation: EvaluationSettings | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    **trainer: Any,
) -> Learner:
    """Meta-train an initialisation.

    Args:
        algo: the meta-algorithm, such as `Reptile(inner_steps=5, inner_batch_size=10, inner_lr=1e-3)`.
        source: where tasks come from.
        model: the network, whose own weights are the first initialisation; or a function that makes it,
            called under the seed.
        steps: outer iterations.
        ways: N, classes a task.
        shots: K, support examples a class at evaluation.
        train_shots: examples a class in training, the tail included.
        evaluation: how tasks are evaluated, and how often while training; its defaults where None.
        seed: of every episode.
        folder: a new run folder, for all that `src/train.py` leaves in one: the final test is then done
            as well. Nothing is written where None.
        trainer: further settings of `firstorder.run.trainer.TrainerConfig`, such as `progress=False`.

    Raises:
        TypeError: a setting is not known.
        ValueError: a setting is wrong by itself, or does not go with another; or training diverged.
    """
    evaluation = EvaluationSettings() if evaluation is None else evaluation
    for key, given, fits, wanted in (
        ("algo", algo, isinstance(algo, MetaAlgorithm), "an algorithm, such as firstorder.Reptile(...)"),
        ("source", source, hasattr(source, "draw"), "a source of tasks, such as firstorder.Glyphs()"),
        ("model", model, callable(model), "a network, or a function that makes one"),
        ("evaluation", evaluation, isinstance(evaluation, EvaluationSettings),
         "firstorder.EvaluationSettings(...)"),
    ):  # fmt: skip
        if not fits:
            raise ValueError(f"{key}={given!r} must be {wanted}")
    sizes = {"ways": ways, "shots": shots, "train_shots": train_shots}
    for key, value in sizes.items():
        check(key, value, Count)
    check("seed", seed, Seed)
    check_names("train", trainer, TrainerConfig)
    settings = TrainerConfig(max_steps=steps, **trainer)
    with isolate_rng():
        seed_everything(seed, verbose=False)
        module = model if isinstance(model, nn.Module) else model()
    config = {
        "seed": seed, "ckpt_path": None, "objective": "val", "scale": 1.0, "label": None,
        "algo": describe(algo), "model": describe(module), "eval": describe(evaluation),
        "data": {**sizes, "source": describe(source)},
        "trainer": asdict(settings), "logger": {"wandb": None},
    }  # fmt: skip
    data = datamodule(algo, source, evaluation, config)
    check_fit(module, source, ways)
    learner = MetaLearner(
        algo, module, source.kind, outer_steps=steps, evaluation=evaluation,
        log_every=settings.log_every, config=config,
    )  # fmt: skip
    if folder is None:
        build_trainer(None, [], settings, monitor_every=evaluation.monitor_every).fit(learner, data)
    else:
        write_run(Path(folder), learner, data)
    learner.eval()
    state = data.state_dict()
    return Learner(learner.cpu(), form_of(module, source, state), state)


def write_run(folder: Path, learner: MetaLearner, data: EpisodeDataModule) -> None:
    """Train and test in a run folder.

    Raises:
        ValueError: it holds a run already.
    """
    if (folder / "run.json").exists():
        raise ValueError(f"{folder} holds a run already: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with Run(folder, learner.config) as run:
        trainer = run.trainer(learner, data)
        trainer.fit(learner, data)
        trainer.save_checkpoint(run.last_checkpoint)
        final_test(run, trainer, learner, data)


def evaluate(learner: Learner, source: TaskSource, **changes: Any) -> dict[str, Any]:
    """Test a learner on tasks of the test classes, of the size of its training's evaluation.

    Args:
        learner: from `load` or `train`.
        source: where tasks come from.
        changes: to the `EvaluationSettings` of the run, such as `tasks=1000`.

    Returns:
        for each protocol the mean over tasks, its 95% interval and the number of tasks, as results.json
        has them; of a regression, those of its error.
    """
    trained = learner.trained
    check_names("evaluate", changes, EvaluationSettings)
    evaluation = replace(trained.evaluation, **changes)
    tested = MetaLearner(
        trained.algorithm, trained.network.module, trained.kind, outer_steps=trained.outer_steps,
        evaluation=evaluation, config=trained.config,
    )  # fmt: skip
    tested.load_state_dict(trained.state_dict())
    data = datamodule(trained.algorithm, source, evaluation, trained.config)
    data.load_state_dict(learner.data_state)
    settings = TrainerConfig(max_steps=0, progress=False)
    build_trainer(None, [], settings).test(tested, data, verbose=False)
    assert tested.tested is not None
    return trained.kind.summarise(tested.tested.scores)


def check_names(function: str, given: Mapping[str, Any], settings: type) -> None:
    """Make sure that settings have the names of fields of a dataclass.

    Raises:
        TypeError: one is none of them.
    """
    names = [field.name for field in fields(settings)]
    for name in given:
        if name not in names:
            raise TypeError(f"{function} has no setting {name}{nearest(name, names)}")


def datamodule(
    algo: MetaAlgorithm, source: TaskSource, evaluation: EvaluationSettings, config: dict[str, Any]
) -> EpisodeDataModule:
    """Return the episodes of a run with these plain settings."""
    data = config["data"]
    return EpisodeDataModule(
        source, algo, evaluation, seed=config["seed"], ways=data["ways"], shots=data["shots"],
        train_shots=data["train_shots"], outer_steps=config["trainer"]["max_steps"],
    )  # fmt: skip

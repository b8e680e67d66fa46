"""Every experiment has the settings of the paper's tables, written down here a second time."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import firstorder.cli.resolvers  # noqa: F401 (registers them)
from firstorder.cli.schema import register
from firstorder.cli.validation import validate
from firstorder.places import CONF
from tests.pages import jobs

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
ABSTRACT = {"figure3", "figure4", "appendix_a"}  # what curves, and the trials of a search, share
# Table 3, columns 5-way and 20-way.
TABLE_3 = {
    "5way": {
        "algo.inner_lr": 0.001, "algo.inner_batch_size": 10, "algo.inner_steps": 5,
        "data.train_shots": 10, "trainer.max_steps": 100_000, "algo.meta_batch_size": 5,
        "eval.inner_steps": 50, "eval.inner_batch_size": 5, "data.ways": 5,
    },
    "20way": {
        "algo.inner_lr": 0.0005, "algo.inner_batch_size": 20, "algo.inner_steps": 10,
        "data.train_shots": 10, "trainer.max_steps": 200_000, "algo.meta_batch_size": 5,
        "eval.inner_steps": 50, "eval.inner_batch_size": 10, "data.ways": 20,
    },
}  # fmt: skip
# Table 4, columns 1-shot and 5-shot.
TABLE_4 = {
    shots: {
        "algo.inner_lr": 0.001, "algo.inner_batch_size": 10, "algo.inner_steps": 8,
        "data.train_shots": 15, "trainer.max_steps": 100_000, "algo.meta_batch_size": 5,
        "eval.inner_batch_size": batch, "eval.inner_steps": 50, "data.ways": 5,
    }
    for shots, batch in ((1, 5), (5, 15))
}  # fmt: skip
TABLES = {"algo.outer_lr_final": 0, "algo.inner_optimizer": "adam", "eval.query_shots": 1,
          "eval.tasks": 10_000, "algo.outer_schedule": "linear",
          "algo.loss_reduction": "sum"}  # fmt: skip
REPTILE = {"algo.outer_lr": 1.0, "algo.outer_optimizer": "SGD", "algo.tail_shots": 0}
# Tables 5 and 6, and "we used vanilla SGD in the inner- and outer-loops [and] did not use meta-batches".
SECTION_6 = {
    "algo.inner_lr": 0.003, "algo.outer_optimizer": "SGD", "algo.inner_optimizer": "sgd",
    "trainer.max_steps": 40_000, "eval.inner_batch_size": 25, "eval.inner_steps": 5,
    "algo.meta_batch_size": 1, "algo.outer_lr_final": 0, "data.ways": 5, "data.shots": 5,
    "algo.loss_reduction": "sum", "algo.outer_schedule": "linear",
}  # fmt: skip
CURVES: dict[str, tuple[list[float], bool]] = {
    "g1": ([1], False),
    "g2": ([0, 1], False), "sum2": ([1, 1], False), "mean2": ([1, 1], True),
    "g3": ([0, 0, 1], False), "sum3": ([1, 1, 1], False), "mean3": ([1, 1, 1], True),
    "g4": ([0, 0, 0, 1], False), "sum4": ([1, 1, 1, 1], False), "mean4": ([1, 1, 1, 1], True),
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "reptile": {"algo._target_": "firstorder.algo.Reptile"},
    "separate_tail": {"algo._target_": "firstorder.algo.FOMAML", "algo.tail_shots": 5},
    "shared_tail_cycle": {
        "algo._target_": "firstorder.algo.FOMAML", "algo.tail_shots": 0, "algo.replacement": False,
    },
    "shared_tail_replacement": {
        "algo._target_": "firstorder.algo.FOMAML", "algo.tail_shots": 0, "algo.replacement": True,
    },
}  # fmt: skip


def published() -> dict[str, dict[str, Any]]:
    """Return what each experiment must have by the paper."""
    wanted: dict[str, dict[str, Any]] = {}
    for ways, settings in TABLE_3.items():
        for shots in (1, 5):
            name = f"table2_{ways}_{shots}shot"
            wanted[name] = {**settings, **TABLES, **REPTILE, "data.shots": shots}
            for row in ("maml", "fomaml"):
                wanted[f"{name}_{row}"] = {**settings, **TABLES, "data.shots": shots}
    for table in ("table1", "cifarfs"):
        for shots, settings in TABLE_4.items():
            name = f"{table}_{shots}shot"
            wanted[name] = {**settings, **TABLES, **REPTILE, "data.shots": shots}
            for row in ("maml", "fomaml"):
                wanted[f"{name}_{row}"] = {**settings, **TABLES, "data.shots": shots}
    for curve, (weights, average) in CURVES.items():
        k = len(weights)
        wanted[f"figure3_{curve}"] = {
            **SECTION_6, "algo.weights": weights, "algo.average": average, "algo.inner_steps": k,
            "data.train_shots": 5 * k, "algo.inner_batch_size": 25, "algo.outer_lr": 0.25,
            "eval.monitor_split": "test",
        }  # fmt: skip
    for name, method in METHODS.items():
        shared = {**SECTION_6, **method, "data.train_shots": 20}
        wanted[f"figure4a_{name}"] = {**shared, "algo.inner_batch_size": 25, "algo.outer_lr": 1.0}
        wanted[f"figure4b_{name}"] = {**shared, "algo.inner_steps": 4, "algo.outer_lr": 1.0}
        if name.startswith("shared_tail"):
            wanted[f"figure4c_{name}"] = {
                **shared, "algo.inner_batch_size": 100, "algo.inner_steps": 4,
            }  # fmt: skip
    for row in ("", "_maml", "_fomaml", "_joint"):
        wanted[f"figure1{row}"] = {
            "model.hidden": [64, 64], "data.shots": 10, "eval.inner_steps": 32,
            "trainer.max_steps": 10_000,
        }  # fmt: skip
    wanted["figure1_random"] = {**wanted["figure1"], "trainer.max_steps": 0}
    return wanted


def composed(name: str, *overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"experiment={name}", "logger=csv", *overrides])
    validate(cfg)
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def select(config: dict[str, Any], key: str) -> Any:
    return OmegaConf.select(OmegaConf.create(config), key)


def test_no_experiment_is_without_a_published_setting() -> None:
    assert set(EXPERIMENTS) - ABSTRACT == set(published())


@pytest.mark.parametrize("name", sorted(published()))
def test_an_experiment_has_the_papers_settings(name: str) -> None:
    config = composed(name)
    found = {key: select(config, key) for key in published()[name]}
    assert found == published()[name]
    label = config["label"]
    assert name.startswith(label["artefact"])
    if name.startswith(("table", "cifarfs")):
        shots = f"{config['data']['shots']}-shot {config['data']['ways']}-way"
        assert label["column"] == shots


def test_an_experiment_shrinks_in_proportion() -> None:
    config = composed("table2_5way_5shot", "scale=0.01")
    assert config["trainer"]["max_steps"] == 1000
    assert config["eval"]["tasks"] == 100
    assert composed("table2_5way_5shot", "scale=0.001")["eval"]["tasks"] == 50  # its floor
    half = composed("figure3_g2", "scale=0.5")
    assert half["trainer"]["max_steps"] == 20_000
    assert half["eval"]["monitor_every"] * 100 == 20_000


def test_a_scale_without_an_experiment_is_refused() -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["scale=0.5", "logger=csv"])
    with pytest.raises(ValueError, match=r"scale=0\.5 shortens a published experiment"):
        validate(cfg)


SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))


@pytest.mark.parametrize("sweep", [name for name in SWEEPS if "appendix_a" not in name])
def test_each_job_of_a_sweep_is_valid(sweep: str) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = [f"sweep={sweep}", "logger=csv"]
        params = compose("train", given, return_hydra_config=True).hydra.sweeper.params
        for job in jobs([f"{key}={value}" for key, value in params.items()]):
            validate(compose("train", [*given, *job]))

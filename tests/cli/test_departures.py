import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from firstorder.cli.departures import departures
from firstorder.cli.schema import register
from firstorder.places import CONF


def composed(*overrides: str) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "logger=csv"])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["data=omniglot", "data.ways=20"], "experiment=table2_20way_5shot"),
        (["data=omniglot", "data.ways=20", "data.shots=1"], "experiment=table2_20way_1shot"),
        (["data=miniimagenet", "data.shots=1"], "experiment=table1_1shot"),
        (["data=cifarfs", "data.shots=1"], "experiment=cifarfs_1shot"),
        (["data=omniglot", "data.shots=1", "eval.inner_batch_size=10"], "5 support images"),
        (
            ["data=omniglot", "algo=gradient_combination", "algo.inner_steps=4",
             "algo.inner_batch_size=25"],
            "experiment=figure3_g1",
        ),
    ],
)  # fmt: skip
def test_a_mistaken_setting_is_told_with_the_experiment_to_use(
    overrides: list[str], told: str
) -> None:
    (sentence,) = departures(composed(*overrides))
    assert told in sentence


@pytest.mark.parametrize("data", ["omniglot", "miniimagenet", "cifarfs", "glyphs", "sinusoid"])
def test_published_settings_are_no_departure(data: str) -> None:
    assert not list(departures(composed(f"data={data}")))


def test_an_experiment_is_no_departure() -> None:
    assert not list(departures(composed("experiment=figure3_sum4")))

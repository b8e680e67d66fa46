"""Every algorithm goes with every data set."""

import pytest
from hydra import compose, initialize_config_dir

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import CONF
from firstorder.cli.schema import register

ALGORITHMS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
DATA = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
# What has no default because only the user can say it.
GIVEN = {"learn2learn": ["data.source.factory=package.module:function"]}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_composes_with_every_data_set(algo: str, data: str) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"algo={algo}", f"data={data}", "logger=csv", *GIVEN.get(data, [])])
    learner, datamodule = assemble(cfg, plain(cfg))
    assert learner.algorithm.name == algo
    assert datamodule.source.name == data
    assert learner.algorithm.support_steps >= 1

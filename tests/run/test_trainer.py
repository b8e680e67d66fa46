from pathlib import Path

import pytest
import torch

from firstorder.run.callbacks import SaveBeforeDying
from firstorder.run.saving import SaveCheckpoints
from firstorder.run.trainer import TrainerConfig, build_trainer


@pytest.mark.parametrize("folder", [None, "run"])
def test_only_a_run_with_a_folder_keeps_checkpoints_and_speaks_of_them(
    folder: str | None, tmp_path: Path
) -> None:
    """Training for an analysis leaves nothing behind, and so has no checkpoint to go on from."""
    config = TrainerConfig(max_steps=1, progress=False)
    trainer = build_trainer(tmp_path / folder if folder else None, [], config)
    keepers = [c for c in trainer.callbacks if isinstance(c, SaveCheckpoints | SaveBeforeDying)]  # type: ignore[attr-defined]
    assert len(keepers) == (2 if folder else 0)


def test_deterministic_kernels_and_one_thread_are_for_the_run_that_asks() -> None:
    before = torch.get_num_threads()
    for asked in True, False:
        build_trainer(
            None,
            [],
            TrainerConfig(progress=False, accelerator="cpu", threads=2, deterministic=asked),
        )
        assert torch.are_deterministic_algorithms_enabled() is asked
        assert torch.get_num_threads() == (1 if asked else 2)
    torch.set_num_threads(before)

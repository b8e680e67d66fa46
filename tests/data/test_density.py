from pathlib import Path

import numpy as np
import pytest

from firstorder.data import Density


def test_a_task_is_black_and_white_images_of_one_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    source = Density()
    source.prepare()
    task = source.draw("test", np.random.default_rng(0), 1, 4, 10)
    assert task.support_x.shape == (4, 1, 28, 28)
    assert task.query_y.shape == (10, 1, 28, 28)
    assert set(np.unique(task.query_x)) == {0.0, 1.0}
    assert task.support_x.mean() < 0.5  # ink is 1
    assert (task.support_x == task.support_y).all()
    with pytest.raises(ValueError, match=r"set data\.ways=1"):
        source.draw("test", np.random.default_rng(0), 2, 4, 10)
    with pytest.raises(ValueError, match="3 channels"):
        Density("cifarfs")

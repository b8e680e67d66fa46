import re
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_guides_data_set_of_ones_own_works(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert code is not None
    names: dict = {}
    exec(code[1], names)
    arrays = {f"class{i}": np.full((4, 6, 6, 1), i, np.uint8) for i in range(30)}
    np.savez(tmp_path / "images.npz", **arrays)
    source = names["Arrays"](str(tmp_path / "images.npz"))
    source.prepare()
    assert source.classes == {"train": 10, "val": 0, "test": 20}
    assert source.draw("test", np.random.default_rng(0), 5, 2, 1).support_x.shape == (10, 1, 6, 6)

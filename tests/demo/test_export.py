"""The page that opens from disk: the same answers as the library's, in a browser without a server."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import firstorder
from firstorder.demo.characters import Characters
from firstorder.demo.waves import Waves
from tests.demo.conftest import Hand
from tests.demo.test_characters import AS_TRAINED, CHECKPOINT
from tests.demo.test_server import CROSS, OTHER_CROSS, OTHER_RING, RING

pytest.importorskip("onnxscript", reason="needs the extra demo")
POINTS = [[-3.0, 1.0], [0.5, -1.0], [2.0, 2.0]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_browser_answers_as_the_library_does(
    hand: Hand, sine_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firstorder.demo import export

    try:
        export.runtime()
    except ValueError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(export, "MOST_CLASSES", 2)  # each number of classes has graphs of its own
    characters, waves = Characters(CHECKPOINT, AS_TRAINED), Waves(sine_checkpoint)
    page = export.export(characters, waves, tmp_path / "demo")
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
    hand.requests()
    hand.browser.get(page.as_uri())
    hand.draw("#classes figure:nth-child(1) canvas", CROSS)
    hand.draw("#classes figure:nth-child(3) canvas", RING)
    for drawing, name in ((OTHER_CROSS, "A"), (OTHER_RING, "C")):
        hand.browser.find_element("css selector", "#query button").click()
        hand.draw("#query canvas", drawing)
        hand.wait(lambda name=name: hand.chances().get(name, 0) > 60, 120)
    ask, told = "const done = arguments[0]; answers", "(error) => done(error.message)"
    hand.browser.set_script_timeout(120)
    drawings = "[boxes[0].values(), boxes[2].values()], query.values()"
    support, query = hand.browser.execute_script(f"return [{drawings}]")
    curve = hand.browser.execute_async_script(f"{ask}.classify({drawings}).then(done, {told})")
    assert np.allclose(curve, characters.classify(support, query), atol=1e-3)
    fits = hand.browser.execute_async_script(f"{ask}.fit({POINTS}).then(done, {told})")
    assert np.allclose(fits, waves.fit(POINTS), atol=1e-3)
    assert {url.split(":")[0] for url in hand.requests()} <= {"file", "blob", "data"}


def test_what_cannot_be_written_is_told_in_a_sentence() -> None:
    from firstorder.demo.graphs import step_graph

    learner = firstorder.train(
        algo=firstorder.Reptile(inner_steps=2, inner_batch_size=5, inner_lr=0.01),
        source=firstorder.Sinusoid(), steps=0, ways=1, progress=False,
        model=nn.Sequential(nn.Linear(1, 8), nn.Dropout(), nn.Linear(8, 1)),
        evaluation=firstorder.EvaluationSettings(monitor_every=0), compile="never",
    )  # fmt: skip
    with pytest.raises(ValueError, match="random numbers, such as dropout, cannot be exported"):
        step_graph(learner.begin([[0.0]], [[1.0]]))

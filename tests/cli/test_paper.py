import os
import signal
import threading
import time
from pathlib import Path

import pytest

from firstorder.cli import paper
from firstorder.results.run_folders import run_folders
from firstorder.signals import Stopped


def test_an_evaluation_of_one_shot_lies_where_the_report_finds_it_and_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its training run: nothing is looked for inside of one."""
    monkeypatch.chdir(tmp_path)
    run = Path("outputs/sweeps/table2/table2_5way_5shot/seed=0")
    run.mkdir(parents=True)
    (run / "results.json").write_text("{}")
    ((script, *settings),) = paper.one_shot_evaluations("table2")
    assert (script, "data.shots=1" in settings) == ("evaluate.py", True)
    (folder,) = (part for part in settings if part.startswith("hydra.run.dir="))
    made = Path(folder.removeprefix("hydra.run.dir=").strip("'"))
    made.mkdir()
    (made / "results.json").write_text("{}")
    assert not list(paper.one_shot_evaluations("table2"))
    assert not list(paper.one_shot_evaluations("figure3"))
    assert len(run_folders([Path("outputs/sweeps/table2")])) == 2


def test_what_failed_is_named_and_a_stop_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "works.py").write_text("")
    (tmp_path / "fails.py").write_text("raise SystemExit(3)")
    (tmp_path / "waits.py").write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(pathlib.Path(sys.argv[1]).touch()))\n"
        "pathlib.Path(sys.argv[2]).touch()\ntime.sleep(60)\n"
    )
    monkeypatch.setattr(paper, "COMMANDS", tmp_path)
    parts = [[("works.py", "a"), ("fails.py", "b", "c"), ("works.py",)], [("fails.py", "d")]]
    assert paper.run(parts, 2) == ["fails.py b", "fails.py d"]
    told, started = tmp_path / "told", tmp_path / "started"

    def stop(*_: object) -> None:
        raise Stopped(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)

    def when_started() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=when_started).start()
    with pytest.raises(Stopped):
        paper.run([[("waits.py", str(told), str(started)), ("fails.py",)]], 1)
    signal.signal(signal.SIGUSR1, before)
    assert told.exists()

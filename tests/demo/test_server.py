"""The demo in a real browser: two drawn characters, a third drawing, the right answer."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, Script
from tests.demo.conftest import Hand

CHECKPOINT = ROOT / "docs" / "results" / "checkpoints" / "table2_5way_seed0.ckpt"
CROSS = [[(0.2, 0.2), (0.5, 0.5), (0.8, 0.8)], [(0.8, 0.2), (0.5, 0.5), (0.2, 0.8)]]
RING = [
    [(0.5, 0.2), (0.75, 0.35), (0.75, 0.65), (0.5, 0.8), (0.25, 0.65), (0.25, 0.35), (0.5, 0.2)]
]
OTHER_CROSS = [[(0.25, 0.15), (0.5, 0.45), (0.75, 0.85)], [(0.85, 0.25), (0.2, 0.7)]]
OTHER_RING = [[(0.45, 0.25), (0.8, 0.4), (0.7, 0.7), (0.4, 0.8), (0.2, 0.5), (0.45, 0.25)]]


@pytest.fixture(scope="module")
def address(environment: dict[str, str], sine_checkpoint: Path, tmp_path_factory) -> Iterator[str]:
    """Return the address of a demo that runs, and end it as Ctrl-C does."""
    pytest.importorskip("flask", reason="needs the extra demo")
    command = [
        sys.executable, ROOT / "src" / "demo.py", f"ckpt_path={CHECKPOINT}", "port=0",
        f"sine_ckpt_path={sine_checkpoint}",
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("demo")
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + process.stderr.read()
        yield found[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT
        assert "Traceback" not in process.stderr.read()
    assert not list(folder.iterdir())


def test_a_drawing_is_told_by_one_drawing_of_each_class(hand: Hand, address: str) -> None:
    hand.requests()
    hand.browser.get(address)
    hand.draw("#query canvas", OTHER_CROSS)
    hand.wait(lambda: "draw 2 to" in hand.text("#characters-said"))
    hand.draw("#classes figure:nth-child(1) canvas", CROSS)
    hand.draw("#classes figure:nth-child(3) canvas", RING)
    for drawing, name in ((OTHER_CROSS, "A"), (OTHER_RING, "C")):
        hand.browser.find_element("css selector", "#query button").click()
        hand.draw("#query canvas", drawing)
        hand.wait(lambda name=name: hand.chances().get(name, 0) > 60)
        assert set(hand.chances()) == {"A", "C"}
        assert sum(hand.chances().values()) == pytest.approx(100, abs=0.2)
    assert hand.text("#characters-said") == ""
    assert len(hand.points("#curve polyline", "points")) == 2
    others = [u for u in hand.requests() if not u.startswith((address, "data:", "chrome:"))]
    assert not others
    errors = [line for line in hand.browser.get_log("browser") if line["level"] == "SEVERE"]
    assert [line for line in errors if "400 (BAD REQUEST)" not in line["message"]] == []


def test_points_of_a_wave_are_fitted(hand: Hand, address: str) -> None:
    hand.browser.get(address)
    hand.browser.find_element("id", "waves-tab").click()
    for x, y in ((0.3, 0.3), (0.5, 0.6), (0.8, 0.4)):
        hand.draw("#plane", [[(x, y)]])
    hand.wait(lambda: len(hand.points("#plane circle", "cx")) == 3)
    assert len(set(hand.points("#plane polyline", "points"))) == 4
    assert hand.text("#waves-said") == ""


def test_a_missing_checkpoint_is_told_in_a_sentence(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="needs the extra demo")
    done = script("demo.py", "ckpt_path=none.ckpt", cwd=tmp_path)
    assert done.returncode != 0
    assert re.search("^error: ckpt_path=none.ckpt is not a file", done.stderr, flags=re.M)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    server = pytest.importorskip("firstorder.demo.server", reason="needs the extra demo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"port={port} cannot be opened"):
            server.open_port(None, port)

"""Weights & Biases is never in the way of a run."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import Script

SHORT = [
    "data=sinusoid", "trainer.max_steps=2", "trainer.progress=false", "eval.tasks=2",
    "eval.monitor_every=0", "trainer.compile=never", "hydra.run.dir=run",
]  # fmt: skip
SECRET = "a1b2c3d4" * 5


class Refuse(BaseHTTPRequestHandler):
    """Answer, and let nobody in."""

    def answer(self) -> None:
        self.send_response(401)
        self.end_headers()

    do_HEAD = do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def inspected(run: Path) -> str:
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json"]
    told = subprocess.run([*command, "--summary", run], capture_output=True, text=True, check=True)
    return told.stdout


def check_went_on_offline(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.count("this run is kept offline") == 1
    assert "anonymous" not in said
    assert "Traceback" not in said
    assert (folder / "results.json").exists()
    (offline,) = (folder / "wandb").glob("offline-run-*")
    assert '"mse"' in inspected(offline)
    assert f"wandb sync {folder}/wandb/offline-run-" in said


def test_a_key_without_a_network_costs_a_warning_and_lies_nowhere(
    script: Script, tmp_path: Path
) -> None:
    done = script(
        "train.py", *SHORT, cwd=tmp_path, WANDB_API_KEY=SECRET, WANDB_BASE_URL="http://127.0.0.1:9"
    )
    check_went_on_offline(done, tmp_path / "run")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_key_that_is_refused_costs_a_warning(
    script: Script, tmp_path: Path, refusing_server: str
) -> None:
    done = script(
        "train.py", *SHORT, cwd=tmp_path, WANDB_API_KEY=SECRET, WANDB_BASE_URL=refusing_server,
        WANDB_INIT_TIMEOUT="5",
    )  # fmt: skip
    check_went_on_offline(done, tmp_path / "run")


def test_a_run_may_be_kept_out_of_weights_and_biases_by_its_own_switch(
    script: Script, tmp_path: Path
) -> None:
    done = script("train.py", *SHORT, cwd=tmp_path, WANDB_MODE="disabled")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "run").glob("wandb/*run-*"))

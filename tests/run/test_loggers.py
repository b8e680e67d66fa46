"""Weights & Biases is never in the way of a run."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path
from threading import Thread
from typing import Any

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


class Accept(Refuse):
    """Answer as much as a run needs that begins online."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body) if self.path == "/graphql" else {}
        query, named = (asked.get(key) or {} for key in ("query", "variables"))
        project = {"id": "p", "name": "firstorder", "entity": {"id": "e", "name": "me"}}
        bucket = {
            "id": "b", "name": named.get("name", ""), "displayName": "x", "description": "",
            "config": "{}", "sweepName": None, "project": project, "historyLineCount": 0,
        } if named else {}  # fmt: skip
        answers: dict[str, Any] = {
            "upsertBucket": {"bucket": bucket, "inserted": True},
            "viewer": {"id": "u", "entity": "me", "username": "me", "email": "a", "flags": "{}",
                       "teams": {"edges": []}, "capabilities": []},
            "serverInfo": {"features": []},
            "RunResumeStatus": None,
            "createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []},
        }  # fmt: skip
        found = next(({key: answers[key]} for key in answers if key in query), {})
        if "RunResumeStatus" in found:
            found = {"model": {**project, "bucket": None}}
        content = json.dumps({"data": found}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


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


def test_a_server_that_goes_away_in_mid_run_costs_nothing(script: Script, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accept)
    Thread(target=server.serve_forever, daemon=True).start()
    metrics, had = tmp_path / "run" / "metrics.csv", []

    def go_away() -> None:
        while lines(metrics) < 10:
            time.sleep(0.05)
        server.shutdown()
        server.server_close()
        had.append(lines(metrics))

    Thread(target=go_away, daemon=True).start()
    done = script(
        "train.py", *SHORT, "trainer.max_steps=150", "trainer.log_every=1", cwd=tmp_path,
        WANDB_API_KEY=SECRET, WANDB_BASE_URL=f"http://127.0.0.1:{server.server_port}",
        WANDB_FINISH_TIMEOUT="3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert 10 <= had[0] < lines(metrics) == 151  # with the names of the columns
    (begun,), (ended,) = (
        (tmp_path / "run" / "wandb").glob(f"{k}-*") for k in ("run", "offline-run")
    )
    assert begun.name.rpartition("-")[2] == ended.name.rpartition("-")[2]
    assert '"mse"' in inspected(ended)


def test_a_run_whose_test_tasks_diverge_ends_well(script: Script, tmp_path: Path) -> None:
    done = script("train.py", *SHORT, "eval.inner_lr=1e6", cwd=tmp_path, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"]["mse"] == inf

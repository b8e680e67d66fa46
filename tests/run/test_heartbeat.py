from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from firstorder.run import heartbeat
from firstorder.run.callbacks import TrainingTime
from firstorder.run.heartbeat import Heartbeat
from firstorder.run.journal import Journal, read_journal


def test_the_journal_tells_rate_and_end_every_ten_seconds(tmp_path: Path) -> None:
    journal = Journal(tmp_path, [])
    beat = Heartbeat(journal, TrainingTime(journal))
    trainer: Any = SimpleNamespace(global_step=0, max_steps=100)
    with patch.object(heartbeat.time, "perf_counter") as clock:
        for second in range(1, 44):  # an iteration takes two seconds, after one of 20
            clock.return_value = 100.0 + 20 + second
            trainer.global_step = 1 + second // 2
            beat.on_train_batch_end(trainer)
    found = read_journal(tmp_path)
    assert found
    assert found.iteration == 1 + 34 // 2
    assert found.rate is not None
    assert 0.45 < found.rate < 0.55
    assert found.due_within == 60
    left = datetime.fromisoformat(str(found.expected_end)) - datetime.now(UTC)
    assert timedelta(seconds=140) < left < timedelta(seconds=190)

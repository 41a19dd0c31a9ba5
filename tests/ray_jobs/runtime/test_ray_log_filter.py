"""What a command says: its own lines on standard output, nothing of Ray's, and every real error."""

import subprocess
import sys
import time
from pathlib import Path

ALARM = "Actor x has constructor arguments in the object store and max_restarts > 0. If the arguments"
PROGRAM = f"""
import os, subprocess, sys
from ray_jobs.runtime.ray_log_filter import without_false_alarm
with without_false_alarm():
    os.write(2, b"{ALARM} ...\\n")
    print("a real error", file=sys.stderr, flush=True)
    os.write(2, b"of another process, unfinished")
    if "hold" in sys.argv:
        print(subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL).pid, flush=True)
    if "fail" in sys.argv:
        raise RuntimeError("a bug")
sys.exit(3)
"""


def run(*words: str, stderr: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_through_a_pipe_all_but_the_false_alarm_passes() -> None:
    process = run(stderr=subprocess.PIPE)
    assert process.communicate(timeout=60) == ("", "a real error\nof another process, unfinished")
    assert process.returncode == 3


def test_into_a_file_all_but_the_false_alarm_passes(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        process = run(stderr=file.fileno())
        assert process.communicate(timeout=60) == ("", None)
    assert process.returncode == 3
    assert (tmp_path / "err").read_text() == "a real error\nof another process, unfinished"


def test_a_traceback_passes() -> None:
    process = run("fail", stderr=subprocess.PIPE)
    _, complained = process.communicate(timeout=60)
    assert complained.endswith("RuntimeError: a bug\n")
    assert process.returncode == 1


def test_a_process_that_holds_the_pipe_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        process = run("hold", stderr=file.fileno())
        start = time.monotonic()
        assert process.wait(timeout=25) == 3
    assert time.monotonic() - start < 20
    assert (tmp_path / "err").read_text().startswith("a real error\n")
    holder, _ = process.communicate(timeout=60)
    subprocess.run(["kill", holder.strip()], check=True)

"""Standard error of a command without the misleading line of Ray, and with every other line."""

import subprocess
import sys
import time
from pathlib import Path

FALSE_ALARM = "Actor x has constructor arguments in the object store and max_restarts > 0. If the arguments"
PROGRAM = f"""
import os, subprocess, sys
from ray_jobs.runtime.ray_log_filter import without_false_alarm
with without_false_alarm():
    os.write(2, b"{FALSE_ALARM} ...\\n")
    print("a real error", file=sys.stderr, flush=True)
    os.write(2, b"of another process, unfinished")
    if "hold" in sys.argv:
        print(subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL).pid, flush=True)
    if "fail" in sys.argv:
        raise RuntimeError("a bug")
sys.exit(3)
"""


def start_program(*arguments: str, stderr: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_filters_a_pipe() -> None:
    process = start_program(stderr=subprocess.PIPE)
    assert process.communicate(timeout=60) == ("", "a real error\nof another process, unfinished")
    assert process.returncode == 3


def test_filters_a_file(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        process = start_program(stderr=file.fileno())
        assert process.communicate(timeout=60) == ("", None)
    assert process.returncode == 3
    assert (tmp_path / "err").read_text() == "a real error\nof another process, unfinished"


def test_traceback_passes() -> None:
    process = start_program("fail", stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=60)
    assert stderr.endswith("RuntimeError: a bug\n")
    assert process.returncode == 1


def test_child_with_open_pipe_does_not_delay_exit(tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        process = start_program("hold", stderr=file.fileno())
        start = time.monotonic()
        assert process.wait(timeout=25) == 3
    assert time.monotonic() - start < 20
    assert (tmp_path / "err").read_text().startswith("a real error\n")
    child, _ = process.communicate(timeout=60)
    subprocess.run(["kill", child.strip()], check=True)

"""Every bad image decoded in a process of its own, with its seconds limited and its memory counted.

    python -m tests.hostile.apart

prints a line of JSON an image. One process loads the libraries and divides itself for every image, so that a process
costs milliseconds; it runs no threads, unlike the tests' own.
"""

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from amia.errors import ImageError
from amia.images import ImageSettings, decode, inspect, resize_to_square
from tests.hostile.images import IMAGES
from tests.hostile.pieces import saved

CPU_S = 10
"""Seconds that one image may take; the kernel ends a process that takes more."""
WALL_S = 120
"""Seconds by the clock: for one that waits and does nothing."""
ADDRESSES = 6 << 30
"""Bytes of addresses. It only keeps the machine from harm: what counts is the memory that was used."""
SETTINGS = ImageSettings(size=64)


def largest() -> dict[str, Callable[[], bytes]]:
    """As many pixels as are allowed, in the ways that take most memory."""
    size = (7_071, 7_071)
    return {
        "CMYK": lambda: saved(Image.new("CMYK", size), "JPEG", progressive=True),
        "float": lambda: saved(Image.new("F", size), "TIFF", compression="tiff_adobe_deflate"),
        "webp": lambda: saved(Image.new("RGBA", size), "WEBP", lossless=True, method=0),
    }


def main() -> None:
    for name, (data, _) in IMAGES.items():
        tell("image", name, lambda data=data: decoded(data))
        tell("header", name, lambda data=data: looked_at(data))
    for name, make in largest().items():
        # The memory that making it takes is not that of reading it.
        file = Path(f"/proc/self/fd/{os.memfd_create(name)}")
        apart(lambda file=file, make=make: str(file.write_bytes(make())))
        tell("largest", name, lambda file=file: decoded(file.read_bytes()))


def tell(kind: str, name: str, work: Callable[[], str]) -> None:
    said, taken = apart(work)
    print(json.dumps({"kind": kind, "name": name, "said": said, "mb": taken}), flush=True)


def decoded(data: bytes) -> str:
    """The status of a post with this image, or whatever else went wrong."""
    try:
        return "ok" if resize_to_square(decode(data, SETTINGS), SETTINGS).shape == (64, 64, 3) else "another shape"
    except ImageError as error:
        return f"bad_image({error.reason})"
    except Exception as error:  # noqa: BLE001 - to be told of, not to be lost with the process
        return repr(error)


def looked_at(data: bytes) -> str:
    """What its header says."""
    try:
        return str(inspect(data, SETTINGS))
    except ImageError as error:
        return error.reason


def apart(work: Callable[[], str]) -> tuple[str, float]:
    """What `work` says in a copy of this process, or how that ended, and MB that it took there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(WALL_S)
            Path("/proc/self/clear_refs").write_text("5")  # start counting the most memory here
            before = highest()
            said = work()
            os.write(writing, f"{said}\n{(highest() - before) / 1024}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if not told:
        return f"broke off with {os.waitstatus_to_exitcode(status)}", 0.0
    said, taken = told.rsplit("\n", 1)
    return said, float(taken)


def highest() -> int:
    """Most memory that this process ever had, in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()

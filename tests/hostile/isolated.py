"""Decode every hostile image in a separate process with a limit on its time and a measurement of its memory.

    python -m tests.hostile.isolated

prints one line of JSON per image. The main process loads the libraries and forks for every image, which takes
milliseconds. It runs no threads, unlike the process of the tests.
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
from tests.hostile.image_bytes import save_as
from tests.hostile.images import IMAGES

__all__ = ["SETTINGS", "decode_status", "largest_images", "run_isolated"]

CPU_S = 10
"""CPU time limit of one image in seconds; the kernel kills the process after that."""
WALL_S = 120
"""Wall-clock limit in seconds, for a process that blocks."""
ADDRESS_SPACE_BYTES = 6 << 30
"""Limit of the address space, which only protects the machine; the tests check the memory that was used."""
SETTINGS = ImageSettings(size=64)


def largest_images() -> dict[str, Callable[[], bytes]]:
    """Return functions that create images with the maximum number of pixels, in the modes that take most memory."""
    size = (7_071, 7_071)
    return {
        "CMYK": lambda: save_as(Image.new("CMYK", size), "JPEG", progressive=True),
        "float": lambda: save_as(Image.new("F", size), "TIFF", compression="tiff_adobe_deflate"),
        "webp": lambda: save_as(Image.new("RGBA", size), "WEBP", lossless=True, method=0),
    }


def main() -> None:
    for name, (data, _) in IMAGES.items():
        report("image", name, lambda data=data: decode_status(data))
        report("header", name, lambda data=data: header_status(data))
    for name, create in largest_images().items():
        # Created in another process, so that its memory is not measured.
        file = Path(f"/proc/self/fd/{os.memfd_create(name)}")
        run_isolated(lambda file=file, create=create: str(file.write_bytes(create())))
        report("largest", name, lambda file=file: decode_status(file.read_bytes()))


def report(kind: str, name: str, work: Callable[[], str]) -> None:
    result, memory_mb = run_isolated(work)
    print(json.dumps({"kind": kind, "name": name, "result": result, "mb": memory_mb}), flush=True)


def decode_status(data: bytes) -> str:
    """Return the status of a post with this image, or any other error."""
    try:
        return "ok" if resize_to_square(decode(data, SETTINGS), SETTINGS).shape == (64, 64, 3) else "wrong shape"
    except ImageError as error:
        return f"bad_image({error.reason})"
    except Exception as error:  # noqa: BLE001 - reported instead of lost with the process
        return repr(error)


def header_status(data: bytes) -> str:
    """Return the size in the header, or the reason of a failure."""
    try:
        return str(inspect(data, SETTINGS))
    except ImageError as error:
        return error.reason


def run_isolated(work: Callable[[], str]) -> tuple[str, float]:
    """Run `work` in a fork of this process; return its result, or how the process ended, and its memory in MB."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(WALL_S)
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak memory
            before = peak_memory_kb()
            result = work()
            os.write(writing, f"{result}\n{(peak_memory_kb() - before) / 1024}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        output = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if not output:
        return f"exited with {os.waitstatus_to_exitcode(status)}", 0.0
    result, memory_mb = output.rsplit("\n", 1)
    return result, float(memory_mb)


def peak_memory_kb() -> int:
    """Return the peak memory of this process in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()

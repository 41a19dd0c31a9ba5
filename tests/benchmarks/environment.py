"""The machine and the package versions of a measurement, and the load of the machine."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

__all__ = ["gpu_plan", "machine", "versions"]

PACKAGES = (
    *("numpy", "torch", "transformers", "diffusers", "pillow", "pyarrow", "scikit-learn", "ray", "obstore", "amia"),
)


def machine() -> dict[str, Any]:
    """Return processor, cores available to this process, memory, GPUs, vCPUs per GPU, and the current load."""
    cores = len(os.sched_getaffinity(0))
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
        "vcpu_per_gpu": f"{cores}:{len(gpus)}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of all packages that affect a measurement."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def gpu_plan(stage: str, seconds: float, model: str) -> dict[str, Any]:
    """Return the rates of this machine's GPU in one stage for `amia plan`. `seconds`: per post, of the model alone."""
    gpu = torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) // torch.cuda.device_count()
    rate = {"gpu_s": seconds, "source": f"measured: {model}, one {gpu}"}
    return {"gpu": gpu, "cores_per_gpu": max(1, cores), "stages": {stage: rate}}


def _cpu_model() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())

"""On what was it measured: machine, versions, and how busy the machine was with other things."""

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
    """Processor, cores that this process may use, memory, GPUs, vCPU:GPU, and the load when asked."""
    cores = len(os.sched_getaffinity(0))
    gpus = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())]
    return {
        "cpu": _model(),
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
        "vcpu_per_gpu": f"{cores}:{len(gpus)}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Of Python and of every library that a line leans on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def gpu_plan(stage: str, seconds: float, model: str) -> dict[str, Any]:
    """What `amia plan` takes of this machine's GPU in one stage: seconds a post of the bare model."""
    gpu = torch.cuda.get_device_name()
    cores = len(os.sched_getaffinity(0)) // torch.cuda.device_count()
    rate = {"gpu_s": seconds, "source": f"measured: {model}, one {gpu}"}
    return {"gpu": gpu, "cores_per_gpu": max(1, cores), "stages": {stage: rate}}


def _model() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())

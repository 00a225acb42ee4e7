"""Where a call's time goes: torch's profiler."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.gpu.timing import Call, synchronize
from torch.profiler import ProfilerActivity, profile

MOST = 10


def top_kernels(run: Call, device: torch.device, most: int = MOST) -> list[dict[str, Any]]:
    """Return the kernels that took the longest (on a CPU the operations), with calls and milliseconds.

    The last entries are totals: all kernels, and how often the host waited for the device.
    """
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities) as profiler:
        run()
        synchronize(device)
    events = profiler.key_averages()
    waits = sum(event.count for event in events if "Synchronize" in event.key)
    own = [
        {"name": event.key[:90], "calls": event.count, "ms": _microseconds(event, gpu) / 1e3}
        for event in events
        if not gpu or event.device_type == torch.autograd.DeviceType.CUDA
    ]
    own.sort(key=lambda kernel: -kernel["ms"])
    total = {"name": "all", "calls": sum(each["calls"] for each in own), "ms": sum(each["ms"] for each in own)}
    return [*own[:most], total, {"name": "the host's waits", "calls": waits, "ms": 0.0}]


def _microseconds(event: Any, gpu: bool) -> float:
    return float(event.self_device_time_total if gpu else event.self_cpu_time_total)

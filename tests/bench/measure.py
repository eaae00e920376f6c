"""What the benchmarks share: turns taken in one run, this machine's limits, Markdown."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from vad_pipeline.extract.encoder import multiplies_bf16

TOKENS, WIDTH, HIDDEN = 8 * 197, 768, 3072  # of the largest product in ViT-B/16, at our batch of eight
REPEATS = 20


def in_turn(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each job; they take turns, so that what else the machine does hits all of them.

    Args:
        jobs: called once before, to warm up.
        rounds: how often each is timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def matrix_gflops(dtype: torch.dtype) -> float:
    """GFLOP/s of torch's matrix product at the encoder's shapes."""
    a, b = torch.randn(TOKENS, WIDTH).to(dtype), torch.randn(WIDTH, HIDDEN).to(dtype)
    seconds = in_turn({"product": lambda: [a @ b for _ in range(REPEATS)]}, rounds=5)["product"]
    return 2 * TOKENS * WIDTH * HIDDEN * REPEATS / seconds / 1e9


def openvino_gflops(precision: str) -> float:
    """GFLOP/s of the same product by OpenVINO, `f32` or `bf16`."""
    import openvino
    from openvino import opset13 as ops

    left = ops.parameter([TOKENS, WIDTH], "f32")
    right = ops.constant(torch.randn(WIDTH, HIDDEN).numpy())
    model = openvino.Model([ops.reduce_sum(ops.matmul(left, right, False, False), ops.constant([0]))], [left])
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    values = torch.randn(TOKENS, WIDTH).numpy()
    jobs = {"product": lambda: [request.infer({0: values}, share_inputs=True) for _ in range(REPEATS)]}
    return 2 * TOKENS * WIDTH * HIDDEN * REPEATS / in_turn(jobs, rounds=5)["product"] / 1e9


def machine() -> str:
    """Processor, cores, versions and date, one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {_version(name)}" for name in ("torch", "openvino", "av", "decord"))
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.cpu.get_capabilities()['name']}"
        if "name" in torch.cpu.get_capabilities()
        else f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"
    ) + (
        f", bf16 {'in hardware' if multiplies_bf16() else 'emulated'}; {packages}, Python {platform.python_version()}; "
        f"{datetime.date.today()}"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)

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

from vad_pipeline.extract.embed import openvino_tower
from vad_pipeline.extract.embed.ways import multiplies_bf16

TOKENS, WIDTH, HIDDEN = 197, 768, 3072  # of the largest product in ViT-B/16, an image
REPEATS = 20


def in_turn(jobs: dict[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, float]:
    """Median seconds of each job; they take turns, so that what else the machine does hits all of them.

    Args:
        jobs: what to time.
        rounds: how often.
        warm: call each once before; else each is called once in all, cold.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values() if warm else ():
        job()
    for _ in range(rounds if warm else 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def matrix_gflops(dtype: torch.dtype, device: torch.device, batch: int) -> float:
    """GFLOP/s of torch's matrix product at the shapes of ViT-B/16's largest, for `batch` images."""
    a = torch.randn(batch * TOKENS, WIDTH).to(device, dtype)
    b = torch.randn(WIDTH, HIDDEN).to(device, dtype)

    def multiply() -> None:
        for _ in range(REPEATS):
            product = a @ b
        product[0, 0].item()  # waits for a GPU

    return 2 * len(a) * WIDTH * HIDDEN * REPEATS / in_turn({"product": multiply}, rounds=5)["product"] / 1e9


def openvino_gflops(precision: str, batch: int) -> float:
    """GFLOP/s of the same product by OpenVINO on the CPU, `f32` or `bf16`."""
    openvino = openvino_tower.silent_openvino()
    from openvino import opset13 as ops

    left = ops.parameter([batch * TOKENS, WIDTH], openvino.Type.f32)
    right = ops.constant(torch.randn(WIDTH, HIDDEN).numpy())
    model = openvino.Model([ops.reduce_sum(ops.matmul(left, right, False, False), ops.constant([0]))], [left])
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino_tower.core().compile_model(model, "CPU", options).create_infer_request()
    values = torch.randn(batch * TOKENS, WIDTH).numpy()
    jobs = {"product": lambda: [request.infer({0: values}, share_inputs=True) for _ in range(REPEATS)]}
    return 2 * len(values) * WIDTH * HIDDEN * REPEATS / in_turn(jobs, rounds=5)["product"] / 1e9


def machine() -> str:
    """Processor, cores, GPU, versions and date, one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {_version(name)}" for name in ("torch", "openvino", "av", "decord"))
    bf16 = "in hardware" if multiplies_bf16() else "emulated"
    gpu = f"{torch.cuda.get_device_name()}; " if torch.cuda.is_available() else ""
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, bf16 {bf16}; {gpu}{packages}, "
        f"Python {platform.python_version()}; {datetime.date.today()}"
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

"""Compiles the image tower with OpenVINO for this processor, and keeps it on disk so that it is compiled only once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import StoreError
from ..files import remove_partial, written_aside
from ..only_process import in_turn
from .quiet import unlogged, without_telemetry
from .tower import FromPixels

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Model

logger = logging.getLogger(__name__)

DEVICE = "CPU"
HINTS = {"fp32": "f32", "bf16": "bf16"}
SCHEMA = 1  # raised when a change of this code changes what is compiled, so that towers kept before are not used
KEPT_TOWERS = 4  # of 345 MB
DIGEST_BYTES = 32  # a compiled tower's SHA-256 stands before it: OpenVINO does not notice damage


def is_installed() -> bool:
    """Whether OpenVINO is installed and runs on this processor."""
    return platform.machine() in ("x86_64", "AMD64") and find_spec("openvino") is not None


def silent_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry."""
    with without_telemetry():
        import openvino
        import openvino.tools.ovc  # binds what it sends with
    return openvino


@lru_cache(maxsize=1)
def core() -> Core:
    """This process's one OpenVINO core, which lives as long as the process.

    Its plugin for the CPU sets a stack for signal handlers, and when it ends, puts back the one it found. Of several
    that end in another order than they began, the last puts back memory that is gone, and the next Ctrl-C crashes.
    """
    return silent_openvino().Core()


class CompiledTower:
    """A tower compiled by OpenVINO: uint8 crops (N, 3, px, px) -> (N, D) float32, N at most the batch size."""

    def __init__(self, compiled: CompiledModel):
        self._request = compiled.create_infer_request()

    def __call__(self, crops: torch.Tensor) -> np.ndarray:
        """Embed a batch of crops, or fewer."""
        return self._request.infer({0: crops.numpy()}, share_inputs=True)[0].copy()


def compiled_tower(
    make: Callable[[], FromPixels],
    *,
    identity: dict[str, object],
    precision: str,
    batch_size: int,
    keep_in: Path | None,
) -> CompiledTower:
    """Compile a tower, or read it from disk where it was compiled for this processor before.

    Args:
        make: builds the torch module, from uint8 crops to embeddings; called only where the tower must be compiled.
        identity: names and values that tell the tower's weights and architecture.
        precision: `fp32` or `bf16`.
        batch_size: how many images the tower takes at once at most.
        keep_in: folder for compiled towers, one that nobody else writes to; the KEPT_TOWERS used last stay there. None:
            they are not kept.

    Raises:
        ConfigError: `make` raises it.
    """
    if keep_in is None:
        return CompiledTower(compile_for_here(converted(make(), batch_size), precision))
    path = keep_in / f"{_key(identity, precision, batch_size)}.blob"
    kept = _kept(path)
    if kept is None:
        with in_turn(keep_in):  # workers that start together would all compile it, with some 2 GB each
            kept = _kept(path)  # by who was here before
            if kept is None:
                if path.exists():
                    logger.warning("%s: damaged; compiled anew", path)
                compiled = compile_for_here(converted(make(), batch_size), precision)
                _keep(path, compiled.export_model())
                return CompiledTower(compiled)
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    # A copy: shared memory would have to outlive the model, and OpenVINO does not hold on to it.
    copied = silent_openvino().Tensor(kept)
    return CompiledTower(core().import_model(copied, DEVICE, _options(precision)))


def _key(identity: dict[str, object], precision: str, batch_size: int) -> str:
    """Name of a compiled tower's file: a hash of all that its results, and whether it can run here, depend on."""
    parts = {
        **identity,
        "schema": SCHEMA,
        "precision": precision,
        "batch_size": batch_size,
        "processor": core().get_property(DEVICE, "FULL_DEVICE_NAME"),
        "abilities": sorted(core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")),
        **{name: version(name) for name in ("openvino", "torch", "open_clip_torch")},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _kept(path: Path) -> np.ndarray | None:
    """Read a compiled tower through a memory map, (bytes,) uint8; None where the file is missing or damaged."""
    try:
        content = np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError):  # none there, or an empty one
        return None
    blob = content[DIGEST_BYTES:]
    return blob if hashlib.sha256(blob).digest() == bytes(content[:DIGEST_BYTES]) else None


def _keep(path: Path, blob: BytesIO) -> None:
    """Write a compiled tower to disk; where that fails, a warning is logged and the work goes on."""
    remove_partial(path.parent)
    try:
        with written_aside(path) as aside, aside.open("wb") as file:
            view = blob.getbuffer()
            file.write(hashlib.sha256(view).digest())
            file.write(view)
        used_last = sorted(path.parent.glob("*.blob"), key=lambda blob: blob.stat().st_mtime_ns, reverse=True)
        for old in used_last[KEPT_TOWERS:]:
            old.unlink(missing_ok=True)
    except (StoreError, OSError) as error:
        logger.warning("the compiled tower is not kept, the next run makes it anew: %s", error)


def converted(network: FromPixels, batch_size: int) -> Model:
    """Convert torch's tower, from uint8 crops to embeddings, to OpenVINO's form, for up to `batch_size` crops."""
    openvino, px = silent_openvino(), network.px
    example = torch.zeros((1, 3, px, px), dtype=torch.uint8)
    with _traceable(), torch.no_grad():
        traced = torch.jit.trace(network, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example)
    model.reshape([openvino.Dimension(1, batch_size), 3, px, px])
    return model


def compile_for_here(model: Model, precision: str) -> CompiledModel:
    """Compile a converted tower for this processor and this process's share of its cores."""
    return core().compile_model(model, DEVICE, _options(precision))


def _options(precision: str) -> dict:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),  # this process's share of the cores
        "ENABLE_CPU_PINNING": False,  # workers beside this one would be pinned to the same cores
    }


@contextlib.contextmanager
def _traceable() -> Iterator[None]:
    """Switch off torch's fused attention, which OpenVINO cannot convert, and warnings about tracing, in a block.

    Where NNCF is loaded, OpenVINO loads its part for torch too, whose build tools warn that CUDA is missing.
    """
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), unlogged(logging.WARNING):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)

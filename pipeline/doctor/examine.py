"""Looks the machine over: facts, timings, and the problems among them, each with what to do."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from vad_pipeline.extract.errors import how_to_add
from vad_pipeline.extract.store.catalogue_place import is_of_network
from vad_pipeline.extract.timings import cache_folder, processor

from . import machine, rates

DOCTOR_SCHEMA = 1
LOW_FREE_GB = 5.0  # of disk
LOW_MEMORY_GB = 4.0  # a worker with ViT-B/16 takes 2
SLOW_MB_PER_SECOND = 20.0
X86 = ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is in the way."""

    what: str
    do: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that `doctor` found."""

    problems: tuple[Problem, ...]
    versions: dict[str, str | None]
    system: str
    processor: str
    cores: int
    """Cores that this process may use."""
    memory_gb: tuple[float, float]
    """All, and what is free for programs."""
    gpus: list[dict]
    nvdec: dict[str, bool]
    """Codec -> whether the GPU decodes it; empty without one."""
    extras: dict[str, bool]
    weights: str | None
    """Where CLIP's published weights lie; None: they would be downloaded."""
    disk: machine.Disk
    stages: dict[str, rates.Stage]
    timings_in: str
    """The folder in which timings are kept."""
    decoded_frames_per_second: float

    def to_json(self) -> dict:
        """As `doctor --json` prints it."""
        return {"schema": DOCTOR_SCHEMA, **asdict(self)}


def examine(store: Path, *, device: str, again: bool) -> Examination:
    """Look this machine over.

    Args:
        store: where features are, or will be.
        device: as `--device` names it.
        again: whether to time anew what is remembered.

    Raises:
        ConfigError: this machine has no such device.
    """
    stages = rates.stages(device, again=again)
    gpus = machine.gpus()
    facts = {
        "versions": machine.versions(),
        "memory_gb": machine.memory_gb(),
        "gpus": gpus,
        "extras": machine.extras(),
        "weights": machine.weights_at(),
        "disk": machine.disk_of(store),
        "nvdec": rates.nvdec() if gpus else {},
    }
    return Examination(
        problems=tuple(_problems(**facts)),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        stages=stages,
        timings_in=str(cache_folder()),
        decoded_frames_per_second=rates.decode_rate(again=again),
        **facts,
    )


def _problems(*, versions, memory_gb, gpus, extras, weights, disk, nvdec) -> list[Problem]:
    """What is in the way, the worst first."""
    found = []
    if disk.written_mb_per_second is None:
        found.append(Problem(f"nothing can be written where {disk.folder} lies", "give rights, or another --store"))
    if disk.free_gb < LOW_FREE_GB:
        found.append(Problem(f"the disk of {disk.folder} has {disk.free_gb} GB left", "make space"))
    if memory_gb[1] < LOW_MEMORY_GB:
        what = f"{memory_gb[1]} GB of memory are free, and a worker with ViT-B/16 takes 2"
        found.append(Problem(what, "end other programs, or give fewer --workers"))
    if not gpus and machine.has_nvidia_driver():
        what = f"there is an NVIDIA driver, but torch {versions['torch']} sees no GPU"
        found.append(Problem(what, "install a torch with CUDA (https://pytorch.org), or look at nvidia-smi"))
    if gpus and not any(nvdec.values()):
        found.append(Problem("NVDEC decodes nothing here: footage is decoded in software", "update the NVIDIA driver"))
    if weights is None:
        what = "CLIP's weights `openai` are not on this machine: `extract` downloads them (350 MB)"
        found.append(Problem(what, "without internet give a file with --pretrained FILE"))
    if not gpus and platform.machine() in X86 and not extras["openvino"]:
        what = "OpenVINO, mostly faster than torch on a processor, is not installed"
        found.append(Problem(what, how_to_add("openvino")))
    if disk.written_mb_per_second is not None and disk.written_mb_per_second < SLOW_MB_PER_SECOND:
        what = f"the disk of {disk.folder} takes {disk.written_mb_per_second} MB/s"
        found.append(Problem(what, "put the store on a faster one"))
    if is_of_network(disk.file_system):
        what = f"{disk.folder} lies on a network disk ({disk.file_system}): each host keeps a catalogue of its own"
        found.append(Problem(what, "nothing needs to be done; --catalogue PATH on a local disk is faster"))
    return found

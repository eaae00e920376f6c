"""Facts about this machine: versions, processor, memory, GPUs, optional packages, weights, the store's disk."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vad_pipeline.extract.store.catalogue_place import file_system_of

PACKAGES = (
    "vad-pipeline torch torchvision open_clip_torch decord av numpy pillow h5py joblib click matplotlib safetensors "
    "openvino nncf distributed ray tensorboard opencv-python-headless"
).split()
EXTRAS = {
    "openvino": "openvino",
    "int8": "nncf",
    "dask": "distributed",
    "ray": "ray",
    "tensorboard": "tensorboard",
    "blur": "opencv-python-headless",
}
"""Extra -> the package that tells whether it is installed."""

WRITTEN_BYTES, BLOCK_BYTES = 64 << 20, 1 << 20  # what is written to the store's disk to time it
HUB_REPOSITORY = "timm/vit_base_patch16_clip_224.openai"  # as open_clip's table of weights, slow to import, has it
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
DOWNLOADED_NAME = "ViT-B-16.pt"
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
CLIP_CACHE = "~/.cache/clip"  # where open_clip keeps what it downloads from elsewhere than the hub


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk on which a folder lies, or will lie."""

    folder: str
    file_system: str
    """As the system names it; empty where it does not say."""
    free_gb: float
    written_mb_per_second: float | None
    """How fast 64 MB were written and synced; None where nothing can be written."""


def versions() -> dict[str, str | None]:
    """Package -> its version, None where it is not installed; Python and FFmpeg's decoders too."""
    import av

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    libavcodec = av.library_versions.get("libavcodec")
    return found | {"libavcodec": ".".join(map(str, libavcodec)) if libavcodec else None}


def extras() -> dict[str, bool]:
    """Extra -> whether it is installed."""
    installed = versions()
    return {extra: installed[package] is not None for extra, package in EXTRAS.items()}


def memory_gb() -> tuple[float, float]:
    """Memory of this machine, and how much of it is free for programs, in GB of 10^9 bytes."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # no Linux
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return round(total / 1e9, 1), round(free / 1e9, 1)


def gpus() -> list[dict[str, str | float]]:
    """The GPUs that torch can use: name, memory in GB, and compute capability."""
    if not has_gpu_driver():
        return []
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append(
            {
                "name": properties.name,
                "memory_gb": round(properties.total_memory / 1e9, 1),
                "capability": f"{properties.major}.{properties.minor}",
            }
        )
    return found


def has_gpu_driver() -> bool:
    """Whether a driver is loaded by which torch may have a GPU: NVIDIA's, AMD's, or that of Windows below Linux."""
    return has_nvidia_driver() or any(Path(path).exists() for path in GPU_DRIVERS)


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is loaded, whatever torch can do with it."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def disk_of(folder: Path) -> Disk:
    """Look at the disk on which a folder lies or will lie, and time how fast it takes data.

    A file of 64 MB is written beside where the folder lies or will lie, and deleted again.
    """
    there = folder.absolute()
    while not there.is_dir():
        there = there.parent
    return Disk(str(folder), file_system_of(there), round(shutil.disk_usage(there).free / 1e9, 1), _write_rate(there))


def _write_rate(folder: Path) -> float | None:
    path = folder / f".partial-doctor-{os.getpid()}"
    block = os.urandom(BLOCK_BYTES)
    try:
        with path.open("xb") as file:
            started = time.perf_counter()
            for _ in range(WRITTEN_BYTES // BLOCK_BYTES):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - started
    except OSError:
        return None
    finally:
        path.unlink(missing_ok=True)
    return round(WRITTEN_BYTES / 1e6 / seconds, 1)


def weights_at() -> str | None:
    """Where CLIP's published weights lie on this machine; None where `extract` would have to download them."""
    from huggingface_hub import try_to_load_from_cache

    for name in HUB_FILES:
        if isinstance(found := try_to_load_from_cache(HUB_REPOSITORY, name), str):
            return found
    downloaded = Path(CLIP_CACHE).expanduser() / DOWNLOADED_NAME
    return str(downloaded) if downloaded.is_file() else None

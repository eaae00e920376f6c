"""The image tower in int8, by NNCF's post-training quantisation: calibrated on frames of a store's own footage, kept in
the store with what it deviates from fp32, and used by every later run.

A kept tower is a folder: OpenVINO's model, a record, and the embeddings that the deviation was measured on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import ConfigError, StoreError
from ..files import TEMPORARY_PREFIX, read_versioned, refuse_failed_read
from ..names import plural
from ..recipe import CLIP_PX
from ..timings import timed_once
from .openvino_tower import CompiledTower, compile_for_here, converted, core, silent_openvino
from .quiet import unlogged, without_telemetry
from .tower import FromPixels
from .ways import BATCH_CPU, one_layer, time_ways

if TYPE_CHECKING:
    from openvino import Model

INT8_SCHEMA = 1
WAY = "openvino int8"
MODEL, DATA, RECORD, CHECKED = "tower.xml", "tower.bin", "record.json", "checked.npz"
NEEDS = "--precision int8 needs packages: pip install 'vad-pipeline[int8]'"
ADVICE = "delete the folder, and the next run with --precision int8 calibrates anew"


@dataclass(frozen=True, slots=True)
class Int8Record:
    """What is known of an int8 tower."""

    model: str
    weights: str
    n_calibrated: int
    """Images that it was calibrated on."""
    n_checked: int
    """Other images that its deviation was measured on."""
    videos: list[str]
    """Ids of the videos that these images are of."""
    worst: float
    """The smallest cosine of an embedding to the one in fp32; the mean embedding is subtracted from both before."""
    median: float
    sha256: str
    """Of the weights' file."""
    versions: dict[str, str]

    def words(self) -> str:
        """The deviation in one line."""
        return (
            f"int8 tower, calibrated on {self.n_calibrated} images of {plural(len(self.videos), 'video')}: cosine to "
            f"fp32 (mean subtracted) {self.median:.4f} median, {self.worst:.4f} worst over "
            f"{self.n_checked} other images"
        )


def folder_of(store_folder: Path, *, model: str, weights: str) -> Path:
    """Where the int8 tower of a model with these weights is kept."""
    return store_folder / hashlib.sha256(f"{model}/{weights}".encode()).hexdigest()[:16]


def is_installed() -> bool:
    """Whether the packages that calibrate are there."""
    return find_spec("nncf") is not None and find_spec("openvino") is not None


def read_record(folder: Path) -> Int8Record:
    """Read the record of a kept tower.

    Raises:
        StoreError: it is damaged or of a newer version.
    """
    values = read_versioned(folder / RECORD, INT8_SCHEMA, what="int8 towers", advice=ADVICE)
    try:
        record = Int8Record(**{name: value for name, value in values.items() if name != "schema"})
        record.words()
    except (TypeError, ValueError) as error:
        raise StoreError(f"{folder / RECORD}: damaged ({error}); {ADVICE}") from error
    return record


def checked_embeddings(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings that the deviation was measured on, in fp32 and in int8, (n, D) float32 each.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        with np.load(folder / CHECKED) as file:
            return file["fp32"], file["int8"]
    except (OSError, ValueError, KeyError) as error:
        refuse_failed_read(folder / CHECKED, error)
        raise StoreError(f"{folder / CHECKED}: cannot be read ({error}); {ADVICE}") from error


def load(folder: Path) -> CompiledTower:
    """Compile a kept tower for this processor.

    Raises:
        ConfigError: there is none.
        StoreError: it is damaged.
    """
    if not (folder / RECORD).exists():
        raise ConfigError(f"{folder}: no int8 tower is kept there; vad-pipeline extract --precision int8 makes it")
    record = read_record(folder)
    try:
        with (folder / DATA).open("rb") as file:
            intact = hashlib.file_digest(file, "sha256").hexdigest() == record.sha256
        if not intact:
            raise StoreError(f"{folder / DATA}: damaged; {ADVICE}")
        model = core().read_model(folder / MODEL)
    except (OSError, RuntimeError) as error:
        refuse_failed_read(folder / DATA, error)
        raise StoreError(f"{folder}: the int8 tower cannot be read ({error}); {ADVICE}") from error
    return CompiledTower(compile_for_here(model, "fp32"))


def calibrate(
    make: Callable[[], FromPixels],
    images: torch.Tensor,
    *,
    identity: dict[str, str],
    videos: list[str],
    folder: Path,
    batch_size: int,
) -> Int8Record:
    """Quantise a tower on every second image, measure its deviation on the others, and keep it.

    Args:
        make: builds the tower, from uint8 crops to embeddings.
        images: (N, 3, px, px) uint8 crops of the store's footage.
        identity: names of `model` and `weights`.
        videos: ids of the videos that the images are of.
        folder: where it will be kept.
        batch_size: how many images the tower takes at once at most.

    Raises:
        ConfigError: NNCF is not installed.
        StoreError: the store cannot be written.
    """
    if not is_installed():
        raise ConfigError(NEEDS)
    seen, others = images[0::2], images[1::2]
    model = converted(make(), batch_size)
    quantised = _quantised(model, seen)
    exact, rough = (_embedded(each, others, batch_size) for each in (model, quantised))
    cosines = deviation(exact, rough)
    with _folder_aside(folder) as aside:
        silent_openvino().save_model(quantised, aside / MODEL, compress_to_fp16=False)
        np.savez(aside / CHECKED, fp32=exact, int8=rough)
        record = Int8Record(
            **identity,
            n_calibrated=len(seen),
            n_checked=len(others),
            videos=videos,
            worst=float(cosines.min()),
            median=float(np.median(cosines)),
            sha256=hashlib.sha256((aside / DATA).read_bytes()).hexdigest(),
            versions={name: version(name) for name in ("openvino", "nncf", "torch")},
        )
        (aside / RECORD).write_text(json.dumps({"schema": INT8_SCHEMA} | asdict(record), indent=2))
    return record


def deviation(exact: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Cosine of each embedding to the exact one, (n,), once the mean of the exact ones is subtracted from both.

    Without that, embeddings of all pictures are much alike and every cosine is near 1.

    Args:
        exact, rough: (n, D) embeddings of the same images.
    """
    mean = exact.mean(axis=0, dtype=np.float64)
    left, right = exact - mean, rough - mean
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.einsum("nd,nd->n", left, right) / np.maximum(lengths, np.finfo(np.float64).tiny)


def speed_up() -> float | None:
    """How many times as fast as the fastest way of full accuracy int8 is on this machine, by one layer of ViT-B/16.

    Timed once for a machine; None where the packages are not installed or the processor is not used.
    """
    if not is_installed():
        return None
    full = time_ways(torch.device("cpu"))
    taken = timed_once("int8", {WAY: _one_layer_in_int8}, threads=torch.get_num_threads()).seconds[WAY]
    return full.seconds[full.best(full.seconds)] / taken


def _one_layer_in_int8() -> Callable[[], object]:
    """A function that embeds a batch of noise by a tower of one layer in int8."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH_CPU, 3, CLIP_PX, CLIP_PX), dtype=torch.uint8, generator=generator)
    model = converted(FromPixels(one_layer(), torch.device("cpu"), torch.float32), BATCH_CPU)
    tower = CompiledTower(compile_for_here(_quantised(model, images), "fp32"))
    return partial(tower, images)


def _quantised(model: Model, images: torch.Tensor) -> Model:
    """Quantise a converted tower, calibrated on these images; NNCF's messages and progress bars are not shown."""
    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
        unlogged(logging.WARNING),
    ):
        with without_telemetry():
            import nncf
        return nncf.quantize(
            model,
            nncf.Dataset([image[None].numpy() for image in images]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(images),
        )


def _embedded(model: Model, images: torch.Tensor, batch_size: int) -> np.ndarray:
    tower = CompiledTower(compile_for_here(model, "fp32"))
    return np.concatenate([tower(batch) for batch in images.split(batch_size)])


@contextlib.contextmanager
def _folder_aside(folder: Path) -> Iterator[Path]:
    """Give a folder to write to in a block, which becomes `folder` at its end, whole or not at all."""
    aside = folder.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.rename(folder)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{folder.parent}: cannot be written ({error}); make space or give rights") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)

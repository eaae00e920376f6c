"""An image tower of open_clip's: uint8 crops (N, 3, px, px) -> embeddings (N, D) float32.

An embedding does not depend on how many images are in its batch: torch's batches are padded to sizes that give the same
bits, and OpenVINO gives the same bits for any number. For bf16 and fp16 the weights are cast to that type, since
autocast is slower than fp32 on a CPU.
"""

from __future__ import annotations

import copy
import logging
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ..device import device_name, resolve_device
from ..errors import ConfigError
from . import int8_tower, openvino_tower
from .encoder_config import INT8, EncoderConfig, load_weights, model_identity
from .model_config import image_tower
from .tower import FromPixels, build_tower, checked_tower
from .ways import BATCH_CPU, BATCH_CUDA, DTYPES, EMULATED, multiplies_bf16, way_of
from .weights import Weights

logger = logging.getLogger(__name__)

MULTIPLE_CPU = 4  # torch's batches of 4 and of 8 gave the same bits, those of 1 and 2 did not
ACTIVATIONS = ("quickgelu", "gelu")


class ClipEncoder:
    """A loaded image tower, which embeds crops.

    Args:
        config: which tower, and how it is run.
        weights: what `load_weights` gave, if it was called already; None: it is called.
        compiled: folder where OpenVINO's compiled towers are kept; None: they are compiled each time.
        int8: folder of the int8 tower, for that precision.

    Attributes:
        weights: identity of the weights in a recipe.
        px: side of the pictures that the tower takes.
        way: how it computes, with the timings that the choice rests on.
        precision, runtime: what is used in place of `auto`, for the record.
        seconds, images: time spent in the tower, and images sent through it, padding included.

    Raises:
        ConfigError: as `build_tower` and `checked_tower` raise it.
    """

    def __init__(
        self,
        config: EncoderConfig,
        weights: Weights | None = None,
        *,
        compiled: Path | None = None,
        int8: Path | None = None,
    ):
        weights = weights or load_weights(config.pretrained, config.model)
        self.config = config
        self.device = resolve_device(config.device)
        self.way = way_of(config, self.device)
        self.precision, library = self.way.precision, self.way.runtime
        if self.precision == "bf16" and self.device.type == "cpu" and not multiplies_bf16():
            logger.warning(EMULATED)
        on_gpu = self.device.type == "cuda"
        self.batch_size = BATCH_CUDA if on_gpu else BATCH_CPU
        self._multiple = BATCH_CUDA if on_gpu else MULTIPLE_CPU if library == "torch" else 1
        library_version = torch.__version__ if library == "torch" else version(library)
        self.runtime = (
            f"{library} {library_version} {device_name(self.device)} batch {self.batch_size} "
            f"threads {torch.get_num_threads()}"
        )
        self.weights = weights.identity
        takes = image_tower(config.model, config.pretrained)
        self.px = takes.image_px
        self.seconds, self.images = 0.0, 0
        self._network: FromPixels | None = None
        """torch's; None where OpenVINO computes."""
        if library == "torch":
            self._network = checked_tower(build_tower(config, weights), config, self.device, DTYPES[self.precision])
            return
        if self.precision == INT8:
            if int8 is None:
                raise ConfigError("--precision int8 is for extraction into a store, which keeps the int8 tower")
            self._compiled = int8_tower.load(int8)
            self.runtime += f" tower {int8_tower.read_record(int8).sha256[:12]}"
            return
        self._compiled = openvino_tower.compiled_tower(
            lambda: full_tower(config, weights),
            identity={"model": model_identity(config.model), "weights": self.weights, **takes.unlike_clip},
            precision=self.precision,
            batch_size=self.batch_size,
            keep_in=compiled,
        )

    @torch.inference_mode()
    def encode(self, crops: torch.Tensor) -> np.ndarray:
        """Embed up to `batch_size` crops.

        Args:
            crops: (N, 3, px, px) uint8, N <= batch_size, on any device; on the tower's own they stay where they are.

        Returns:
            (N, D) float32, not normalised: what `encode_image` gives.
        """
        started = time.perf_counter()
        n = len(crops)
        if n > self.batch_size:
            raise ValueError(f"expected at most {self.batch_size} crops, got {n}")
        if missing := -n % self._multiple:
            crops = torch.cat([crops, crops.new_zeros(missing, *crops.shape[1:])])
        if self._network is None:
            out = self._compiled(crops.cpu())[:n]
        else:
            out = self._network(crops.to(self.device))[:n].cpu().numpy()
        self.seconds += time.perf_counter() - started
        self.images += len(crops)
        return out

    @property
    def activation(self) -> str:
        """The tower's activation, `quickgelu` or `gelu`; empty where it has neither as a module."""
        kinds = {type(module).__name__.lower() for module in self._network.tower.modules()}
        return next((name for name in ACTIVATIONS if name in kinds), "")

    def with_other_activation(self) -> ClipEncoder:
        """The same weights with GELU in place of QuickGELU, or the other way round."""
        from open_clip.transformer import QuickGELU

        old, new = (QuickGELU, torch.nn.GELU) if self.activation == "quickgelu" else (torch.nn.GELU, QuickGELU)
        other = self._copy()
        for module in list(other._network.tower.modules()):
            for name, child in module.named_children():
                if isinstance(child, old):
                    setattr(module, name, new())
        return other

    def with_precision(self, precision: str) -> ClipEncoder:
        """The same tower in the precision `fp32`, `bf16` or `fp16`; this encoder itself where it has that already."""
        if precision == self.precision:
            return self
        other = self._copy()
        other.precision, other._network.dtype = precision, DTYPES[precision]
        other._network.tower.to(other._network.dtype)
        return other

    def with_half_weights(self) -> ClipEncoder:
        """The same tower with its weights rounded to float16, as OpenAI's code has them on a GPU."""
        other = self._copy()
        for tensor in other._network.tower.state_dict().values():
            tensor.copy_(tensor.half())
        return other

    def _copy(self) -> ClipEncoder:
        other = copy.copy(self)
        other._network = copy.deepcopy(self._network)
        return other

    def measure_rate(self) -> float:
        """Measure how many images/s are embedded on this machine: one full batch, after another to warm up."""
        crops = torch.zeros((self.batch_size, 3, self.px, self.px), dtype=torch.uint8)
        self.encode(crops)
        started = time.perf_counter()
        self.encode(crops)
        return self.batch_size / (time.perf_counter() - started)


def full_tower(config: EncoderConfig, weights: Weights) -> FromPixels:
    """The tower in fp32 on the CPU, from uint8 crops to embeddings; errors as `build_tower` and `checked_tower`."""
    return checked_tower(build_tower(config, weights), config, torch.device("cpu"), torch.float32)

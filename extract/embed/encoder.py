"""CLIP's image tower through open_clip: uint8 crops (N, 3, 224, 224) -> embeddings (N, 512) float32.

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
from ..recipe import EMBEDDING_DIM
from . import openvino_tower
from .encoder_config import PRECISIONS, EncoderConfig, load_weights, model_identity
from .geometry import CROP_PX
from .tower import build_tower, first_line
from .weights import Weights

logger = logging.getLogger(__name__)

BATCH_CPU = 8  # images; larger batches gain nothing on a CPU and delay short videos
BATCH_CUDA = 128
MULTIPLE_CPU = 4  # torch's batches of 4 and of 8 gave the same bits, those of 1 and 2 did not
ACTIVATIONS = ("quickgelu", "gelu")
DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))
CLIP_STATISTICS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}  # of red, green and blue, where a tower names none
EMULATED = "--precision bf16: this processor has no instructions for it and emulates them, far slower than fp32"


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is fp16 on a GPU, bf16 on a processor that multiplies it in hardware, fp32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    return "bf16" if multiplies_bf16() else "fp32"


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for bf16; others emulate it, far slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_runtime(runtime: str, device: torch.device, precision: str) -> str:
    """The runtime to use, `torch` or `openvino`; `auto` is OpenVINO where it can compute this precision on this device.

    Raises:
        ConfigError: OpenVINO is asked for and cannot do it here.
    """
    if runtime == "torch":
        return runtime
    reason = _why_not_openvino(device, precision)
    if reason and runtime == "openvino":
        raise ConfigError(f"--runtime openvino: {reason}")
    return "torch" if reason else "openvino"


def _why_not_openvino(device: torch.device, precision: str) -> str:
    if not openvino_tower.is_installed():
        return "not installed, or not for this processor; pip install 'vad-pipeline[openvino]', or use --runtime torch"
    if device.type != "cpu":
        return f"computes on the CPU; use --device cpu, or --runtime torch on {device}"
    if precision not in openvino_tower.HINTS or (precision == "bf16" and not multiplies_bf16()):
        return f"cannot compute {precision} on this processor; use --precision fp32, or --runtime torch"
    return ""


class _FromPixels(torch.nn.Module):
    """An image tower with CLIP's normalisation before it: uint8 crops (N, 3, 224, 224) -> (N, 512) float32."""

    def __init__(self, tower: torch.nn.Module, device: torch.device, dtype: torch.dtype):
        super().__init__()
        mean, std = (getattr(tower, f"image_{name}", None) or default for name, default in CLIP_STATISTICS.items())
        self.mean = torch.tensor(mean, device=device).mul(255).view(3, 1, 1)
        self.scale = torch.tensor(std, device=device).mul(255).reciprocal().view(3, 1, 1)
        # as tensor cores want convolutions
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.tower = tower.to(device, dtype, memory_format=self.layout)
        self.dtype = dtype

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Embed crops: (N, 3, 224, 224) uint8 -> (N, 512) float32."""
        pixels = crops.float().sub_(self.mean).mul_(self.scale)
        return self.tower(pixels.to(self.dtype, memory_format=self.layout)).float()


class ClipEncoder:
    """A loaded image tower, which embeds crops.

    Args:
        config: which tower, and how it is run.
        weights: what `load_weights` gave, if it was called already; None: it is called.
        compiled: folder where OpenVINO's compiled towers are kept; None: they are compiled each time.

    Attributes:
        weights: identity of the weights in a recipe.
        precision, runtime: what is used in place of `auto`, for the record.
        seconds, images: time spent in the tower, and images sent through it, padding included.

    Raises:
        ConfigError: as `build_tower` raises it, or the tower does not give 512 values for an image of 224 px.
    """

    def __init__(self, config: EncoderConfig, weights: Weights | None = None, *, compiled: Path | None = None):
        weights = weights or load_weights(config.pretrained, config.model)
        self.config = config
        self.device = resolve_device(config.device)
        self.precision = resolve_precision(config.precision, self.device)
        library = resolve_runtime(config.runtime, self.device, self.precision)
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
        self.seconds, self.images = 0.0, 0
        self._network: _FromPixels | None = None
        """torch's; None where OpenVINO computes."""
        if library == "torch":
            self._network = _checked(build_tower(config, weights), config, self.device, DTYPES[self.precision])
            return
        self._compiled = openvino_tower.compiled_tower(
            lambda: _checked(build_tower(config, weights), config, self.device, torch.float32),
            identity={"model": model_identity(config.model), "weights": self.weights},
            precision=self.precision,
            batch_size=self.batch_size,
            keep_in=compiled,
        )

    @torch.inference_mode()
    def encode(self, crops: torch.Tensor) -> np.ndarray:
        """Embed up to `batch_size` crops.

        Args:
            crops: (N, 3, 224, 224) uint8, N <= batch_size, on any device; on the tower's own they stay where they are.

        Returns:
            (N, 512) float32, not normalised: what `encode_image` gives.
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
        crops = torch.zeros((self.batch_size, 3, CROP_PX, CROP_PX), dtype=torch.uint8)
        self.encode(crops)
        started = time.perf_counter()
        self.encode(crops)
        return self.batch_size / (time.perf_counter() - started)


def _checked(tower: torch.nn.Module, config: EncoderConfig, device: torch.device, dtype: torch.dtype) -> _FromPixels:
    """Put normalisation before a tower, and check that it gives 512 values for an image of 224 px."""
    network = _FromPixels(tower, device, dtype)
    try:
        with torch.inference_mode():
            shape = tuple(network(torch.zeros((1, 3, CROP_PX, CROP_PX), device=device, dtype=torch.uint8)).shape)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--model {config.model}: does not take {CROP_PX} px images ({first_line(error)})") from error
    if shape != (1, EMBEDDING_DIM):
        raise ConfigError(
            f"--model {config.model}: gives {shape[-1]} values an image where DSANet needs {EMBEDDING_DIM}"
        )
    return network

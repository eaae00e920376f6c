"""CLIP's image tower through open_clip: uint8 crops (N, 3, 224, 224) -> embeddings (N, 512) float32.

Batches have one fixed shape (the last is padded), so that an embedding does not depend on where its video ends.
bf16 and fp16 are weights cast to that type: autocast is slower than fp32 on a CPU.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import time
import warnings

import numpy as np
import torch

from .encoder_config import LANE_VARIABLE, LOCAL_DIR, PRECISIONS, RANDOM, EncoderConfig, load_weights
from .errors import ConfigError
from .geometry import CROP_PX
from .recipe import EMBEDDING_DIM
from .weights import Weights

logger = logging.getLogger(__name__)

BATCH_CPU = 8  # images; larger batches gain nothing on a CPU and delay short videos
BATCH_CUDA = 128
ACTIVATIONS = ("quickgelu", "gelu")
DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))
EMULATED = "--precision bf16: this processor has no instructions for it and emulates them, far slower than fp32"
NO_WEIGHTS = (
    "CLIP weights '{tag}' for {model} could not be downloaded ({why}). Without internet: give a file with "
    "--pretrained FILE; a published DSANet checkpoint carries them: "
    "vad-pipeline convert PUBLISHED.pth OUT.safetensors --clip FILE"
)


def resolve_device(device: str) -> torch.device:
    """`auto` is the GPU where there is one; of several, worker processes of a machine take one each, in turn.

    Raises:
        ConfigError: no such device here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"--device {device}: not a device; use auto, cpu, cuda or cuda:N") from error
    if resolved.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {device}: only cpu and cuda are supported")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"--device {device}: this machine shows {torch.cuda.device_count()} CUDA devices; use cpu")
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", int(os.environ.get(LANE_VARIABLE, 0)) % torch.cuda.device_count())
    return resolved


def device_name(device: torch.device) -> str:
    """For the record: `cpu`, or which GPU, as those of one make compute alike and others do not."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is fp16 on a GPU, bf16 on a processor that multiplies it in hardware, fp32 elsewhere."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    return "bf16" if multiplies_bf16() else "fp32"


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for it; others emulate it, far slower than fp32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def build_tower(config: EncoderConfig, weights: Weights) -> torch.nn.Module:
    """The image tower in fp32 on the CPU, evaluation mode.

    Raises:
        ConfigError: unknown model, weights of another architecture, or a tag that cannot be downloaded.
    """
    tower = build_clip(config, weights).visual
    if weights.tensors is not None:
        _load_tensors(tower, weights, config)
    return tower.eval()


def build_clip(config: EncoderConfig, weights: Weights) -> torch.nn.Module:
    """CLIP as open_clip makes it, with the weights of a tag or a seed; those of a file are not in it yet.

    Raises:
        ConfigError: unknown model, or a tag that cannot be downloaded.
    """
    import open_clip

    if not config.model.startswith(LOCAL_DIR) and config.model not in open_clip.list_models():
        raise ConfigError(f"--model {config.model}: open_clip has no such model; see open_clip.list_models()")
    seed = int(config.pretrained.removeprefix(RANDOM)) if config.pretrained.startswith(RANDOM) else 0
    tag = config.pretrained if weights.tensors is None and not config.pretrained.startswith(RANDOM) else None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), _quiet_open_clip():
        warnings.simplefilter("ignore")  # its mismatch warnings are settled below, in one sentence
        torch.manual_seed(seed)
        try:
            return open_clip.create_model(config.model, pretrained=tag, load_weights=tag is not None)
        except (RuntimeError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if tag is None:
                raise ConfigError(f"--model {config.model}: {_first_line(error)}") from error
            raise ConfigError(NO_WEIGHTS.format(tag=tag, model=config.model, why=_first_line(error))) from error


def _load_tensors(tower: torch.nn.Module, weights: Weights, config: EncoderConfig) -> None:
    own = tower.state_dict()
    given = {k.removeprefix("visual."): v for k, v in weights.tensors.items() if k.startswith("visual.")}
    wrong = [f"{k} missing" for k in own if k not in given]
    wrong += [f"{k} unknown" for k in given if k not in own]
    wrong += [
        f"{k} {tuple(given[k].shape)} instead of {tuple(own[k].shape)}"
        for k in own
        if k in given and given[k].shape != own[k].shape
    ]
    if wrong:
        raise ConfigError(
            f"{config.pretrained}: not weights of {config.model}'s image tower ({len(wrong)} tensors differ: "
            f"{'; '.join(wrong[:4])}); give the --model they belong to"
        )
    tower.load_state_dict(given)


class ClipEncoder:
    """A loaded image tower.

    Args:
        config: which and how.
        weights: what `load_weights` gave, where it was called before.

    Attributes:
        weights: the weights' identity for the recipe.
        precision, runtime: for the record.
        seconds, images: time spent in and images sent through the tower, padding included.

    Raises:
        ConfigError: see `build_tower`; also a tower that does not give 512 values for 224 px images.
    """

    def __init__(self, config: EncoderConfig, weights: Weights | None = None):
        weights = weights or load_weights(config.pretrained, config.model)
        self.config = config
        self.device = resolve_device(config.device)
        self.precision = resolve_precision(config.precision, self.device)
        if self.precision == "bf16" and self.device.type == "cpu" and not multiplies_bf16():
            logger.warning(EMULATED)
        self.batch_size = BATCH_CUDA if self.device.type == "cuda" else BATCH_CPU
        where = device_name(self.device)
        self.runtime = f"torch {torch.__version__} {where} batch {self.batch_size} threads {torch.get_num_threads()}"
        self.weights = weights.identity
        self._dtype = DTYPES[self.precision]
        tower = build_tower(config, weights)
        mean, std = (getattr(tower, f"image_{name}", None) or default for name, default in _CLIP_STATISTICS.items())
        self._mean = torch.tensor(mean, device=self.device).mul(255).view(3, 1, 1)
        self._scale = torch.tensor(std, device=self.device).mul(255).reciprocal().view(3, 1, 1)
        # as tensor cores want convolutions
        self._layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        self._tower = tower.to(self.device, self._dtype, memory_format=self._layout)
        self.seconds, self.images = 0.0, 0
        self._check_shape()

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
        if n < self.batch_size:
            crops = torch.cat([crops, crops.new_zeros(self.batch_size - n, *crops.shape[1:])])
        pixels = crops.to(self.device).float().sub_(self._mean).mul_(self._scale)
        out = self._tower(pixels.to(self._dtype, memory_format=self._layout))[:n].float().cpu().numpy()
        self.seconds += time.perf_counter() - started
        self.images += self.batch_size
        return out

    @property
    def activation(self) -> str:
        """`quickgelu` or `gelu`; empty for a tower that has neither as a module."""
        kinds = {type(module).__name__.lower() for module in self._tower.modules()}
        return next((name for name in ACTIVATIONS if name in kinds), "")

    def with_other_activation(self) -> ClipEncoder:
        """The same weights with GELU in place of QuickGELU, or the other way round."""
        from open_clip.transformer import QuickGELU

        old, new = (QuickGELU, torch.nn.GELU) if self.activation == "quickgelu" else (torch.nn.GELU, QuickGELU)
        other = self._copy()
        for module in list(other._tower.modules()):
            for name, child in module.named_children():
                if isinstance(child, old):
                    setattr(module, name, new())
        return other

    def with_precision(self, precision: str) -> ClipEncoder:
        """The same tower computing in `fp32`, `bf16` or `fp16`; itself where it does already."""
        if precision == self.precision:
            return self
        other = self._copy()
        other.precision, other._dtype = precision, DTYPES[precision]
        other._tower.to(other._dtype)
        return other

    def with_half_weights(self) -> ClipEncoder:
        """The same tower with its weights rounded to float16, as OpenAI's code has them on a GPU."""
        other = self._copy()
        for tensor in other._tower.state_dict().values():
            tensor.copy_(tensor.half())
        return other

    def _copy(self) -> ClipEncoder:
        other = copy.copy(self)
        other._tower = copy.deepcopy(self._tower)
        return other

    def measure_rate(self) -> float:
        """Images/s of full batches on this machine, from one batch after another has warmed up."""
        crops = torch.zeros((self.batch_size, 3, CROP_PX, CROP_PX), dtype=torch.uint8)
        self.encode(crops)
        started = time.perf_counter()
        self.encode(crops)
        return self.batch_size / (time.perf_counter() - started)

    def _check_shape(self) -> None:
        probe = torch.zeros((1, 3, CROP_PX, CROP_PX), device=self.device, dtype=self._dtype)
        try:
            with torch.inference_mode():
                shape = tuple(self._tower(probe).shape)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"--model {self.config.model}: does not take {CROP_PX} px images ({_first_line(error)})"
            ) from error
        if shape != (1, EMBEDDING_DIM):
            raise ConfigError(
                f"--model {self.config.model}: gives {shape[-1]} values an image where DSANet needs {EMBEDDING_DIM}"
            )


_CLIP_STATISTICS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _quiet_open_clip():
    """open_clip speaks through the root logger; what matters of it is said by our own errors and warnings."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(previous)

"""By which runtime and in which precision the image tower computes: as asked, or what was timed to be fastest here.

What is timed is ViT-B/16 with one of its twelve layers and random weights: every layer costs the same, and one is
compiled in a second. bf16 and fp16 move an embedding far less than another decoder does, so all of these count as full
accuracy.
"""

from __future__ import annotations

import timeit
from dataclasses import dataclass
from functools import partial

import torch

from ..device import device_name
from ..errors import ConfigError, how_to_add
from ..recipe import CLIP_PX
from ..timings import HOPELESS, Round, Timings, timed_once
from . import openvino_tower
from .encoder_config import INT8, PRECISIONS, EncoderConfig
from .tower import FromPixels

STAGE = "extract"
BATCH_CPU = 8  # images; larger batches gain nothing on a CPU and delay short videos
BATCH_CUDA = 128
DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))
# in order of preference, as `Timings.best` takes them
WAYS_CPU = (("openvino", "fp32"), ("torch", "fp32"), ("openvino", "bf16"), ("torch", "bf16"))
WAYS_CUDA = (("torch", "fp16"), ("torch", "bf16"))
ONE_LAYER = {"image_size": CLIP_PX, "patch_size": 16, "width": 768, "layers": 1, "heads": 12, "mlp_ratio": 4.0}
TASTE_ROWS, TASTES = 64, 4  # a small product, a few times: shows an emulated type within half a second
EMULATED = "--precision bf16: this processor has no instructions for it and emulates them, far slower than fp32"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to compute."""

    runtime: str
    """`torch` or `openvino`."""
    precision: str
    """`fp32`, `bf16` or `fp16`."""
    timings: Timings | None = None
    """What the choice rests on; None where the options left none, or where only one way can serve."""

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


def way_of(config: EncoderConfig, device: torch.device) -> Way:
    """The way to compute: options as given, `auto` by the timings of this machine.

    Raises:
        ConfigError: OpenVINO is asked for and cannot do it here.
    """
    if config.precision == INT8:
        if config.runtime == "torch" or device.type != "cpu" or not openvino_tower.is_installed():
            why = _why_not_openvino(device, "auto") or "is computed by OpenVINO; leave --runtime torch out"
            raise ConfigError(f"--precision int8: {why}")
        return Way("openvino", INT8)
    if config.runtime == "openvino" and (reason := _why_not_openvino(device, config.precision)):
        raise ConfigError(f"--runtime openvino: {reason}")
    ways = [
        Way(*way)
        for way in candidates(device)
        if config.runtime in ("auto", way[0]) and config.precision in ("auto", way[1])
    ]
    if not ways:  # a precision that `auto` would not take here
        return Way("torch", config.precision)
    if len(ways) == 1:
        return ways[0]
    timings = time_ways(device)
    best = timings.best([str(way) for way in ways])
    return next((Way(way.runtime, way.precision, timings) for way in ways if str(way) == best), ways[0])


def time_ways(device: torch.device, *, again: bool = False) -> Timings:
    """The timings of all ways in which the tower can be computed on this device."""
    on_gpu = device.type == "cuda"
    return timed_once(
        STAGE,
        {str(Way(*way)): partial(_prepared, *way, device) for way in candidates(device)},
        threads=torch.get_num_threads(),
        device=device_name(device) if on_gpu else "",
        again=again,
    )


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for bf16; others emulate it, far slower than fp32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch of before 2025 cannot tell
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def emulates(dtype: torch.dtype) -> bool:
    """Whether products in this type are hopelessly slower than in float32 on this processor: a stopwatch tells."""

    def seconds(kind: torch.dtype) -> float:
        left, right = torch.ones(TASTE_ROWS, 768, dtype=kind), torch.ones(768, 768, dtype=kind)
        return min(timeit.repeat(lambda: left @ right, number=1, repeat=TASTES))  # the first one warms up

    return seconds(dtype) > HOPELESS * seconds(torch.float32)


def candidates(device: torch.device) -> tuple[tuple[str, str], ...]:
    """Runtime and precision of every way that `auto` may take on this device, in order of preference."""
    if device.type == "cuda":
        return WAYS_CUDA
    return tuple(way for way in WAYS_CPU if way[0] == "torch" or not _why_not_openvino(device, way[1]))


def _why_not_openvino(device: torch.device, precision: str) -> str:
    if not openvino_tower.is_installed():
        return f"not installed, or not for this processor; {how_to_add('openvino')}, or use --runtime torch"
    if device.type != "cpu":
        return f"computes on the CPU; use --device cpu, or --runtime torch on {device}"
    if precision not in ("auto", *openvino_tower.HINTS) or (precision == "bf16" and not multiplies_bf16()):
        return f"cannot compute {precision} on this processor; use --precision fp32, or --runtime torch"
    return ""


def _prepared(runtime: str, precision: str, device: torch.device) -> Round | None:
    """A function that embeds a batch by a tower of one layer; None where it is known to be hopeless."""
    if device.type == "cpu" and precision != "fp32" and runtime == "torch" and emulates(DTYPES[precision]):
        return None
    crops = torch.zeros((BATCH_CUDA if device.type == "cuda" else BATCH_CPU, 3, CLIP_PX, CLIP_PX), dtype=torch.uint8)
    if runtime == "torch":
        return partial(_embed, FromPixels(one_layer(), device, DTYPES[precision]), crops, device)
    make = partial(FromPixels, one_layer(), device, torch.float32)
    tower = openvino_tower.compiled_tower(make, identity={}, precision=precision, batch_size=len(crops), keep_in=None)
    return partial(tower, crops)


@torch.inference_mode()
def _embed(network: FromPixels, crops: torch.Tensor, device: torch.device) -> torch.Tensor:
    return network(crops.to(device)).cpu()


def one_layer() -> torch.nn.Module:
    """ViT-B/16 with one of its twelve layers and seeded random weights."""
    from open_clip.transformer import VisionTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VisionTransformer(**ONE_LAYER).eval()

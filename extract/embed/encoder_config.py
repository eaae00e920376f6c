"""Options of the encoder, and what its model and weights are called in a recipe; loads neither a network nor torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..recipe import NAMED_MODELS
from .weights import OPENAI_TAG, Weights, read_weights

PRECISIONS = ("fp32", "bf16", "fp16")
INT8 = "int8"  # of the image tower alone, see int8_tower.py; less than full accuracy
WIDE_PRECISIONS = PRECISIONS[:2]  # those with the range of float32, in which networks are trained and scored
RUNTIMES = ("auto", "torch", "openvino")
LOCAL_DIR = "local-dir:"
CONFIG_NAME = "open_clip_config.json"
RANDOM = "random:"


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Which image tower with which weights, and how it is run.

    Only `model` and the weights that `pretrained` names are part of the recipe; device, precision and runtime are not.
    """

    model: str = "ViT-B-16-quickgelu"
    """open_clip model name, or `local-dir:FOLDER` with an open_clip_config.json (weights inside are not used)."""
    pretrained: str = OPENAI_TAG
    """open_clip tag, weights file, or `random:SEED`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    precision: str = "auto"
    """`fp32`, `bf16`, `fp16`, `int8`, or `auto`: what was timed to be fastest on this machine."""
    runtime: str = "torch"
    """`torch`, `openvino`, or `auto`: what was timed to be fastest on this machine."""

    def __post_init__(self):
        if self.runtime not in RUNTIMES:
            raise ConfigError(f"runtime must be {', '.join(RUNTIMES)}, got {self.runtime!r}")
        if self.precision not in ("auto", *PRECISIONS, INT8):
            raise ConfigError(f"precision must be auto, {', '.join((*PRECISIONS, INT8))}, got {self.precision!r}")
        seed = self.pretrained.removeprefix(RANDOM)
        if self.pretrained.startswith(RANDOM) and not (seed.isascii() and seed.isdecimal() and int(seed) < 2**63):
            raise ConfigError(f"--pretrained {self.pretrained}: the seed must be a whole number, as in random:0")


def model_identity(model: str) -> str:
    """The name of a model in a recipe: that of a model folder has the hash of its config in it, not the path.

    Raises:
        ConfigError: the folder has no config.
    """
    if not model.startswith(LOCAL_DIR):
        return model
    config = Path(model.removeprefix(LOCAL_DIR)) / CONFIG_NAME
    try:
        return f"{LOCAL_DIR}sha256-{hashlib.sha256(config.read_bytes()).hexdigest()[:16]}"
    except OSError as error:
        raise ConfigError(f"--model {model}: {config} cannot be read ({error.strerror})") from error


def load_weights(pretrained: str, model: str) -> Weights:
    """Find the weights that `pretrained` names. They are read only from a file; tags and `random:` give no tensors.

    Raises:
        ConfigError: open_clip has no such model, or `pretrained` is neither a tag of it, nor a file of weights, nor
            `random:SEED`.
    """
    refuse_unknown(model)
    if pretrained.startswith(RANDOM):
        return Weights(identity=pretrained, tensors=None, quickgelu=None)
    if Path(pretrained).is_file():
        return read_weights(pretrained)
    if model in NAMED_MODELS and pretrained == OPENAI_TAG:  # by far the most: not worth open_clip's three seconds
        return Weights(identity=OPENAI_TAG, tensors=None, quickgelu=True)
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained in tags:
        trained_with = open_clip.get_pretrained_cfg(model, pretrained).get("quick_gelu", False)
        return Weights(identity=pretrained, tensors=None, quickgelu=trained_with)
    known = f"a tag ({', '.join(tags)})" if tags else "a tag"
    raise ConfigError(f"--pretrained {pretrained}: no such file, and not {known} of {model}, nor random:SEED")


def random_warning(weights: str) -> tuple[str, ...]:
    """A sentence on weights, named as in a recipe, if they are random."""
    return (f"weights {weights} are random: scores from them say nothing about real footage",) * weights.startswith(
        RANDOM
    )


def is_known(model: str) -> bool:
    """Whether open_clip has a model of this name; folders are taken for one."""
    if model.startswith(LOCAL_DIR) or model in NAMED_MODELS:  # not worth open_clip's three seconds
        return True
    import open_clip

    return model in open_clip.list_models()


def refuse_unknown(model: str) -> None:
    """Refuse a model name that open_clip does not know; folders are looked at where the model is built.

    Raises:
        ConfigError: there is no such model.
    """
    if not is_known(model):
        raise ConfigError(f"--model {model}: open_clip has no such model; see open_clip.list_models()")


def weight_warnings(config: EncoderConfig, weights: Weights) -> tuple[str, ...]:
    """What a user has to know about these weights, one sentence each."""
    if config.pretrained.startswith(RANDOM):
        return random_warning(config.pretrained)
    if weights.quickgelu is None and not config.model.startswith(LOCAL_DIR):
        return (
            f"{config.pretrained}: whether these weights want QuickGELU is unverified (unknown sha256); "
            f"{config.model} is used as asked",
        )
    wants = "-quickgelu" in config.model
    if weights.quickgelu is not None and weights.quickgelu != wants and not config.model.startswith(LOCAL_DIR):
        return (
            f"{config.pretrained} was trained {'with' if weights.quickgelu else 'without'} QuickGELU, "
            f"{config.model} is {'with' if wants else 'without'}: embeddings will differ from the published ones",
        )
    return ()

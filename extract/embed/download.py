"""Whether weights of a tag are on this machine or can be downloaded; a library that tries takes minutes to give up."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ..errors import ConfigError
from .encoder_config import RANDOM

NO_WEIGHTS = (
    "CLIP weights '{tag}' for {model} could not be downloaded ({why}). Without internet: give a file with "
    "--pretrained FILE; a published DSANet checkpoint carries them: "
    "vad-pipeline convert PUBLISHED.pth OUT.safetensors --clip FILE"
)
USUAL_NAME = "open_clip_pytorch_model.bin"  # of weights on the hub, where open_clip names no file
PATIENCE_SECONDS = 5.0
PORTS = {"http": 80, "https": 443}


def is_to_be_downloaded(model: str, pretrained: str) -> bool:
    """Whether `pretrained` is a tag whose weights lie on the hub and not on this machine.

    Args:
        model: open_clip model name, or `local-dir:FOLDER`.
        pretrained: open_clip tag, weights file, or `random:SEED`.
    """
    if pretrained.startswith(RANDOM):
        return False
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    on_hub = PurePosixPath(open_clip.get_pretrained_cfg(model, pretrained).get("hf_hub", ""))
    if len(on_hub.parts) < 2:  # a file, no tag, or a tag of another server, which fails at once where there is none
        return False
    name = on_hub.parts[2] if len(on_hub.parts) > 2 else USUAL_NAME
    kept = (try_to_load_from_cache("/".join(on_hub.parts[:2]), each) for each in (name, _as_safetensors(name)))
    return not any(isinstance(each, str) for each in kept)


def _as_safetensors(name: str) -> str:
    """The name under which the same weights are looked for first."""
    return "open_clip_model.safetensors" if name == USUAL_NAME else str(PurePosixPath(name).with_suffix(".safetensors"))


def refuse_unreachable(model: str, pretrained: str) -> None:
    """Refuse weights that would have to be downloaded where their server does not answer.

    Behind a proxy this is left to the download itself.

    Raises:
        ConfigError: it does not answer.
    """
    if not is_to_be_downloaded(model, pretrained) or urllib.request.getproxies():
        return
    from huggingface_hub import constants

    server = urlsplit(constants.ENDPOINT)
    try:
        address = server.hostname, server.port or PORTS[server.scheme]
        socket.create_connection(address, PATIENCE_SECONDS).close()
    except OSError as error:
        why = f"{server.hostname}: {error.strerror or error}"
        raise ConfigError(NO_WEIGHTS.format(tag=pretrained, model=model, why=why)) from error


def download_note(model: str, pretrained: str) -> tuple[str, ...]:
    """A sentence where weights are not on this machine: that they will be downloaded, or cannot be; else nothing."""
    if not is_to_be_downloaded(model, pretrained):
        return ()
    try:
        refuse_unreachable(model, pretrained)
    except ConfigError as error:
        return (str(error),)
    return (f"CLIP weights '{pretrained}' for {model} are not on this machine: the run downloads them first",)

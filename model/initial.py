"""Where training starts: CLIP's text tower with its own weights, all else drawn at random or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights
from vad_pipeline.extract.embed.state_dict import read_state
from vad_pipeline.extract.embed.tower import build_clip
from vad_pipeline.extract.embed.weights import EXPECTED
from vad_pipeline.extract.errors import ConfigError

from .checkpoint import FORMAT_KEY, TRAINING_PREFIX, config_of_ours
from .heads.dsanet import DSANetConfig
from .heads.known import HEADS, HeadConfig, head_of
from .published import CLIP_COPIES, clip_text_names, is_published, model_names, normality_names, text_names
from .tensorfile import CheckpointError, check_finite, read_tensors
from .trainable import TrainableDSANet

PARTS = ("scoring", "text", "normality")
SHAPE = ("layers", "attention_block", "window_len", "text_adapter_layers", "text_adapter_weight", "width")
BLOCKS = "temporal.resblocks."  # published names of what differs between the presets


def clip_text_tower(pretrained: str, model: str) -> dict[str, Tensor]:
    """The text half of CLIP, in OpenAI's names.

    Args:
        pretrained: open_clip tag, weights file, `random:SEED`, or a published DSANet checkpoint, which carries CLIP.
        model: open_clip model name.

    Raises:
        ConfigError: `pretrained` names no weights of that model.
    """
    if Path(pretrained).is_file():
        tensors, _ = read_state(Path(pretrained), expected=EXPECTED, torchscript=True)
        if is_published(tensors):
            prefix = CLIP_COPIES[0]
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    weights = load_weights(pretrained, model)
    tensors = weights.tensors
    if tensors is None:
        clip = build_clip(EncoderConfig(model=model, pretrained=pretrained, device="cpu"), weights)
        tensors = clip.state_dict()
    return {name.removeprefix("text."): value for name, value in tensors.items() if not name.startswith("visual.")}


def load_text_tower(network: TrainableDSANet, clip: Mapping[str, Tensor], *, source: str) -> None:
    """Give a network CLIP's frozen text tower.

    Args:
        network: gets the weights; its adapters and projection stay as they are.
        clip: the text tower's weights in OpenAI's names.
        source: where they come from, for messages.

    Raises:
        ConfigError: the weights are of another architecture; DSANet needs that of CLIP ViT-B.
    """
    own = network.text.state_dict()
    wrong = []
    for ours, theirs in clip_text_names(network.scoring.config.width).items():
        if theirs not in clip or clip[theirs].shape != own[ours].shape:
            found = tuple(clip[theirs].shape) if theirs in clip else "nothing"
            wrong.append(f"{theirs}: {found} instead of {tuple(own[ours].shape)}")
        else:
            own[ours] = clip[theirs].float()
    if wrong:
        raise ConfigError(
            f"{source}: holds no text tower of CLIP ViT-B, which DSANet reads categories with ({wrong[0]}"
            f"{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}); give one with --pretrained"
        )
    network.text.load_state_dict(own)


def load_initial(network: TrainableDSANet, path: Path) -> list[str]:
    """Give a network the weights of a checkpoint, to fine-tune from.

    Args:
        network: with random weights, which the checkpoint's replace.
        path: a published checkpoint or one in our format.

    Returns:
        The parts (`text`, `normality`) that the checkpoint lacks or has in another shape; they keep random weights.

    Raises:
        CheckpointError: the scoring network is of another shape, or the file is no DSANet checkpoint.
    """
    tensors, metadata = read_tensors(path)
    if metadata is not None and FORMAT_KEY in metadata:
        refuse_other_shape(path, dsanet_config(path, config_of_ours(path, metadata)), network.scoring.config)
        state = {
            name.removeprefix(TRAINING_PREFIX) if name.startswith(TRAINING_PREFIX) else f"scoring.{name}": value
            for name, value in tensors.items()
        }
    else:
        state = _from_published(path, tensors, network.scoring.config)
    own = {name: value.shape for name, value in network.trained_state().items()}
    anew = []
    for part in PARTS:
        names = [name for name in own if name.startswith(f"{part}.")]
        wrong = [name for name in names if name not in state or state[name].shape != own[name]]
        if not wrong:
            continue
        if part == "scoring":
            raise CheckpointError(
                f"{path}: its network is of another shape ({wrong[0]} and {len(wrong) - 1} more); train with the "
                "--preset that it was trained with"
            )
        anew.append(part)
        state = {name: value for name, value in state.items() if not name.startswith(f"{part}.")}
    state = {name: value for name, value in state.items() if name in own}
    check_finite(path, state)
    network.load_trained_state(state)
    return anew


def dsanet_config(path: Path, config: HeadConfig) -> DSANetConfig:
    """A checkpoint's configuration, where training can start from it.

    Raises:
        CheckpointError: it is another head's.
    """
    if not isinstance(config, DSANetConfig):
        title = HEADS[head_of(config)].title
        raise CheckpointError(f"{path}: is a {title} checkpoint, and DSANet is trained; give --init one of DSANet's")
    return config


def refuse_other_shape(path: Path, theirs: DSANetConfig, ours: DSANetConfig) -> None:
    """Check that a network can start from the weights of another.

    Raises:
        CheckpointError: they are of different shapes; the message says what differs.
    """
    differ = [
        f"{name} {getattr(theirs, name)} instead of {getattr(ours, name)}"
        for name in SHAPE
        if getattr(theirs, name) != getattr(ours, name)
    ]
    if differ:
        raise CheckpointError(
            f"{path}: its network is of another shape ({', '.join(differ)}); use its --preset and --window-len"
        )


def _from_published(path: Path, tensors: Mapping[str, Tensor], config: DSANetConfig) -> dict[str, Tensor]:
    if not is_published(tensors):
        raise CheckpointError(f"{path}: is no DSANet checkpoint; give --init a published .pth or one of `train`")
    of_others = [name for name in tensors if name.startswith(BLOCKS) and name not in model_names(config).values()]
    if of_others:
        raise CheckpointError(f"{path}: has another number of temporal blocks; train with the --preset of its data set")
    names = {"scoring": model_names(config), "text": text_names(config), "normality": normality_names(config)}
    return {
        f"{part}.{ours}": tensors[theirs] for part in PARTS for ours, theirs in names[part].items() if theirs in tensors
    }

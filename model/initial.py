"""Where training starts: CLIP's text tower with its own weights, all else drawn at random or from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from vad_pipeline.extract.embed.encoder_config import EncoderConfig, load_weights
from vad_pipeline.extract.embed.model_config import TEXT_LAYERS, has_quick_gelu, refuse_other_text
from vad_pipeline.extract.embed.state_dict import read_state
from vad_pipeline.extract.embed.tower import build_clip
from vad_pipeline.extract.embed.weights import EXPECTED
from vad_pipeline.extract.errors import ConfigError

from .checkpoint import FORMAT_KEY, TRAINING_PREFIX, config_of_ours
from .heads.dsanet import DSANetConfig
from .heads.known import HEADS, HeadConfig, head_of
from .heads.vadclip import VadCLIPConfig
from .layers import quick_gelu
from .learning.trainable import Trainable, TrainableDSANet, TrainableVadCLIP, load_trained_state, trained_state
from .published import CLIP_COPIES, clip_text_names, is_published, model_names, normality_names, text_names
from .published_vadclip import OUR_PROMPTS, PROMPTS, is_vadclip, prompt_tower_names, vadclip_names
from .tensorfile import CheckpointError, check_finite, read_tensors

TEXT_TOWERS = (
    "heads that read categories need one of 12 causal layers, as ViT-B (512 wide) and ViT-L-14 (768) have: give it "
    "with --model and --pretrained, or train --head mil, which reads none"
)
PARTS = ("scoring", "text", "normality")
SHAPE = ("layers", "attention_block", "window_len", "text_adapter_layers", "text_adapter_weight", "width")
BLOCKS = "temporal.resblocks."  # published names of what differs between the presets


@dataclass(frozen=True, slots=True)
class ClipText:
    """The text half of CLIP."""

    tensors: Mapping[str, Tensor] = field(repr=False)
    """Its weights, in OpenAI's names."""
    quick_gelu: bool = True
    """Whether its activation is QuickGELU, as OpenAI's is; else GELU."""


def clip_text_tower(pretrained: str, model: str) -> ClipText:
    """The text half of CLIP.

    Args:
        pretrained: open_clip tag, weights file, `random:SEED`, or a published checkpoint, which carries CLIP.
        model: open_clip model name.

    Raises:
        ConfigError: `pretrained` names no weights of that model.
    """
    if Path(pretrained).is_file():
        tensors, _ = read_state(Path(pretrained), expected=EXPECTED, torchscript=True)
        if is_published(tensors) or is_vadclip(tensors):
            prefix = CLIP_COPIES[0]
            return ClipText({n.removeprefix(prefix): value for n, value in tensors.items() if n.startswith(prefix)})
    refuse_other_text(model, causal=True, why=TEXT_TOWERS)
    weights = load_weights(pretrained, model)
    tensors = weights.tensors
    if tensors is None:
        clip = build_clip(EncoderConfig(model=model, pretrained=pretrained, device="cpu"), weights)
        tensors = clip.state_dict()
    of_text = {name.removeprefix("text."): value for name, value in tensors.items() if not name.startswith("visual.")}
    return ClipText(of_text, has_quick_gelu(model))


def load_text_tower(network: TrainableDSANet | TrainableVadCLIP, clip: ClipText, *, source: str) -> None:
    """Give a network CLIP's frozen text tower.

    Args:
        network: gets the weights; what is trained of its text tower stays as it is.
        clip: the text tower.
        source: where they come from, for messages.

    Raises:
        ConfigError: the weights are of another architecture than CLIP's, or of another width than the features.
    """
    config = network.scoring.config
    names = prompt_tower_names if isinstance(config, VadCLIPConfig) else clip_text_names
    own = network.text.state_dict()
    wrong = []
    for ours, theirs in names(config.width).items():
        given = clip.tensors.get(theirs)
        if given is None or given.shape != own[ours].shape:
            found = "nothing" if given is None else tuple(given.shape)
            wrong.append(f"{theirs}: {found} instead of {tuple(own[ours].shape)}")
        else:
            own[ours] = given.float()
    deeper = f"transformer.resblocks.{TEXT_LAYERS}."
    wrong += [f"{name} beyond {TEXT_LAYERS} layers" for name in clip.tensors if name.startswith(deeper)]
    if wrong:
        raise ConfigError(
            f"{source}: holds no text tower as CLIP's that is {config.width} wide, as the features are ({wrong[0]}"
            f"{f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''}); {TEXT_TOWERS}"
        )
    network.text.load_state_dict(own)
    for block in network.text.blocks:
        block.mlp.activation = quick_gelu if clip.quick_gelu else functional.gelu


def load_initial(network: Trainable, path: Path) -> list[str]:
    """Give a network the weights of a checkpoint, to fine-tune from.

    Args:
        network: with random weights, which the checkpoint's replace.
        path: a published checkpoint or one in our format.

    Returns:
        The parts (`text`, `normality`) that the checkpoint lacks or has in another shape; they keep random weights.

    Raises:
        CheckpointError: the scoring network is of another shape, or the file is no checkpoint of this head.
    """
    tensors, metadata = read_tensors(path)
    config = network.scoring.config
    if metadata is not None and FORMAT_KEY in metadata:
        refuse_other_shape(path, config_of_ours(path, metadata), config)
        state = {
            name.removeprefix(TRAINING_PREFIX) if name.startswith(TRAINING_PREFIX) else f"scoring.{name}": value
            for name, value in tensors.items()
        }
    else:
        state = _from_published(path, tensors, config)
    own = {name: value.shape for name, value in trained_state(network).items()}
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
    load_trained_state(network, state)
    return anew


def training_tensors(path: Path) -> dict[str, Tensor]:
    """What only fine-tuning reads of a checkpoint in our format, by name; of a published one nothing.

    Raises:
        CheckpointError: the file cannot be read.
    """
    tensors, _ = read_tensors(path)
    return {
        name.removeprefix(TRAINING_PREFIX): value for name, value in tensors.items() if name.startswith(TRAINING_PREFIX)
    }


def refuse_other_head(path: Path, theirs: HeadConfig, ours: str) -> None:
    """Check that a checkpoint is of the head that is to be trained.

    Raises:
        CheckpointError: it is another head's.
    """
    its = head_of(theirs)
    if its != ours:
        raise CheckpointError(
            f"{path}: is a {HEADS[its].title} checkpoint, and {HEADS[ours].title} is trained; leave --head away, or "
            f"give --init one of {HEADS[ours].title}'s"
        )


def refuse_other_shape(path: Path, theirs: HeadConfig, ours: HeadConfig) -> None:
    """Check that a network can start from the weights of another.

    Raises:
        CheckpointError: they are of different heads or shapes; the message says what differs.
    """
    refuse_other_head(path, theirs, head_of(ours))
    differ = [
        f"{name} {getattr(theirs, name)} instead of {getattr(ours, name)}"
        for name in SHAPE
        if hasattr(ours, name) and getattr(theirs, name) != getattr(ours, name)
    ]
    if differ:
        raise CheckpointError(
            f"{path}: its network is of another shape ({', '.join(differ)}); use its --preset and --window-len"
        )


def _from_published(path: Path, tensors: Mapping[str, Tensor], config: HeadConfig) -> dict[str, Tensor]:
    """The tensors of a published checkpoint by our names."""
    if isinstance(config, DSANetConfig) and is_published(tensors):
        scoring = model_names(config)
        parts = {"scoring": scoring, "text": text_names(config), "normality": normality_names(config)}
        names = {f"{part}.{ours}": theirs for part in PARTS for ours, theirs in parts[part].items()}
    elif isinstance(config, VadCLIPConfig) and is_vadclip(tensors):
        scoring = vadclip_names(config)
        names = {f"scoring.{ours}": theirs for ours, theirs in scoring.items()} | {OUR_PROMPTS: PROMPTS}
    else:
        title = HEADS[head_of(config)].title
        raise CheckpointError(f"{path}: is no {title} checkpoint; give --init a published .pth or one of `train`")
    if any(name.startswith(BLOCKS) and name not in scoring.values() for name in tensors):
        raise CheckpointError(f"{path}: has another number of temporal blocks; train with the --preset of its data set")
    return {ours: tensors[theirs] for ours, theirs in names.items() if theirs in tensors}

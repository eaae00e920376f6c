"""What open_clip's configuration of a model says of its two towers, without building them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

from ..errors import ConfigError, shown
from ..recipe import CLIP_PX, CLIP_WIDTH, IMPORTED_WEIGHTS, NAMED_MODELS, Recipe
from .encoder_config import CONFIG_NAME, LOCAL_DIR, is_known, load_weights, model_identity, refuse_unknown
from .weights import OPENAI_TAG, Weights

CONTEXT_LEN = 77  # tokens that CLIP's text tower reads
VOCABULARY = 49408  # CLIP's byte pair encoding
TEXT_LAYERS = 12  # of CLIP ViT-B's and ViT-L's text tower
MAX_NAME = 100  # characters of what made features
CLIP_STATISTICS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}  # of red, green and blue, where a model names none
CLIP_RESIZING = {"interpolation": "bicubic", "resize_mode": "shortest"}
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ImageTower:
    """What an image tower takes and gives; its fields are those of a recipe."""

    width: int = CLIP_WIDTH
    image_px: int = CLIP_PX
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    @property
    def unlike_clip(self) -> dict[str, object]:
        """Name and value of the fields that are not CLIP ViT-B's."""
        return {
            each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) != each.default
        }


CLIP_TOWER = ImageTower()  # of CLIP ViT-B


def image_tower(model: str, pretrained: str) -> ImageTower:
    """What a model's image tower takes and gives, as its configuration says.

    Mean and standard deviation of the pixels are those that the weights' tag names. Weights without a tag (a file,
    `random:SEED`) have those that all tags of the model name, where these agree.

    Args:
        model: open_clip model name, or `local-dir:FOLDER`.
        pretrained: open_clip tag, weights file, or `random:SEED`.

    Raises:
        ConfigError: there is no such model, its configuration cannot be read, or it takes no square pictures.
    """
    if model in NAMED_MODELS:  # not worth open_clip's three seconds
        return CLIP_TOWER
    config = _config_of(model)
    about = config["model_cfg"]
    try:
        size = about["vision_cfg"].get("image_size", CLIP_PX)
        width = about["embed_dim"]
        named = _preprocessing(model, pretrained, config)
        mean, std = (_agreed(named, name, usual) for name, usual in CLIP_STATISTICS.items())
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"--model {model}: its {CONFIG_NAME} cannot be used ({error!r})") from error
    if isinstance(size, (list, tuple)):
        if len(set(size)) != 1:
            raise ConfigError(f"--model {model}: takes pictures of {size} px; only square ones can be cut")
        size = size[0]
    given = {"mean": mean, "std": std}
    return ImageTower(width, size, **{name: each for name, each in given.items() if each != CLIP_STATISTICS[name]})


def recipe_of(named: Recipe, model: str, weights: Weights, pretrained: str) -> Recipe:
    """A recipe with another model and weights, and all that follows from these.

    Args:
        named: the recipe with its own.
        model: open_clip model name, or `local-dir:FOLDER`.
        weights: what `load_weights` gave.
        pretrained: what it was given.

    Raises:
        ConfigError: as `image_tower`, or a value is out of its range.
    """
    tower = asdict(image_tower(model, pretrained))
    return replace(named, model=model_identity(model), weights=weights.identity, **tower)


def refuse_other_text(model: str, *, causal: bool, why: str) -> None:
    """See that a model's text tower reads what CLIP's does: 77 tokens of its vocabulary.

    Args:
        model: open_clip model name, or `local-dir:FOLDER`.
        causal: whether a token must see only those before it, too.
        why: what is needed instead, for the message.

    Raises:
        ConfigError: it does not, or there is no such model.
    """
    if model in NAMED_MODELS:
        return
    text = _config_of(model)["model_cfg"].get("text_cfg", {})
    usual = {"context_length": CONTEXT_LEN, "vocab_size": VOCABULARY, "hf_model_name": None, "hf_tokenizer_name": None}
    usual |= {"no_causal_mask": False} if causal else {}
    other = [f"{name} {text[name]}" for name, value in usual.items() if (text.get(name) or value) != value]
    if other:
        raise ConfigError(f"--model {model}: reads text in another way than CLIP ({', '.join(other)}); {why}")


def has_quick_gelu(model: str) -> bool:
    """Whether the activation of a model's towers is QuickGELU, as OpenAI trained CLIP with; else it is GELU.

    Args:
        model: open_clip model name, or `local-dir:FOLDER`.

    Raises:
        ConfigError: there is no such model, or its configuration cannot be read.
    """
    return model in NAMED_MODELS or bool(_config_of(model)["model_cfg"].get("quick_gelu"))


def imported_recipe(named: Recipe, encoder: str | None, pretrained: str | None) -> Recipe:
    """The recipe of features that were made elsewhere.

    Args:
        named: the recipe by which they are believed to have been made.
        encoder: what made them: a model of open_clip's, `local-dir:FOLDER`, or any other name, of which only the name
            is known; None: the named recipe's model.
        pretrained: weights of the model; None: OpenAI's.

    Raises:
        ConfigError: the name is none, weights are given for what is no model, or the model cannot be used.
    """
    model = named.model if encoder is None else encoder
    if is_known(model):
        pretrained = pretrained or OPENAI_TAG
        return recipe_of(named, model, load_weights(pretrained, model), pretrained)
    if model != model.strip() or not model.isprintable() or not 0 < len(model) <= MAX_NAME:
        raise ConfigError(f"--encoder {shown(model)}: must be a name of up to {MAX_NAME} characters, as in i3d-rgb")
    if pretrained is not None:
        raise ConfigError(f"--pretrained {pretrained}: {model} is no model of open_clip's; leave --pretrained out")
    return replace(named, model=model, weights=IMPORTED_WEIGHTS)


def resizing_note(model: str, pretrained: str) -> tuple[str, ...]:
    """A sentence where a model was trained on frames resized in another way than geometry `clip` does; else nothing.

    Raises:
        ConfigError: as `image_tower`.
    """
    if model in NAMED_MODELS:
        return ()
    named = _preprocessing(model, pretrained, _config_of(model))
    other = [value for name, usual in CLIP_RESIZING.items() if (value := _agreed(named, name, usual)) != usual]
    return (
        f"{model} was trained on frames resized otherwise ({', '.join(map(str, other))}); geometry clip is used",
    ) * bool(other)


def _preprocessing(model: str, pretrained: str, config: Mapping) -> list[Mapping]:
    """How pictures are prepared: as the weights' tag says, or every tag of the model, or its folder."""
    if model.startswith(LOCAL_DIR):
        return [config.get("preprocess_cfg", {})]
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    return [open_clip.get_pretrained_cfg(model, tag) for tag in ([pretrained] if pretrained in tags else tags)]


def _agreed(named: Sequence[Mapping], name: str, usual: Value) -> Value:
    """The value that all of them have, where one lacks it the usual one; the usual one where they do not agree."""
    values = [each.get(name) or usual for each in named]
    values = [tuple(value) if isinstance(value, list) else value for value in values]
    return values[0] if values and all(value == values[0] for value in values) else usual


def _config_of(model: str) -> dict:
    if not model.startswith(LOCAL_DIR):
        refuse_unknown(model)
        import open_clip

        return {"model_cfg": open_clip.get_model_config(model)}
    path = Path(model.removeprefix(LOCAL_DIR)) / CONFIG_NAME
    try:
        config = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"--model {model}: {path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--model {model}: {path} is damaged ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_cfg"), dict):
        raise ConfigError(f"--model {model}: {path} holds no configuration of a model (`model_cfg`)")
    return config

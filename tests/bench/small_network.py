"""A smaller network than the published one, for tests of what `train` does around it: half of a short run is drawing
random weights for twelve blocks of text tower and eight of normality branch. Their true sizes stand in tests/parity.
"""

from preloaded import Command

from vad_pipeline.model import text
from vad_pipeline.model.heads import prompts
from vad_pipeline.model.heads.head_names import DEFAULT_HEAD
from vad_pipeline.model.heads.normality import NormalityConfig
from vad_pipeline.pipeline.train import network, run_config


def start(arguments: list) -> Command:
    """The command line in a process of its own, with such a network."""
    return Command(arguments, prepare=shrink)


def shrink(set_attribute=setattr) -> None:
    """One block each; pytest's `monkeypatch.setattr` takes it back after the test."""
    for module in (text, prompts):
        set_attribute(module, "TEXT_LAYERS", 1)
    shrink_normality(set_attribute)


def shrink_normality(set_attribute=setattr) -> None:
    """Its branch alone, where a text tower of published size is read."""
    for module in (network, run_config):
        set_attribute(module, "normality_config", _one_block)


def _one_block(setup) -> NormalityConfig | None:
    return NormalityConfig(decoder_blocks=1) if setup.head == DEFAULT_HEAD else None

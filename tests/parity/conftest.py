"""Published-format checkpoints and their figures, drawn by tests/data/parity/rules.py: nothing large is stored."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from vad_pipeline.model.checkpoint import Checkpoint, convert, load_checkpoint

DATA = Path(__file__).parent.parent / "data" / "parity"
SHORT = {"ucf-crime": "ucf", "xd-violence": "xd"}
CLIP_COPIES = ("clip_adapter.clipmodel.", "clipmodel.")


@dataclass(frozen=True, slots=True, eq=False)
class PublishedCase:
    """One published configuration."""

    preset: str
    path: Path
    """The `.pth`, 0.7 GB."""
    checkpoint: Checkpoint
    """It, loaded."""
    forward: dict[str, np.ndarray] = field(repr=False)
    """Figures of the published code on 6 windows."""
    long: dict[str, np.ndarray] = field(repr=False)
    """Figures of the published code on whole videos."""


@pytest.fixture(scope="session")
def rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_rules", DATA / "rules.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def clip_tensors(rules) -> dict[str, torch.Tensor]:
    """CLIP ViT-B/16 as drawn by the rules, in OpenAI's names; both configurations share it."""
    shapes = json.loads((DATA / "official_state_dict_xd.json").read_text())
    return {
        name.removeprefix("clipmodel."): torch.from_numpy(np.asarray(rules.weight(name, tuple(shape))))
        for name, shape in shapes.items()
        if name.startswith("clipmodel.")
    }


def _case(preset: str, folder: Path, rules: ModuleType, clip: dict[str, torch.Tensor]) -> PublishedCase:
    shapes = json.loads((DATA / f"official_state_dict_{SHORT[preset]}.json").read_text())
    state = {}
    for name, shape in shapes.items():
        copy = next((prefix for prefix in CLIP_COPIES if name.startswith(prefix)), None)
        # one tensor under both names: torch.save stores it once
        state[name] = clip[name.removeprefix(copy)] if copy else torch.from_numpy(rules.weight(name, tuple(shape)))
    path = folder / f"{SHORT[preset]}.pth"
    torch.save(state, path)
    with np.load(DATA / f"forward_{SHORT[preset]}.npz") as forward, np.load(DATA / f"long_{SHORT[preset]}.npz") as long:
        return PublishedCase(preset, path, load_checkpoint(path), dict(forward), dict(long))


@pytest.fixture(scope="session")
def published_ucf(rules, clip_tensors, tmp_path_factory):
    """UCF-Crime's configuration."""
    case = _case("ucf-crime", tmp_path_factory.mktemp("published_ucf"), rules, clip_tensors)
    yield case
    case.path.unlink()  # pytest keeps the folders of three sessions


@pytest.fixture(scope="session")
def published_xd(rules, clip_tensors, tmp_path_factory):
    """XD-Violence's configuration."""
    case = _case("xd-violence", tmp_path_factory.mktemp("published_xd"), rules, clip_tensors)
    yield case
    case.path.unlink()


@pytest.fixture(scope="session", params=["ucf", "xd"])
def published(request) -> PublishedCase:
    """Each published configuration in turn."""
    return request.getfixturevalue(f"published_{request.param}")


@pytest.fixture(scope="session")
def converted_ucf(published_ucf, tmp_path_factory):
    """UCF-Crime's in our format, and the CLIP weights that were inside: (checkpoint path, CLIP path)."""
    folder = tmp_path_factory.mktemp("converted_ucf")
    out, clip = folder / "ucf.safetensors", folder / "clip.safetensors"
    convert(published_ucf.path, out, clip_out=clip)
    yield out, clip
    clip.unlink()


@pytest.fixture(scope="session")
def converted_xd(published_xd, tmp_path_factory) -> Path:
    """XD-Violence's in our format."""
    out = tmp_path_factory.mktemp("converted_xd") / "xd.safetensors"
    convert(published_xd.path, out)
    return out


@pytest.fixture
def as_published():
    """One thread, and attention as the published code computes it: what else moves the trace is the processor."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with sdpa_kernel(SDPBackend.MATH):
        yield
    torch.set_num_threads(threads)

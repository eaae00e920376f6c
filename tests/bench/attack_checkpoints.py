"""Checkpoints of strangers through the real commands: each is refused at little more cost than a good file is read."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from attack_processes import Ended, run
from attack_scene import Scene
from safetensors import safe_open
from safetensors.torch import save_file

SECONDS, MORE_MB = 1.0, 300  # of the processor, above a good file's, at most
N_EMPTY = 1_500_000


def _ours(scene: Scene, path: Path, *, network: dict | None = None, **metadata: str) -> None:
    """The good checkpoint's metadata over next to no weights."""
    with safe_open(scene.checkpoint, framework="pt") as file:
        found = file.metadata()
        text_features = file.get_tensor("text_features")
    if network:
        metadata["config"] = json.dumps({**json.loads(found["config"]), **network})
    save_file({"text_features": text_features}, path, {**found, **metadata})


def _packed(path: Path, level: int = zipfile.ZIP_DEFLATED) -> None:
    """A gigabyte of zeros in a megabyte."""
    torch.save({"a": torch.zeros(1 << 22, dtype=torch.uint8)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", level) as archive:
        for name, data in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for _ in range(256 if name.endswith("/data/0") else 1):
                    part.write(data)


def _with_pickle(path: Path, data: bytes) -> None:
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, data if name.endswith("/data.pkl") else content)


def _header(path: Path, text: bytes) -> None:
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def _empty(path: Path) -> None:
    one = '"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    _header(path, ("{" + ",".join(one % number for number in range(N_EMPTY)) + "}").encode())


def _stretched(path: Path, *, new: bool) -> None:
    tensors = {f"visual.{i}": torch.zeros(1).expand(1 << 20, 40_000) for i in range(3)}
    torch.save(tensors, path, _use_new_zipfile_serialization=new)


def _shared(path: Path) -> None:
    numbers = torch.zeros(1 << 20)
    torch.save({f"visual.{i}": numbers.view(-1) for i in range(5000)}, path)


HOSTILE: dict[str, Callable[[Scene, Path], object]] = {
    "5,000 layers.safetensors": lambda scene, path: _ours(scene, path, network={"layers": 5000}),
    "64 layers.safetensors": lambda scene, path: _ours(scene, path, network={"layers": 64}),
    "width 2^40.safetensors": lambda scene, path: _ours(scene, path, network={"width": 1 << 40}),
    "window of 2^20.safetensors": lambda scene, path: _ours(scene, path, network={"window_len": 1 << 20}),
    "a million categories.safetensors": lambda scene, path: _ours(
        scene, path, network={"categories": [f"c{i}" for i in range(1_000_000)]}
    ),
    "deep JSON.safetensors": lambda scene, path: _ours(scene, path, recipe="[" * 1_000_000),
    "1e999.safetensors": lambda scene, path: _ours(scene, path, threshold="1e999", crop="1e999"),
    "1e999 in the config.safetensors": lambda scene, path: _ours(scene, path, network={"layers": float("inf")}),
    "5,000 digits.safetensors": lambda scene, path: _ours(scene, path, format_version="9" * 5000),
    "empty tensors.safetensors": lambda scene, path: _empty(path),
    "a header of 90 MB.safetensors": lambda scene, path: _header(path, b"{" + b" " * 90_000_000 + b"}"),
    "a deep header.safetensors": lambda scene, path: _header(path, b'{"a":' + b"[" * 9_000_000),
    "deflated.pth": lambda scene, path: _packed(path),
    "bzip2.pth": lambda scene, path: _packed(path, zipfile.ZIP_BZIP2),
    "stride 0.pth": lambda scene, path: _stretched(path, new=True),
    "stride 0, old.pth": lambda scene, path: _stretched(path, new=False),
    "shared numbers.pth": lambda scene, path: _shared(path),
    "200,000 empty tensors.pth": lambda scene, path: torch.save(
        dict.fromkeys(map(str, range(200_000)), torch.zeros(0)), path
    ),
    "empty lists.pth": lambda scene, path: _with_pickle(path, b"\x80\x02" + b"]" * (50 << 20) + b"."),
    "empty lists, old.pth": lambda scene, path: path.write_bytes(b"\x80\x02" + b"]" * (50 << 20) + b"."),
    "marks.pth": lambda scene, path: _with_pickle(path, b"\x80\x02" + b"(" * (3 << 20) + b"."),
    "a long text.pth": lambda scene, path: _with_pickle(path, b"\x80\x02X\xff\xff\xff\x7fabc."),
    "memos.pth": lambda scene, path: _with_pickle(path, b"\x80\x02}r\xff\xff\xff\x0f."),
    "nested.pth": lambda scene, path: _with_pickle(path, b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "bytearray.pth": lambda scene, path: path.write_bytes(pickle.dumps({"a": bytearray(1 << 24)})),
}


@dataclass(frozen=True, slots=True)
class Way:
    """A command that reads a checkpoint."""

    command: Callable[[Scene, Path, Path], list]
    """From the scene, the file and a folder to write into."""
    good: Callable[[Scene], Path]


def _extract(scene: Scene, file: Path, out: Path) -> list:
    command = [*scene.extract(out), "--dry-run"]
    command[command.index("random:0")] = file
    return command


WAYS = {
    "detect": Way(
        lambda scene, file, out: (
            ["detect", "--checkpoint", file, "--store", scene.path / "stored" / "S"]
            + ["--out", out / "out", "--device", "cpu"]
        ),
        lambda scene: scene.checkpoint,
    ),
    "convert": Way(lambda scene, file, out: ["convert", file, out / "c.safetensors"], lambda scene: scene.checkpoint),
    "extract --pretrained": Way(_extract, lambda scene: scene.path / "clip.safetensors"),
    "train --init": Way(lambda scene, file, out: [*scene.train(out), "--init", file], lambda scene: scene.checkpoint),
}


def checkpoints(scene: Scene, rng: random.Random, until: float, tally: object) -> None:
    """Attack until the time is over; each file once through each command."""
    out = scene.path / "of-checkpoints"
    shutil.copytree(scene.path / "learning", out)
    good: dict[str, Ended] = {}
    worst = (0.0, 0.0)
    for name in rng.sample(list(HOSTILE), len(HOSTILE)):
        file = scene.path / name
        HOSTILE[name](scene, file)
        for command, way in WAYS.items():
            if time.monotonic() > until:
                return
            if command not in good:
                good[command] = run(way.command(scene, way.good(scene), out))
            done, known = run(way.command(scene, file, out)), good[command]
            more, seconds = done.peak_mb - known.peak_mb, done.cpu_seconds - known.cpu_seconds
            worst = max(worst[0], seconds), max(worst[1], more)
            tally.tried[command] += 1
            tally.fired[command] += done.code == 2
            tally.notes[:] = [f"at worst {worst[0]:.1f} s and {worst[1]:.0f} MB more than a good file"]
            wrong = done.complaint() or (None if done.code == 2 else f"exit {done.code}: {done.errors[-300:]}")
            if seconds > SECONDS or more > MORE_MB:
                wrong = f"{wrong or ''} takes {done.cpu_seconds:.1f} s, {done.peak_mb:.0f} MB; "
                wrong += f"a good one {known.cpu_seconds:.1f} s, {known.peak_mb:.0f} MB"
            if wrong:
                tally.wrong.append(f"{command} {name}: {wrong}")
        file.unlink()

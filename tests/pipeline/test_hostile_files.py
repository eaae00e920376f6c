"""Files made to harm: code in weights, HDF5 that reaches outside or claims too much, names that are not just names."""

import csv
import json
import os
import pickle
import subprocess
import sys
import zlib
from fractions import Fraction

import av
import h5py
import numpy as np
import pytest
import torch

from vad_pipeline.extract.store.embedding_store import EmbeddingStore


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def extract(run_cli, tmp_path, toy_model):
    fixed = ("--store", tmp_path / "S", "--like", "quick", "--model", toy_model, "--device", "cpu")
    return lambda *more: run_cli(
        "extract", *fixed, *(more if "--pretrained" in more else ("--pretrained", "random:0", *more))
    )


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_weights_that_are_code_are_refused(tmp_path, make_video, extract, run_cli, suffix):
    path, proof = tmp_path / f"evil{suffix}", tmp_path / "executed"
    torch.save({"state_dict": Payload(proof), "visual.proj": torch.zeros(1)}, path)
    plain = tmp_path / f"plain{suffix}"
    plain.write_bytes(pickle.dumps(Payload(proof)))
    make_video(tmp_path / "raw" / "a.mp4")
    for file in (path, plain):
        for code, _, err in (
            extract(tmp_path / "raw", "--pretrained", file),
            run_cli("convert", file, tmp_path / "out.safetensors"),
            run_cli("detect", "--store", tmp_path / "S", "--checkpoint", file, "--out", tmp_path / "out"),
        ):
            assert code == 2 and str(file) in err and len(err.strip().splitlines()) <= 2, err
    assert "code" in err and not proof.exists()


@pytest.fixture
def shard(tmp_path, make_video, extract):
    """The only shard of a store of two videos, a and b."""
    for name in "ab":
        make_video(tmp_path / "raw" / f"{name}.mp4", seed=ord(name))
    extract(tmp_path / "raw")
    (path,) = (tmp_path / "S" / "shards").glob("*.h5")
    return path


def group_of(file: h5py.File, video: str) -> h5py.Group:
    return next(node for node in file["videos"].values() if node.attrs["video"] == video)


def external_group(node, secret):
    name, parent = node.name, node.parent
    del parent.file[name]
    parent.file[name] = h5py.ExternalLink(str(secret), "/videos/x")


def soft_link(node, secret):
    del node["features"]
    node["features"] = h5py.SoftLink("/videos")


def external_data(node, secret):
    shape = node["features"].shape
    del node["features"]
    node.create_dataset("features", shape, np.float16, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def virtual_data(node, secret):
    shape = node["features"].shape
    del node["features"]
    layout = h5py.VirtualLayout(shape, np.float16)
    layout[...] = h5py.VirtualSource(str(secret), "features", shape)
    node.create_virtual_dataset("features", layout)


def absurd_shape(node, secret):
    crops, _, width = node["features"].shape
    del node["features"]
    node.create_dataset("features", (crops, 1 << 40, width), np.float16, chunks=(1, 1024, width), compression="gzip")


def foreign_filter(node, secret):
    values = node["features"][()]
    del node["features"]
    node.create_dataset("features", data=values, chunks=True, compression="lzf")


def objects(node, secret):
    del node["features"]
    node.create_dataset("features", (1, 3, 512), dtype=h5py.special_dtype(vlen=np.uint8))


@pytest.mark.parametrize(
    "harm", [external_group, soft_link, external_data, virtual_data, absurd_shape, foreign_filter, objects]
)
def test_hostile_shards_are_not_read(tmp_path, shard, run_cli, extract, harm):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["features"] = np.ones((1, 3, 512), np.float16)
        file.create_group("videos/x")
    with h5py.File(shard, "r+") as file:
        harm(group_of(file, "a"), secret)
    code, out, err = run_cli("store", "ls", "--store", tmp_path / "S")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["b"]
    assert "store verify" in err and "Traceback" not in err
    code, _, err = run_cli("store", "verify", "--store", tmp_path / "S", "--repair")
    assert code == 0 and "a" in err
    code, out, _ = extract(tmp_path / "raw")
    assert code == 0 and "1 ok, 1 cached" in out


NAMES = {
    "=cmd|' !C calc'!A0": "=cmd|' !C calc'!A0",
    'quo"te, comma;semi': 'quo"te, comma;semi',
    "two\nlines": "two\\nlines",
    "red\x1b[31m": "red\\x1b[31m",
    "<script>alert(1)<": "<script>alert(1)<",
    "caf\udce9": "caf\\xe9",
    "-x": "-x",
    "right\u202eleft": "right\\u202eleft",
}


def test_names_survive_every_output(tmp_path, make_video, extract, run_cli, capfd):
    video = make_video(tmp_path / "v.mp4", n_frames=20).read_bytes()
    for index, name in enumerate(NAMES):
        path = tmp_path / "raw" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(video + bytes(index))
    ids = sorted(NAMES.values())
    code, out, err = extract(tmp_path / "raw")
    assert code == 0 and f"{len(ids)} ok" in out, err
    code, out, _ = run_cli("store", "ls", "--store", tmp_path / "S")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ids and "\x1b" not in out
    _, out, _ = run_cli("store", "ls", "--store", tmp_path / "S", "--json")
    assert [json.loads(line)["video"] for line in out.splitlines()] == ids
    _, out, _ = run_cli("check", tmp_path / "raw", "--json")
    assert [json.loads(line)["video"] for line in out.splitlines()] == ids
    assert len(run_cli("check", tmp_path / "raw")[1].splitlines()) == len(ids) + 2
    code, out, err = run_cli("store", "export", tmp_path / "out", "--store", tmp_path / "S")
    with (tmp_path / "out" / "list.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert code == 0 and len(rows) == len(ids) and all((tmp_path / "out" / row["path"]).exists() for row in rows), err
    assert not any(row["path"].startswith(("=", "+", "-", "@")) for row in rows)  # no formula for a spreadsheet
    code, _, err = run_cli("store", "import", tmp_path / "out" / "list.csv", "--store", tmp_path / "T")
    assert code == 0, err
    with EmbeddingStore(tmp_path / "T") as store:
        assert [entry.video for entry in store.entries()] == ids
    for path in (tmp_path / "S" / "outcomes").glob("*.jsonl"):
        assert sorted(json.loads(line)["video"] for line in path.read_text().splitlines()) == ids


def test_ids_never_leave_the_folder(tmp_path, run_cli, make_video, extract):
    np.save(tmp_path / "x__0.npy", np.ones((2, 512), np.float16))
    for name in ("..", "a/../..", "/etc"):
        (tmp_path / "list.csv").write_text(f'"{name}/..__0.npy",Abuse\n"{name}/x__0.npy",Abuse\n')
        run_cli(
            "store", "import", tmp_path / "list.csv", "--store", tmp_path / "S", "--keep-folder", "--root", tmp_path
        )
    with EmbeddingStore(tmp_path / "S") as store:
        assert {entry.video for entry in store.entries()} <= {"x", "etc/x"}
    make_video(tmp_path / "raw" / "a.mp4")
    (tmp_path / "elsewhere").mkdir()
    code, _, err = extract(tmp_path / "raw", "--id-root", tmp_path / "elsewhere")
    assert code == 2 and "does not lie below" in err


def giant_png(side_px: int) -> bytes:
    """A whole, valid, square picture of grey pixels, in a few megabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer, rows = zlib.compressobj(1), bytes(100 * (1 + side_px))
    data = b"".join(packer.compress(rows) for _ in range(side_px // 100)) + packer.flush()
    head = side_px.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side_px", [16_000, 30_000])  # FFmpeg itself refuses the larger one
def test_a_giant_frame_hits_the_limit_instead_of_the_memory(tmp_path, extract, side_px):
    path = tmp_path / "raw" / "bomb.mov"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"  # the header lies
        packet = av.Packet(giant_png(side_px))
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1)
        container.mux(packet)
    look = (
        "import sys; from vad_pipeline.extract.decode.preflight import preflight\n"
        "from vad_pipeline.extract.files import Source\n"
        "print(preflight(Source('bomb', sys.argv[1])).code)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    seen = subprocess.run([sys.executable, "-c", look, path], capture_output=True, text=True, check=True).stdout.split()
    assert seen[0] in ("no_frames", "too_large") and int(seen[1]) < 250_000  # kB; the smaller frame is 256 MB
    code, _, err = extract(tmp_path / "raw")
    assert code == 1 and "bomb.mov" in err and "Traceback" not in err

"""`doctor`: what it says of a machine, as a page and as JSON, and which problems it finds."""

import json
import os
import sys

import pytest

from vad_pipeline.pipeline.doctor import examine, known_stages, machine, rates

KEYS = (
    "schema problems versions system processor cores memory_gb gpus nvdec extras weights disk stages timings_in "
    "decoded_frames_per_second"
).split()
HEALTHY = {
    "versions": {"torch": "2.14"},
    "memory_gb": (24.0, 20.0),
    "gpus": [],
    "extras": {"openvino": True},
    "weights": "/somewhere",
    "disk": machine.Disk("features", "ext4", 100.0, 300.0),
    "nvdec": {},
}


@pytest.fixture
def no_gpu(monkeypatch):
    for module in (machine, known_stages):
        monkeypatch.setattr(module, "has_gpu_driver", lambda: False)


@pytest.fixture
def doctor(run_cli, tmp_path):
    """doctor(*arguments) for a store that is not there yet."""
    return lambda *arguments: run_cli("doctor", "--device", "cpu", "--store", tmp_path / "to" / "come", *arguments)


def test_json_has_all_that_a_bug_report_needs(doctor, tmp_path):
    code, out, _ = doctor("--json")
    found = json.loads(out)
    assert code == 0 and list(found) == KEYS
    assert set(found["stages"]) == {"extract", "detect", "train"}
    for stage in found["stages"].values():
        assert set(stage) == {"way", "machine", "measured", "seconds"} and stage["way"] in stage["seconds"]
    assert set(found["disk"]) == {"folder", "file_system", "free_gb", "written_mb_per_second"}
    assert found["disk"]["written_mb_per_second"] > 0 and found["disk"]["folder"] == str(tmp_path / "to" / "come")
    assert found["versions"]["torch"] and found["cores"] == len(os.sched_getaffinity(0))
    assert found["decoded_frames_per_second"] > 0 and found["extras"].keys() == machine.EXTRAS.keys()
    assert not list(tmp_path.iterdir()), "nothing is left behind, no store made"


def test_the_page_says_problems_first_and_why_each_way_is_taken(doctor, monkeypatch):
    monkeypatch.setattr(machine, "weights_at", lambda: None)
    code, out, _ = doctor()
    lines = out.splitlines()
    assert code == 0 and "problem" in lines[0] and "--pretrained FILE" in out.partition("\nmachine\n")[0]
    assert any(line.strip().startswith("detect") and "torch bf16 takes 9.00 times as long" in line for line in lines)


def test_a_second_look_needs_no_torch(doctor, no_gpu, monkeypatch):
    first = json.loads(doctor("--json")[1])
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails from now on
    code, out, errors = doctor("--json")
    assert code == 0, errors
    assert (json.loads(out)["stages"], json.loads(out)["gpus"]) == (first["stages"], first["gpus"])


def test_a_second_look_asks_torch_where_that_alone_can_tell(doctor, no_gpu, monkeypatch):
    assert doctor()[0] == 0 and known_stages.known_stages("cpu").keys() == {"extract", "detect", "train"}
    assert known_stages.known_stages("cuda") is None
    with monkeypatch.context() as patch:
        patch.setattr(known_stages, "has_gpu_driver", lambda: True)
        assert known_stages.known_stages("cpu") is None
    kept = known_stages._path("cpu")
    for damage in ("{", '{"schema": 1, "files": {"extract": 5}}', '{"schema": 1, "files": {"extract": "gone.json"}}'):
        kept.write_text(damage)
        assert known_stages.known_stages("cpu") is None
    assert doctor()[0] == 0 and known_stages.known_stages("cpu")


def test_a_sound_machine_has_no_problems(monkeypatch):
    monkeypatch.setattr(machine, "has_nvidia_driver", lambda: False)
    assert examine._problems(**HEALTHY) == []


@pytest.mark.parametrize(
    ("fact", "says"),
    [
        ({"disk": machine.Disk("S", "ext4", 100.0, None)}, "nothing can be written"),
        ({"disk": machine.Disk("S", "ext4", 1.0, 300.0)}, "1.0 GB left"),
        ({"disk": machine.Disk("S", "ext4", 100.0, 3.0)}, "3.0 MB/s"),
        ({"disk": machine.Disk("S", "nfs4", 100.0, 300.0)}, "network disk"),
        ({"memory_gb": (8.0, 1.0)}, "1.0 GB of memory"),
        ({"weights": None}, "not on this machine"),
        ({"extras": {"openvino": False}}, "OpenVINO"),
        ({"gpus": [{"name": "a GPU"}], "nvdec": {"libx264": False}}, "NVDEC"),
    ],
)
def test_each_problem_is_said_with_what_to_do(monkeypatch, fact, says):
    monkeypatch.setattr(machine, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(examine.platform, "machine", lambda: "x86_64")
    [problem] = examine._problems(**HEALTHY | fact)
    assert says in problem.what and problem.do


def test_a_driver_that_torch_does_not_see_is_a_problem(monkeypatch):
    monkeypatch.setattr(machine, "has_nvidia_driver", lambda: True)
    [problem] = examine._problems(**HEALTHY)
    assert "sees no GPU" in problem.what


def test_where_nothing_can_be_written_there_is_no_rate(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine.os, "fsync", full)
    assert machine.disk_of(tmp_path).written_mb_per_second is None
    assert not list(tmp_path.iterdir())


def test_weights_are_looked_for_where_open_clip_puts_them():
    import open_clip

    source = open_clip.get_pretrained_cfg("ViT-B-16-quickgelu", "openai")
    assert source["hf_hub"] == f"{machine.HUB_REPOSITORY}/" and source["url"].endswith(f"/{machine.DOWNLOADED_NAME}")


def test_what_nvdec_is_tried_with_can_be_decoded(tmp_path):
    """By the CPU: the files that a GPU is given are sound."""
    import av

    from vad_pipeline.extract.decode.reader import PyavReader

    there = [codec for codec in rates.NVDEC_CODECS if codec in av.codecs_available]
    assert len(there) >= 3
    for codec in there:
        rates.render(tmp_path / f"{codec}.mkv", codec, n_frames=4)
        reader = PyavReader(tmp_path / f"{codec}.mkv")
        assert sum(1 for _ in reader) == 4, codec
        reader.close()

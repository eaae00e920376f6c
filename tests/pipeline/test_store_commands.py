"""`vad-pipeline store ...`, `convert` refusals, exit codes of the command line itself."""

import json

import h5py
import numpy as np
import pytest

from vad_pipeline.pipeline import cli


@pytest.fixture
def listed(tmp_path):
    """A published list of two videos, one with two crops, and a file that is missing."""
    for index, name in enumerate(("Abuse/A1__0", "Abuse/A1__5", "N1__0")):
        path = tmp_path / "features" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.random.default_rng(index).standard_normal((3, 512)).astype(np.float16))
    rows = ["/x/Abuse/A1__0.npy,Abuse", "/x/Abuse/A1__5.npy,Abuse", "/x/N1__0.npy,Normal"]
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    return tmp_path / "list.csv"


def test_recipes_are_listed_as_asked(tmp_path, run_cli):
    np.save(tmp_path / "a__0.npy", np.ones((3, 512), np.float16))
    (tmp_path / "list.csv").write_text("path,label\na__0.npy,Normal\n")
    store = ("--store", tmp_path / "S")
    code, _, err = run_cli("store", "import", tmp_path / "list.csv", *store, "--pretrained", "clp_typo.safetensors")
    assert code == 2 and "no such file" in err and not (tmp_path / "S").exists()
    for seed in range(3):
        assert run_cli("store", "import", tmp_path / "list.csv", *store, "--pretrained", f"random:{seed}")[0] == 0
    code, out, _ = run_cli("store", "ls", "--recipes", "--json", "--limit", 2, *store)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["videos"] for row in rows] == [1, 1]
    assert all(row["recipe"]["weights"].startswith("random:") for row in rows)
    (tmp_path / "names.txt").write_text("nobody\n")
    code, _, err = run_cli("store", "ls", "--recipes", "--list", tmp_path / "names.txt", *store)
    assert code == 1 and "missing: nobody" in err


def test_one_damaged_video_is_all_that_an_export_lacks(tmp_path, run_cli):
    for name in "abc":
        np.save(tmp_path / f"{name}__0.npy", np.ones((3, 512), np.float16))
    (tmp_path / "list.csv").write_text("path,label\na__0.npy,Normal\nb__0.npy,Normal\nc__0.npy,Normal\n")
    store = ("--store", tmp_path / "S")
    assert run_cli("store", "import", tmp_path / "list.csv", *store)[0] == 0
    (shard,) = (tmp_path / "S" / "shards").glob("*.h5")
    with h5py.File(shard, "r+") as file:
        node = next(node for node in file["videos"].values() if node.attrs["video"] == "b")
        del node["frame_seconds"]
        node["frame_seconds"] = np.zeros(1)
    code, out, err = run_cli("store", "export", tmp_path / "out", *store)
    assert code == 1 and "2 videos" in out and "refused" in err and "Traceback" not in err
    assert len((tmp_path / "out" / "list.csv").read_text().splitlines()) == 3


def test_import_ls_verify_export_compact(listed, tmp_path, run_cli):
    store = ("--store", tmp_path / "S")
    code, out, _ = run_cli("store", "import", listed, *store, "--root", tmp_path / "features", "--fps", "29.97")
    assert code == 0 and "2 videos imported" in out and "29.97 fps" in out
    code, out, _ = run_cli("store", "ls", *store)
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == ["A1", "N1"] and "crops 0,5" in out
    code, out, _ = run_cli("store", "ls", *store, "--json", "--match", "N*")
    (row,) = map(json.loads, out.splitlines())
    assert row["video"] == "N1" and row["crops"] == [0] and row["recipe"]["geometry"] == "vadclip"
    assert "2 videos" in run_cli("store", "ls", *store, "--recipes")[1]
    code, out, _ = run_cli("store", "verify", *store)
    assert code == 0 and "2 videos verified" in out
    code, out, _ = run_cli("store", "export", tmp_path / "out", *store)
    assert code == 0 and (tmp_path / "out" / "list.csv").read_text().startswith("path,label\nAbuse/A1__0.npy,Abuse\n")
    assert run_cli("store", "compact", *store)[0] == 0


def test_import_names_what_is_missing(listed, tmp_path, run_cli):
    (tmp_path / "features" / "N1__0.npy").unlink()
    code, out, err = run_cli("store", "import", listed, "--store", tmp_path / "S", "--root", tmp_path / "features")
    assert code == 1 and "1 video imported" in out and "missing /x/N1__0.npy" in err
    assert run_cli("store", "import", tmp_path / "no.csv", "--store", tmp_path / "S")[0] == 2
    assert run_cli("store", "import", listed, "--store", tmp_path / "S", "--fps", "0")[0] == 2
    many = "".join(f"/x/gone{i}__0.npy,Normal\n" for i in range(9))
    listed.write_text(f"{listed.read_text()}{many}")
    code, out, err = run_cli("store", "import", listed, "--store", tmp_path / "S", "--root", tmp_path / "features")
    assert code == 1 and "10 files missing" in out and err.splitlines()[-1] == "missing: 5 more" and "gone4" not in err


def test_an_import_of_nothing_leaves_no_store(tmp_path, run_cli):
    listed, given = tmp_path / "list.csv", ["--store", tmp_path / "S"]
    listed.write_text("path,label\n" + "".join(f"/x/gone{i}__0.npy,Normal\n" for i in range(9)))
    code, _, err = run_cli("store", "import", listed, *given)
    assert code == 2 and len(err.splitlines()) == 1 and "list.csv: 9 listed files are neither where it says nor" in err
    assert "/x/gone4__0.npy and 4 more; --root DIR says" in err and "gone5" not in err
    code, _, err = run_cli("store", "import", listed, *given, "--root", tmp_path / "nowhere")
    assert code == 2 and err.endswith("nowhere: no such folder; it is where the listed files lie now\n")
    assert not (tmp_path / "S").exists()


def test_verify_names_damage(listed, tmp_path, run_cli):
    run_cli("store", "import", listed, "--store", tmp_path / "S", "--root", tmp_path / "features")
    (tmp_path / "S" / "shards" / "bad.h5").write_text("no HDF5")
    code, out, err = run_cli("store", "verify", "--store", tmp_path / "S")
    assert code == 1 and "bad.h5" in err and "Traceback" not in err
    code, out, err = run_cli("store", "ls", "--store", tmp_path / "S")
    assert code == 0 and "bad.h5" in err and len(out.splitlines()) == 2


def test_no_store(tmp_path, run_cli):
    for command in ("ls", "verify", "compact"):
        code, _, err = run_cli("store", command, "--store", tmp_path / "none")
        assert code == 2 and "no feature store" in err
    assert not (tmp_path / "none").exists()


def test_export_needs_one_recipe(listed, tmp_path, run_cli):
    for pretrained in ("openai", "random:0"):
        arguments = ("--store", tmp_path / "S", "--root", tmp_path / "features", "--pretrained", pretrained)
        run_cli("store", "import", listed, *arguments)
    code, _, err = run_cli("store", "export", tmp_path / "out", "--store", tmp_path / "S")
    assert code == 2 and "--recipe" in err
    recipe = err.split("one of its recipes: ")[1].split(" ")[0]
    assert run_cli("store", "export", tmp_path / "out", "--store", tmp_path / "S", "--recipe", recipe)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.pth", "out.safetensors"), "no such file"),
        (("text.pth", "out.safetensors"), "not a checkpoint"),
        (("text.pth", "out.pth"), "must end in .safetensors"),
    ],
)
def test_convert_refuses(tmp_path, run_cli, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.pth").write_text("no checkpoint")
    code, _, err = run_cli("convert", *arguments)
    assert code == 2 and words in err and "Traceback" not in err and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("x"), 70), (KeyboardInterrupt(), 130), (cli.Terminated(), 143)]
)
def test_exit_codes(tmp_path, run_cli, monkeypatch, error, code):
    from vad_pipeline.extract.store import embedding_store as store

    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(store, "EmbeddingStore", broken)
    got, _, err = run_cli("store", "ls", "--store", tmp_path)
    assert got == code and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path, run_cli):
    for arguments in (("--debug", "store", "ls"), ("store", "ls", "--debug")):
        code, _, err = run_cli(*arguments, "--store", tmp_path / "none")
        assert code == 2 and "Traceback" in err and "no feature store" in err


def test_unknown_commands_and_options(run_cli):
    for arguments in (("nonsense",), ("store", "nonsense"), ("extract", "--nonsense")):
        assert run_cli(*arguments)[0] == 2
    code, out, _ = run_cli("--version")
    assert code == 0 and "0.1.0" in out

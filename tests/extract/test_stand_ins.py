"""Files that stand in place of others are called what they are, wherever a file of a user is read."""

from pathlib import Path

import numpy as np
import pytest

from vad_pipeline.eval.annotations import TruthFile
from vad_pipeline.extract.embed.state_dict import read_state
from vad_pipeline.extract.errors import ConfigError
from vad_pipeline.extract.store.arrays import read_features
from vad_pipeline.extract.store.exchange import read_list
from vad_pipeline.model.category_file import read_categories
from vad_pipeline.pipeline.archive.labels import read_label_rows

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0f" * 32 + "\nsize 734003200\n"
PAGE = "\ufeff <!doctype HTML>\n<html><title>Sign in</title></html>"
READERS = {
    "weights.pt": lambda path: read_state(path, expected="weights"),
    "c.safetensors": lambda path: read_state(path, expected="weights"),
    "f.npy": read_features,
    "list.csv": read_list,
    "labels.csv": read_label_rows,
    "labels.txt": read_label_rows,
    "categories.yaml": read_categories,
    "categories.csv": read_categories,
    "truth.csv": lambda path: TruthFile.of(path, "csv", None).read(),
    "truth.txt": lambda path: TruthFile.of(path, "ucf-crime", None).read(),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("content", "said"), [(POINTER, "git lfs pull"), (PAGE, "is a web page")])
def test_it_is_called_what_it_is(tmp_path: Path, name, content, said):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as refused:
        READERS[name](path)
    assert str(path) in str(refused.value)


def test_the_files_themselves_are_read(tmp_path):
    (tmp_path / "labels.csv").write_text("video,label\na,Normal\n")
    assert [row.name for row in read_label_rows(tmp_path / "labels.csv")] == ["a"]
    np.save(tmp_path / "f.npy", np.zeros((2, 512), np.float16))
    assert read_features(tmp_path / "f.npy").shape == (2, 512)

"""RUN's own files, where they are damaged."""

import pytest

from vad_pipeline.extract.errors import StoreError
from vad_pipeline.pipeline.train.run_folder import TrainRun


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 1e999}',
        "[" * 100_000,
        "[]",
        "{}",
        '{"schema": 1}',
        '{"schema": 1, "options": [1]}',
        '{"schema": 1, "options": {}}',
        '{"schema": 99}',
        "\udc80",
    ],
)
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(StoreError, match="config.json: cannot be read|schema 99"):
        TrainRun(tmp_path).config()

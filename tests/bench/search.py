"""A question to a million snippets: `python tests/bench/search.py`.

Writes a matrix of random unit rows in the layout of a store's, maps it into memory and asks ten questions; the first
pays for reading the file. Half of what is asked for is planted in one row and must be found first. Prints seconds a
question (scores and moments), peak memory, and compares the result with a plain product.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from vad_pipeline.extract.store.snippet_matrix import SnippetMatrix
from vad_pipeline.model.text_search import scores, top_moments

PER_VIDEO = 100  # snippets
BLOCK = 50_000


def main() -> None:
    """Write, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snippets", type=int, default=1_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        with path.open("wb") as file:
            head = {"descr": "<f2", "fortran_order": False, "shape": (options.snippets, 512)}
            np.lib.format.write_array_header_1_0(file, head)
            for start in range(0, options.snippets, BLOCK):
                rows = rng.standard_normal((min(BLOCK, options.snippets - start), 512), np.float32)
                file.write((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f2").tobytes())
        starts = np.arange(0, options.snippets + PER_VIDEO, PER_VIDEO)
        matrix = SnippetMatrix(tuple(range(len(starts) - 1)), np.load(path, mmap_mode="c"), starts)
        seconds = []
        for _ in range(10):
            question = rng.standard_normal(512).astype(np.float32)
            question /= np.linalg.norm(question)
            planted = int(rng.integers(options.snippets))
            row = matrix.rows[planted].astype(np.float32) + question
            matrix.rows[planted] = row / np.linalg.norm(row)  # in memory only
            started = time.perf_counter()
            (found,) = scores(matrix, question[None])
            moments = top_moments(matrix, found, n=20, per_video=3)
            seconds.append(time.perf_counter() - started)
            assert PER_VIDEO * moments[0].video + moments[0].peak == planted
        plain = matrix.rows[:BLOCK].astype(np.float32) @ question
        worst = float(np.abs(plain - found[:BLOCK]).max())
        print(f"{options.snippets:,} snippets, {os.cpu_count()} cores: first question {seconds[0]:.2f} s, then")
        print(f"median {statistics.median(seconds[1:]):.2f} s, worst {max(seconds[1:]):.2f} s; {len(moments)} moments,")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"largest difference from a plain product {worst:.1e}; peak memory {peak_mb:.0f} MB with the file")


if __name__ == "__main__":
    main()

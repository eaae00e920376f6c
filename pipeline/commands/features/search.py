"""`search`: finds the moments of an archive that are most like a text, or like another moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from vad_pipeline.extract.errors import ConfigError, readable
from vad_pipeline.extract.lists import read_lines
from vad_pipeline.extract.names import NameIndex
from vad_pipeline.extract.recipe import Recipe
from vad_pipeline.extract.store.entry import Entry

from ...archive.by_text import text_tower, with_crop
from ...archive.selection import select_some
from ...progress import counting, report_left_out, warn_of_random
from ..sections import SectionedCommand
from ..shared_options import Place, option, quiet_option, selection_config, selection_options, store_option

if TYPE_CHECKING:
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.snippet_matrix import SnippetMatrix
    from vad_pipeline.model.text_search import Moment

SHOWN_DIGITS = 4
QUERIES_AT_ONCE = 16  # bounds memory: the scores of one query over a million snippets take 4 MB


@click.command(cls=SectionedCommand)
@click.argument("text", required=False)
@store_option
@click.option("--queries", metavar="FILE|-", help="Search for many texts, one a line, instead of TEXT.")
@click.option("--example", metavar="VIDEO@TIME", help="Search for moments like this one (h:mm:ss or seconds).")
@click.option("--not", "unlike", metavar="TEXT", help="Prefer moments unlike this text.")
@click.option("--video", metavar="ID", help="Search only this video.")
@option("--recipe", help="Search features of this recipe; needed where the store holds several.")
@option("--crop", default=0, help="Search the embeddings of this crop.")
@option("--pretrained", help="Weights of CLIP's text tower (default: those of the features).")
@option("--model", help="open_clip model of the text tower (default: that of the features).")
@option("--top", default=20, help="How many moments to show.")
@click.option("--per-video", default=3, type=click.IntRange(min=1), help="At most so many moments of one video.")
@option("--html", help="Also write a page of pictures.")
@click.option(
    "--results",
    type=Place(),
    metavar="DIR",
    help="With --html: links lead into the review page of this results folder.",
)
@option("--media-root")
@option("--json", help="One JSON object a line.")
@selection_options
@quiet_option
def search(store: Path, catalogue: Path | None, html: Path | None, as_json: bool, quiet: bool, **values) -> int:
    """Search the cached embeddings for TEXT: cosine to CLIP's text embedding, exact, adjacent snippets as one moment.

    The first search makes a matrix of all snippets beside the shards; later ones read it.
    """
    from vad_pipeline.extract.store.embedding_store import EmbeddingStore
    from vad_pipeline.extract.store.snippet_matrix import snippet_matrix
    from vad_pipeline.model.text_search import scores, top_moments

    if html is None and (values["results"] or values["media_root"]):
        raise click.UsageError("--results and --media-root are for the page: give --html FILE, too")
    selecting = selection_config(values)
    query = Query(**{name: values[name] for name in ("text", "queries", "example", "unlike", "pretrained", "model")})
    at_most = {"n": values["top"], "per_video": values["per_video"]}
    with EmbeddingStore(store, catalogue=catalogue) as opened:
        recipe, entries = with_crop(opened, values["recipe_id"], values["crop"])
        warn_of_random(recipe)
        report_left_out(len(opened.entries()) - len(entries), values["crop"])
        with counting("read", quiet=quiet, total=len(entries)) as on_video:
            matrix = snippet_matrix(opened, entries, values["crop"], on_video=on_video)
        likes, unlike = query.embeddings(recipe, matrix, opened)
        chosen, missing = select_some(entries, selecting, lambda entry: entry.video)
        if values["video"] is not None:
            chosen = [_named(values["video"], chosen)]
        names = {entry.name for entry in chosen}
        answers: dict[str, list[dict]] = {}
        for start in range(0, len(likes), QUERIES_AT_ONCE):
            batch = slice(start, start + QUERIES_AT_ONCE)
            for question, found in zip(query.questions[batch], scores(matrix, likes[batch], unlike), strict=True):
                moments = top_moments(matrix, _only(found, matrix, names), **at_most)
                answers[question] = [_row(moment, matrix, opened) for moment in moments if np.isfinite(moment.score)]
        if html is not None:
            _write_page(html, answers, query, opened, matrix, values)
    for name in missing:
        click.echo(f"missing: {name}", err=True)
    many = query.queries is not None
    for question, rows in answers.items():
        if many and not as_json:
            click.echo(f"# {question}")
        for row in rows:
            click.echo(json.dumps({"query": question, **row} if many else row) if as_json else _line(row))
    return int(bool(missing))


@dataclass(frozen=True)
class Query:
    """What is searched for, as the options say.

    Raises:
        click.UsageError: not exactly one of text, queries and example is given, or the text is empty.
    """

    text: str | None
    queries: str | None
    """Path of a file with one text a line; `-` is standard input."""
    example: str | None
    unlike: str | None
    pretrained: str | None
    model: str | None

    def __post_init__(self):
        if [self.text, self.queries, self.example].count(None) != 2:
            raise click.UsageError("give TEXT, --queries FILE or --example VIDEO@TIME")
        if not all(text is None or text.strip() for text in (self.text, self.unlike)):
            raise click.UsageError("the text to search for is empty")

    @cached_property
    def questions(self) -> list[str]:
        """The questions as text, in the order of their answers.

        Raises:
            ConfigError: the file of --queries cannot be read or holds no text.
        """
        if self.queries is None:
            return [self.text if self.text is not None else self.example]
        texts = list(dict.fromkeys(line.strip() for line in read_lines(self.queries, option="--queries")))
        if not texts:
            raise ConfigError(f"--queries {self.queries}: holds no text to search for; one a line")
        return texts

    def embeddings(
        self, recipe: Recipe, matrix: SnippetMatrix, store: EmbeddingStore
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Embed the questions.

        Returns:
            What results are to be like, (Q, D), and what they are to be unlike, (D,) or None.

        Raises:
            ConfigError: the text tower cannot be loaded, or the example names no stored moment.
        """
        unlike = [] if self.unlike is None else [self.unlike]
        if self.example is not None:
            like = _example(self.example, matrix, store)[None]
            return like, self._read(unlike, recipe)[0] if unlike else None
        read = self._read([*self.questions, *unlike], recipe)
        return (read[:-1], read[-1]) if unlike else (read, None)

    def _read(self, texts: list[str], recipe: Recipe) -> np.ndarray:
        from vad_pipeline.model.text_search import text_embeddings

        tower = text_tower(recipe, pretrained=self.pretrained, model=self.model)
        return text_embeddings(texts, **tower, identity=recipe.weights)


def _write_page(
    path: Path, answers: dict[str, list[dict]], query: Query, store: EmbeddingStore, matrix: SnippetMatrix, values: dict
) -> None:
    from ...media.roots import MediaRoots
    from ...review.search_page import Found, write_search_page

    entries = {entry.video: entry for entry in matrix.entries}
    times = {
        video: store.get(entries[video]).frame_seconds
        for video in {row["video"] for rows in answers.values() for row in rows}
    }
    pages = {
        question: [
            Found(
                video=row["video"],
                source=row["source"],
                stream=entries[row["video"]].stream,
                frame=int(np.searchsorted(times[row["video"]], row["peak_seconds"], side="right")) - 1,
                frame_seconds=times[row["video"]],
                score=f"{row['score']:z.{SHOWN_DIGITS}f}",
                **{name: _clock(row[f"{name}_seconds"]) for name in ("start", "end", "peak")},
            )
            for row in rows
        ]
        for question, rows in answers.items()
    }
    roots = MediaRoots.parse(values["media_root"])
    for line in write_search_page(path, pages, unlike=query.unlike, results=values["results"], media_roots=roots):
        click.echo(f"note: {line}", err=True)


def _named(name: str, entries: list[Entry]) -> Entry:
    found = NameIndex(entry.video for entry in entries).find_all([name])[name]
    if found is None:
        raise ConfigError(f"--video {name}: no such video among the {len(entries)} chosen; see `vad-pipeline store ls`")
    return next(entry for entry in entries if entry.video == found)


def _example(example: str, matrix: SnippetMatrix, store: EmbeddingStore) -> np.ndarray:
    """The embedding of the snippet at VIDEO@TIME."""
    from vad_pipeline.eval.annotation_table import seconds_of

    name, _, time = example.rpartition("@")
    seconds = seconds_of(time)
    if not name or seconds is None:
        raise ConfigError(f"--example {example}: must be VIDEO@TIME, such as cam1/2026-11-02@0:14:30 or cam1@870.5")
    entry = _named(name, list(matrix.entries))
    spans = store.get(entry).snippet_seconds
    if seconds > spans[-1, 1]:
        raise ConfigError(f"--example {example}: the video ends at {spans[-1, 1]:.1f} s")
    snippet = max(0, int(np.searchsorted(spans[:, 0], seconds, side="right")) - 1)
    video = next(index for index, each in enumerate(matrix.entries) if each.name == entry.name)
    return np.asarray(matrix.rows[int(matrix.starts[video]) + snippet], np.float32)


def _only(found: np.ndarray, matrix: SnippetMatrix, names: set[str]) -> np.ndarray:
    """The scores of the snippets of chosen videos; -inf for all other snippets."""
    if len(names) == len(matrix.entries):
        return found
    chosen = np.array([entry.name in names for entry in matrix.entries])
    return np.where(np.repeat(chosen, np.diff(matrix.starts)), found, -np.inf)


def _row(moment: Moment, matrix: SnippetMatrix, store: EmbeddingStore) -> dict:
    entry = matrix.entries[moment.video]
    spans = store.get(entry).snippet_seconds
    return {
        "video": entry.video,
        "start_seconds": float(spans[moment.first, 0]),
        "end_seconds": float(spans[moment.end - 1, 1]),
        "peak_seconds": float(spans[moment.peak].mean()),
        "score": round(min(moment.score, 1.0), 6),
        "source": readable(entry.source),
    }


def _line(row: dict) -> str:
    start, peak, end = (_clock(row[f"{name}_seconds"]) for name in ("start", "peak", "end"))
    return f"{row['score']:z.{SHOWN_DIGITS}f}\t{row['video']}\t{start} - {end}\tpeak {peak}"


def _clock(seconds: float) -> str:
    """A time in seconds as `h:mm:ss.s`."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"

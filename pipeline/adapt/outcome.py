"""What `adapt` answers: yes, no, or too few marks to tell, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from vad_pipeline.extract.names import plural

from .adapting import LABEL_AUC_MARGIN, Verdicts
from .given import GivenMarks

FEWEST = 3  # videos with a real mark, and videos with one that is not: fewer cannot be cross-validated
AGAINST = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the adapted model is better, in words."""

    yes: bool
    why: str


def too_few(given: GivenMarks) -> str:
    """Why the marks cannot be judged; empty where they can."""
    real = sum(bool(video.real) for video in given.videos)
    other = sum(bool(video.false_alarms) or video.rest_normal for video in given.videos)
    if min(real, other) >= FEWEST:
        return ""
    return (
        f"too few marks to tell: real ones in {plural(real, 'video')}, false alarms or normal in "
        f"{plural(other, 'video')}; each kind is needed in {FEWEST}, and twenty marks are a good beginning"
    )


def answer_of(found: Verdicts, given: GivenMarks) -> Answer:
    """Whether the adapted model is better: surely fewer false alarms, and nothing else worse."""
    judged = found.judgement
    if given.n_contradicting > sum(given.counts.values()):
        return Answer(False, "more marks contradict each other than can be learned from: settle them on the page first")
    if found.label_auc and found.label_auc[1] < found.label_auc[0] - LABEL_AUC_MARGIN:
        before, after = found.label_auc
        why = f"it tells labelled videos apart worse than before (AUC {before:.3f}, now {after:.3f})"
        return Answer(False, f"{why}: the marks go against the labels")
    if not judged.alarms.before:
        return Answer(False, "the old model raises no false alarm in what was reviewed: there is nothing to gain")
    if judged.is_better:
        return Answer(True, "it is better")
    if judged.may_be_better:
        return Answer(False, "too few marks to tell: it looks better, but the interval reaches to no gain; mark more")
    return Answer(False, "it is not better")


def lines_of(found: Verdicts, given: GivenMarks) -> list[str]:
    """What cross-validation found, a line each."""
    counts = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in given.counts.items() if count)
    n_videos = len(given.videos)
    lines = [f"{counts} in {plural(n_videos, 'video')}, cross-validated in {found.n_folds} folds of videos:"]
    lines += [f"  {figure}" for figure in found.judgement.figures]
    if found.label_auc:
        lines.append("  AUC of labelled videos: {:.3f} before, {:.3f} after".format(*found.label_auc))
    if found.against is not None and found.against < AGAINST:
        lines.append(
            f"  note: the old model scores what was marked real below what was marked a false alarm (AUC "
            f"{found.against:.2f}): were the marks given the right way round?"
        )
    return lines


def to_json(found: Verdicts) -> dict:
    """What cross-validation found, for the checkpoint's metadata."""
    return {
        "folds": found.n_folds,
        "figures": [asdict(figure) for figure in found.judgement.figures],
        "label_auc": found.label_auc,
    }

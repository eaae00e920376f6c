"""When failures make a run's exit code 1: `--max-failed N|P%`."""

from __future__ import annotations

from dataclasses import dataclass

from vad_pipeline.extract.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """How many videos may fail before a run counts as failed."""

    most: float = 0
    """A number of videos, or with `percent` a percentage of all videos of the run, cached ones included."""
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> FailureLimit:
        """Parse `--max-failed`: `5` or `2.5%`.

        Raises:
            ConfigError: the text is neither a number of videos nor a percentage.
        """
        try:
            limit = cls(float(text.removesuffix("%")), text.endswith("%"))
        except ValueError:
            limit = cls(-1)
        if not 0 <= limit.most < float("inf") or (limit.percent and limit.most > 100):
            raise ConfigError(f"--max-failed must be a number of videos or a percentage such as 2%, got {text!r}")
        return limit

    def exceeded(self, failed: int, total: int) -> bool:
        """Whether `failed` of `total` videos are too many."""
        return failed > (self.most * total / 100 if self.percent else self.most)

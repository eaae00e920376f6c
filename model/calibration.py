"""What stands behind a threshold that was set by false alarms: how much normal footage, and what that can promise."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of a threshold that was chosen on held-out normal footage. Rates are false alarms an hour."""

    hours: float
    """Of that footage."""
    budget: float
    """Allowed."""
    rate: float
    """Seen on it, at the threshold."""
    rate_bound: float
    """What the true rate is below with 95 % confidence."""
    supported: float
    """The same bound had none been seen: no budget below it can be told to hold on so little footage."""

    @property
    def calibrated(self) -> bool:
        """Whether so many hours can tell that the budget holds."""
        return self.supported <= self.budget

    def to_json(self) -> dict[str, float | bool]:
        """As run.json and summary.json hold it."""
        return {**asdict(self), "calibrated": self.calibrated}

    @classmethod
    def from_text(cls, text: str) -> Calibration:
        """Out of a checkpoint's metadata.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        values = json.loads(text)
        return cls(*(float(values[name]) for name in cls.__slots__))

    def __str__(self) -> str:
        seen = f"{self.rate:.3g} seen an hour, below {self.rate_bound:.3g} with 95 % confidence"
        if self.calibrated:
            return f"calibrated on {self.hours:.3g} h of normal footage: {seen}"
        return (
            f"NOT calibrated: {self.hours:.3g} h of normal footage can promise no fewer than {self.supported:.3g} "
            f"false alarms an hour, {self.budget:g} were asked for"
        )

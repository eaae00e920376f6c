"""Options by which a command tells others what it does: of events as they are found, of figures as they change."""

from __future__ import annotations

import click

from ..option_values import CommandWords, Place

on_event_option = click.option(
    "--on-event",
    type=CommandWords(),
    metavar="COMMAND",
    help="Run this once for each new event, which it gets as JSON on standard input.",
)
metrics_option = click.option(
    "--metrics", type=Place(), metavar="FILE", help="Keep the run's figures in this file, as Prometheus text."
)

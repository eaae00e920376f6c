"""Options of the commands that tell of events as they are found."""

from __future__ import annotations

import click

from ..option_values import CommandWords

on_event_option = click.option(
    "--on-event",
    type=CommandWords(),
    metavar="COMMAND",
    help="Run this once for each new event, which it gets as JSON on standard input.",
)

"""`events`: finds the events of a results folder anew, without scoring."""

from __future__ import annotations

from pathlib import Path

import click

from ..sections import SectionedCommand
from ..shared_options import Place, chosen_of, clock_options, merge_gap_option, option, threshold_option


@click.command(cls=SectionedCommand)
@click.argument("results", type=Place())
@threshold_option
@merge_gap_option
@clock_options
@option("--ignore", help="Hours of the week in which cameras' events do not count, in YAML; kept.")
@click.option("--explain", is_flag=True, help="Only say how many alarms a day thresholds give; nothing is changed.")
def events(results: Path, explain: bool, **values) -> int:
    """Write RESULTS/events.jsonl anew with another threshold, with wall-clock times, or without ignored hours.

    All of it is kept in run.json: later runs of detect and events keep to it. CAMERA is the clock's {camera}, else
    the first folder of an id.

    --explain tells, for each camera, how many alarms a day each of several thresholds would have given, and which
    threshold parts best what reviewers marked real from false alarms.
    """
    from ...news.price_text import price_lines
    from ...news.told import by_another_rule
    from ...results.event_rows import tell_unread, write_events
    from ...results.folder import Results
    from ...results.prices import prices
    from ...results.run_record import read_record, rule_of

    ignored = values.pop("ignore")
    chosen = chosen_of(values, ignored)
    if ignored and ignored.zones:
        click.echo("note: zones are hidden where footage is embedded (`extract`, `detect SRC`), not here", err=True)
    opened = Results.open(results)
    if explain:
        click.echo("\n".join(price_lines(prices(opened, chosen), results)))
        return int(bool(opened.unread().videos))
    with by_another_rule(results):
        written = write_events(opened, chosen)
    tell_unread(written)
    click.echo(f"{written} in {results / 'events.jsonl'} at {rule_of(results, read_record(results))}")
    return int(bool(written.unread))

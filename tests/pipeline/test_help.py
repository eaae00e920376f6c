"""`--help` in sections: every option in one, the everyday ones on the first screen, defaults said."""

from __future__ import annotations

import re
from collections import Counter

import click
import pytest

from vad_pipeline.model.learning.losses import LOSSES
from vad_pipeline.model.learning.train_config import TRAINING_PRESETS, VADCLIP_TRAINING
from vad_pipeline.pipeline import cli
from vad_pipeline.pipeline.commands.sections import MAX_UNDIVIDED, SECTIONS

SCREEN_LINES, COLUMNS = 24, 80
EVERYDAY = {
    "extract": "SRC --store --like --pretrained --dry-run",
    "detect": "SRC --checkpoint --out --store --report --threshold --csv",
    "train": "LABELS --store --out --preset",
    "evaluate": "RESULTS --annotations --format",
    "report": "RESULTS --store",
    "clips": "RESULTS --out --sheet --recap",
    "search": "TEXT --store --top --html",
    "verify-features": "VIDEO RELEASED.npy --like --json",
    "events": "RESULTS --threshold",
    "plot": "RESULTS VIDEO --out",
    "store import": "LIST.csv --store --root",
}


def commands(group: click.Group = cli.cli, prefix: str = "") -> dict[str, click.Command]:
    found, context = {}, click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found |= commands(command, f"{name} ") if isinstance(command, click.Group) else {prefix + name: command}
    return found


COMMANDS = commands()


def help_of(name: str) -> str:
    settings = cli.cli.context_settings | {"terminal_width": COLUMNS, "max_content_width": COLUMNS}
    with click.Context(COMMANDS[name], info_name=f"vad-pipeline {name}", **settings) as context:
        return COMMANDS[name].get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_one_section(name):
    text = help_of(name)
    titles = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    shown = Counter(re.findall(r"^  (?:-\w, )?(--[\w-]+)", text[text.index(f"\n{titles[0]}:") :], re.MULTILINE))
    options = [each for each in COMMANDS[name].params if isinstance(each, click.Option)]
    assert shown == Counter([*(next(o for o in each.opts if o[:2] == "--") for each in options), "--help"])
    assert titles == (["Options"] if len(options) < MAX_UNDIVIDED else [title for title in SECTIONS if title in titles])
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("typed", "meant"), [(["detct"], "'detct'; did you mean 'detect'?"), (["store", "improt"], "mean 'import'?")]
)
def test_a_mistyped_command_is_told_the_right_one(run_cli, typed, meant):
    code, _, err = run_cli(*typed, "x")
    assert code == 2 and meant in err


def test_sections_name_every_option_once_and_no_other():
    listed = Counter(" ".join(SECTIONS.values()).split())
    assert [flag for flag, count in listed.items() if count > 1] == []
    sectioned = [each for each in COMMANDS.values() if len(each.params) >= MAX_UNDIVIDED]
    known = {flag for each in sectioned for option in each.params for flag in option.opts} | {"--help"}
    assert set(listed) <= known


@pytest.mark.parametrize("name", EVERYDAY)
def test_the_everyday_options_are_on_the_first_screen(name):
    screen = "\n".join(help_of(name).splitlines()[:SCREEN_LINES])
    assert [word for word in EVERYDAY[name].split() if word not in screen] == []


def test_what_train_does_unless_told_is_said():
    text = " ".join(help_of("train").split())
    assert ", ".join(LOSSES) in text
    ucf, xd = TRAINING_PRESETS["ucf-crime"], TRAINING_PRESETS["xd-violence"]
    assert f"of each kind with ucf-crime (default: {ucf.batch_size} with ucf-crime, {xd.batch_size} with xd-" in text
    said = r"default: (\S+) with ucf-crime, (\S+) with xd-violence; VadCLIP's (\S+) and (\S+)\)"
    rates = re.search(said, text[text.index("--lr") :])
    published = [config.learning_rate for config in (ucf, xd, *VADCLIP_TRAINING.values())]
    assert [float(rate) for rate in rates.groups()] == published
    assert f"training videos (default: {ucf.epochs})" in text and ucf.epochs == xd.epochs

"""What commands have in common: under which title `--help` shows each option, and what a mistyped one may mean."""

from __future__ import annotations

import difflib

import click

MAX_UNDIVIDED = 9  # a command with at most this many options, --help included, shows them as one list
MAX_NAMES_WIDTH = 30  # an option whose names are longer has its help text on the next line

SECTIONS = {  # in the order shown, options too; what a command must be given always stands in the first
    "Everyday": "--checkpoint --out --store --root --threshold --report --csv --pretrained --like --encoder "
    "--cameras --head --preset --resume --top --sheet --recap --blur --reencode --html --proxy --event-pictures "
    "--no-pictures --verdicts --deep --recipes --axis --width --json --dry-run --quiet --help",
    "Scores": "--frames --names --per",
    "Ground truth": "--annotations --format --normals --ends --first-frame",
    "What is looked for": "--queries --example --not",
    "Which videos": "--list --match --exclude --only --split --part --streams --settle --video --per-video --category "
    "--marked --all --min-score --limit",
    "Figures": "--protocol --bootstrap --spread --table --columns",
    "Events and times": "--on-event --merge-gap --clock --timezone --pre --post --delay",
    "Training": "--labels --anyway --seed --init --epochs --steps --batch-size --lr --window-len --loss --seeds "
    "--tensorboard",
    "The best weights and the threshold": "--select --val-share --false-alarms",
    "Features, weights, categories": "--model --recipe --any-recipe --crop --score --crops --geometry "
    "--frames-per-snippet --tail --skip-still --still-bound --ignore --decoder --axes --fps --categories --zero-shot",
    "Where things lie": "--catalogue --id-root --any-suffix --media-root --results --keep-folder --metrics",
    "How fast": "--device --precision --accept-deviation --runtime --workers --backend --address --threads",
    "When something fails or is interrupted": "--fail-fast --max-failed --video-timeout --retry-failed --force "
    "--allow-missing --any-threads --save-every",
}


class SuggestingGroup(click.Group):
    """A group that knows which command a mistyped one may have meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple:
        """Find the command that is typed.

        Raises:
            click.UsageError: there is none; the message names one that is written much like it.
        """
        near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
        if near and near[0] != args[0]:
            ctx.fail(f"No such command {args[0]!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


class SectionedCommand(click.Command):
    """A command whose `--help` shows its options under the titles of SECTIONS."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section; those of a command with few options stand under click's one title."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        if len(options) <= MAX_UNDIVIDED:
            super().format_options(ctx, formatter)
            return
        rows = [(title_of(each), each.get_help_record(ctx)) for each in sorted(options, key=place_of)]
        width = min(MAX_NAMES_WIDTH, max(len(names) for _, (names, _) in rows))
        for title in SECTIONS:
            shown = [(names.ljust(width), told) for its_title, (names, told) in rows if its_title == title]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown, col_max=MAX_NAMES_WIDTH)


def place_of(option: click.Option) -> tuple[bool, int]:
    """Where an option stands: what must be given first, then by its position in SECTIONS."""
    flags = " ".join(SECTIONS.values()).split()
    return not option.required, next(place for place, flag in enumerate(flags) if flag in option.opts)


def title_of(option: click.Option) -> str:
    """The title of the section that an option is shown in."""
    if option.required:
        return next(iter(SECTIONS))
    return next(title for title, flags in SECTIONS.items() if not set(option.opts).isdisjoint(flags.split()))

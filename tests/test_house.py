"""The house's rules, as tests: imports run leftwards, public things are documented, README names every command."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vad_pipeline.pipeline import cli

ROOT = Path(__file__).parent.parent
ROOMS = ("extract", "model", "eval", "pipeline")
MAX_LINES = 350
HELP_LINES = 50  # what a screen holds
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported_modules(path: Path) -> list[str]:
    """Absolute names of all that a file imports, late imports included."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_only_leftwards(path):
    room = path.relative_to(ROOT).parts[0]
    for module in imported_modules(path):
        if module.startswith("vad_pipeline."):
            other = module.split(".")[1]
            assert ROOMS.index(other) < ROOMS.index(room), f"{path.name} imports {module}: within a room use `from .`"
        assert module.split(".")[0] not in ROOMS, f"{path.name} imports {module} without vad_pipeline"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_have_docstrings_and_files_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path}: no module docstring"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    nested = [inner for outer in functions for inner in ast.walk(outer) if inner is not outer]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    nested = [inner for outer in functions for inner in ast.walk(outer) if inner is not outer]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and node not in nested:
            is_stub = len(node.body) == 1 and isinstance(node.body[0], ast.Expr)  # `...` in a protocol
            assert is_stub or ast.get_docstring(node), f"{path}: {node.name} has no docstring"


def test_scripts_and_styles_stay_small_too():
    own = [path for path in (ROOT / "pipeline").rglob("*.[jc]s*") if "uplot" not in path.parts]
    assert own and all(path.read_text().count("\n") <= MAX_LINES for path in own)


def test_rooms_open_with_a_sign_only():
    for room in ROOMS:
        tree = ast.parse((ROOT / room / "__init__.py").read_text())
        assert len(tree.body) == 1 and ast.get_docstring(tree), f"{room}/__init__.py holds more than its docstring"


def all_commands(group: click.Group = cli.cli, prefix: str = "vad-pipeline") -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((f"{prefix} {name}", command))
        if isinstance(command, click.Group):
            found += all_commands(command, f"{prefix} {name}")
    return found


@pytest.mark.parametrize(("name", "command"), all_commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_is_in_readme_and_has_help(name, command):
    readme = (ROOT / "README.md").read_text()
    assert name in readme, f"README does not name `{name}`"
    assert command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default or parameter.opts[0] in readme, (
                f"{name} {parameter.opts[0]}"
            )
    with click.Context(command, info_name=name, max_content_width=100, terminal_width=100) as context:
        assert command.get_help(context).count("\n") <= HELP_LINES, f"{name} --help does not fit a screen"


def test_readme_names_no_command_that_is_not_there():
    readme = (ROOT / "README.md").read_text()
    names = {name for name, _ in all_commands()}
    for line in re.findall(r"vad-pipeline ((?:store )?[a-z][a-z-]*)", readme):
        assert f"vad-pipeline {line}" in names, line


@pytest.mark.parametrize(
    "arguments", [["--help"], ["store", "ls", "--help"], ["extract", "--help"], ["detect", "--help"]]
)
def test_help_loads_no_heavy_library(arguments):
    code = (
        "import sys\nfrom vad_pipeline.pipeline import cli\n"
        f"sys.argv = ['vad-pipeline', *{arguments!r}]\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "print(*[m for m in ('torch', 'open_clip', 'torchvision', 'av') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout and done.stderr.strip() == ""

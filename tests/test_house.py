"""The house's rules, as tests: imports run leftwards, closets included, public things are documented and used, every
flag is declared once, a wheel holds all of it."""

import ast
import configparser
import graphlib
import importlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import click
import pytest

from vad_pipeline.pipeline import cli

ROOT = Path(__file__).parent.parent
ROOMS = {  # each from left to right: a file or closet imports only from what stands before it
    "extract": "errors names recipe command_line gaps records stand_ins lists files only_process stopwatch "
    "lane timings device decode embed store extractor int8 task retiming extraction verify",
    "model": "run_names windows layers categories yaml_file category_file text tensorfile heads calibration published "
    "published_vadclip learning checkpoint initial scoring curve live text_search zero_shot "
    "training fastest",
    "eval": "annotation annotation_table ucf_lines annotations truth bootstrap detection metrics thresholds notes "
    "evaluation delay_cost comparison tables comparison_tables figure delay_figure comparison_figure",
    "pipeline": "stopping progress results media workers outcomes archive scores train adapt compare clips review news "
    "live doctor demo option_values commands cli",
}
PLACES = {room: names.split() for room, names in ROOMS.items()}
MAX_LINES, MAX_FILES, MAX_COMMAND_LINES = 350, 20, 40
HELP_LINES = 80  # sections, of which the first is on the first screen (tests/pipeline/test_help.py)
MAX_README_LINES = 150
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES
}  # `extract.store.entry` -> its file


def imports_of(module: str) -> set[str]:
    """Modules of ours that a file imports: late imports and those for type checkers included."""
    path, found = MODULES[module], set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("vad_pipeline.") for alias in node.names if "vad_pipeline" in alias.name}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package.split(".")[: len(package.split(".")) - node.level + 1]
                origin = ".".join([*base, *([node.module] if node.module else [])])
            elif (node.module or "").startswith("vad_pipeline."):
                origin = node.module.removeprefix("vad_pipeline.")
            else:
                continue
            found |= {name if (name := f"{origin}.{alias.name}") in MODULES else origin for alias in node.names}
    return found


IMPORTS = {module: imports_of(module) for module in MODULES}


def place(module: str) -> tuple[int, int]:
    """Where a module stands: its room, and in it its file or closet. What a room's sign needs stands before all."""
    room, _, rest = module.partition(".")
    before = {"front_door": -2, "": -1}
    if rest in before:
        return list(ROOMS).index(room), before[rest]
    name = rest.split(".")[0]
    assert name in PLACES[room], (
        f"{room}/{name} has no place yet: write `{name}` into ROOMS[{room!r}] in tests/test_house.py, behind what it "
        "imports and before what imports it, and into docs/architecture.md"
    )
    return list(ROOMS).index(room), PLACES[room].index(name)


def test_a_file_without_a_place_is_told_what_to_do():
    with pytest.raises(AssertionError, match=r"eval/novelty has no place yet: write `novelty` into ROOMS\['eval'\]"):
        place("eval.novelty")


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_only_leftwards(module):
    for other in IMPORTS[module]:
        assert other in MODULES, f"{module} imports {other}, which is not there"
        same_closet = module.split(".")[:2] == other.split(".")[:2]
        assert place(other) < place(module) or (same_closet and other != module), f"{module} imports {other}"


MAX_BODY_LINES, MAX_PARAMETERS = 45, 7


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """Every function of the rooms, methods and nested ones too, and how to find it."""
    return [
        (f"{module}.{node.name}", node)
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]


def body_lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement after the docstring to the end, blank lines and comments in between counted."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def parameters(function: ast.FunctionDef) -> list[str]:
    """Names of all parameters but `self` and `cls`; `*args` and `**values` count as one each."""
    given = function.args
    several = [each for each in (given.vararg, given.kwarg) if each]
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *several)]
    return [name for name in names if name not in ("self", "cls")]


def test_functions_are_short():
    long = {name: n for name, each in functions() if (n := body_lines(each)) > MAX_BODY_LINES}
    assert not long, f"longer than {MAX_BODY_LINES} lines: give parts that belong together a name: {long}"


def test_functions_take_few_parameters():
    """Commands too: what a command hands on together it takes as `**values`, or its options are one record."""
    many = {name: n for name, each in functions() if (n := len(parameters(each))) > MAX_PARAMETERS}
    assert not many, f"more than {MAX_PARAMETERS} parameters: make a record of those of one thing: {many}"


def test_no_circle_anywhere():
    order = graphlib.TopologicalSorter(IMPORTS)
    order.prepare()  # raises CycleError, which names it


def test_across_rooms_by_full_name_within_a_room_relative():
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                head, *rest = node.module.split(".")
                assert head not in ROOMS, f"{module}: {node.module} without vad_pipeline"
                own = module.split(".")[0]
                assert head != "vad_pipeline" or rest[0] != own or path.name == "__init__.py", f"{module}: {rest}"


def test_every_file_is_packed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = config["options"]["packages"].split()
    assert sorted(packages) == sorted(
        f"vad_pipeline.{module}" for module, path in MODULES.items() if path.name == "__init__.py"
    )
    assert {path.parent for path in FILES} == {path.parent for path in FILES if path.name == "__init__.py"}


def test_names_are_told_apart_and_folders_stay_small():
    files = [path for path in FILES if path.name != "__init__.py"]
    names = Counter(path.name for path in files if "commands" not in path.parent.parts)
    assert [name for name, count in names.items() if count > 1] == []
    folders = Counter(path.parent for path in files)
    assert {str(folder) for folder, count in folders.items() if count > MAX_FILES} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_have_docstrings_and_files_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path}: no module docstring"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    nested = [inner for outer in functions for inner in ast.walk(outer) if inner is not outer]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_") and node not in nested:
            is_stub = len(node.body) == 1 and isinstance(node.body[0], ast.Expr)  # `...` in a protocol
            assert is_stub or ast.get_docstring(node), f"{path}: {node.name} has no docstring"


def test_scripts_and_styles_stay_small_too():
    own = [path for path in (ROOT / "pipeline").rglob("*.[jc]s*") if "uplot" not in path.parts]
    assert own and all(path.read_text().count("\n") <= MAX_LINES for path in own)


def offered_by(room: str) -> list[str]:
    return dir(importlib.import_module(f"vad_pipeline.{room}"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_opens_with_a_sign_and_a_front_door(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    assert len(tree.body) == 3 and ast.get_docstring(tree), f"{room}/__init__.py holds more than its sign and its door"
    package, reference = importlib.import_module(f"vad_pipeline.{room}"), (ROOT / "docs" / "reference.md").read_text()
    for name in offered_by(room):
        assert getattr(package, name).__doc__ or isinstance(getattr(package, name), dict)
        assert f"`{name}`" in reference, f"docs/reference.md does not name {name} of {room}"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_a_front_door_loads_nothing_heavy():
    doors = "\n".join(f"import vad_pipeline.{room}" for room in ROOMS)
    light = "from vad_pipeline.extract import EmbeddingStore; from vad_pipeline.pipeline import Results"
    code = (
        f"{doors}\n{light}\nimport sys; print(*[name for name in ('torch', 'av', 'open_clip') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def identifiers(text: str) -> Counter:
    """How often each name is read or imported, comments and docstrings left out."""
    found = Counter()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found[node.id] += 1
        elif isinstance(node, ast.Attribute):
            found[node.attr] += 1
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.name for alias in node.names)
    return found


def public_names(tree: ast.Module) -> list[str]:
    """Functions, classes and constants that are public by their names."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        if isinstance(node, ast.Assign):
            names += [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return [name for name in names if not name.startswith("_")]


FOR_OTHERS = {  # called by what is not ours: click, torch, pickle, Python's own protocols
    "forward", "format_commands", "get_command", "list_commands", "convert", "main", "name", "logger",
    "find_class", "persistent_load", "load_setitem", "load_setitems",
}  # fmt: skip


def test_public_names_are_used():
    """By more than their own definition and the tests: what nobody needs is deleted."""
    others = [path for folder in ("docs", "tests/bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    used = sum((identifiers(path.read_text()) for path in (*FILES, *others)), Counter())
    doors = {name for room in ROOMS for name in offered_by(room)}
    commands = {command.callback.__name__ for _, command in all_commands()}
    unused = [
        f"{module}.{name}"
        for module, path in MODULES.items()
        for name in public_names(ast.parse(path.read_text()))
        if not used[name] and name not in doors | commands | FOR_OTHERS
    ]
    assert unused == []


def methods(tree: ast.Module) -> set[tuple[str, str]]:
    """Class and name of every method, private ones too; Python's own protocols (`__len__`) left out."""
    return {
        (node.name, inner.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for inner in node.body
        if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("__")
    }


def attributes_read(tree: ast.Module) -> set[tuple[str, str]]:
    """What is read of objects (`curve.scores`) and classes (`Recipe.from_json`), but not of modules (`upkeep.merge`).

    Returns:
        The class where it is read of `self` or `cls`, else "", and the name.
    """
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    modules = {name for name in imported if name[:1].islower()}
    found = set()

    def look(node: ast.AST, inside: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
                origin = child.value.id if isinstance(child.value, ast.Name) else None
                if origin not in modules:
                    found.add((inside if origin in ("self", "cls") else "", child.attr))
            look(child, child.name if isinstance(child, ast.ClassDef) else inside)

    look(tree, "")
    return found


def unused_methods(rooms: list[ast.Module], others: list[ast.Module]) -> list[str]:
    """Methods of the rooms that nothing reads: neither their own class of itself, nor anybody of an object."""
    defined = set().union(*map(methods, rooms))
    read = set().union(*map(attributes_read, [*rooms, *others]))
    # `self.place` in another class that has a `place` of its own is about that one
    of_any = {name for owner, name in read if not owner or (owner, name) not in defined}
    return [f"{owner}.{name}" for owner, name in sorted(defined - read) if name not in of_any | FOR_OTHERS]


def test_methods_are_used():
    """By more than the tests, too."""
    others = [path for folder in ("docs", "tests/bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    rooms, others = ([ast.parse(path.read_text()) for path in paths] for paths in (FILES, others))
    assert unused_methods(rooms, others) == []


def test_a_method_of_the_same_name_as_another_is_not_mistaken_for_it():
    tree = ast.parse(
        "from . import upkeep\n"
        "class Used:\n    def place(self): return self.place()\n"
        "class Unused:\n    def place(self): ...\n    def merge(self): ...\n"
        "upkeep.merge(1)\n"
    )
    assert unused_methods([tree], []) == ["Unused.merge", "Unused.place"]


def flags_declared() -> list[str]:
    """The flags of every `click.option` call in pipeline/, and the keys of FLAGS, by which others are declared."""
    found = []
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.option":
                found += [a.value for a in node.args if isinstance(a, ast.Constant) and a.value.startswith("--")]
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLAGS":
                found += [key.value for key in node.value.keys]
    return found


def test_every_flag_is_declared_once():
    flags = flags_declared()
    assert len(flags) > 50 and [flag for flag, count in Counter(flags).items() if count > 1] == []


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline" / "commands").rglob("*.py")), ids=lambda path: path.stem)
def test_a_command_is_short(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and any("command(" in ast.unparse(d) for d in node.decorator_list):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert body[-1].end_lineno - body[0].lineno < MAX_COMMAND_LINES, node.name


def all_commands(group: click.Group = cli.cli, prefix: str = "vad-pipeline") -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((f"{prefix} {name}", command))
        if isinstance(command, click.Group):
            found += all_commands(command, f"{prefix} {name}")
    return found


DOCS = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


@pytest.mark.parametrize(("name", "command"), all_commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_is_in_the_reference_and_has_help(name, command):
    assert f"`{name}" in DOCS["reference.md"], f"docs/reference.md does not name `{name}`"
    assert command.help, name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            told = parameter.help or parameter.show_default or any(parameter.opts[0] in text for text in DOCS.values())
            assert told, f"{name} {parameter.opts[0]}"
    settings = cli.cli.context_settings | {"max_content_width": 100, "terminal_width": 100}
    with click.Context(command, info_name=name, **settings) as context:
        assert command.get_help(context).count("\n") <= HELP_LINES, f"{name} --help is too long"


@pytest.mark.parametrize("doc", DOCS)
def test_docs_name_no_command_option_or_file_that_is_not_there(doc):
    names = {name for name, _ in all_commands()}
    for line in re.findall(r"vad-pipeline ((?:store )?[a-z][a-z-]*)", DOCS[doc]):
        assert f"vad-pipeline {line}" in names, line
    folder = ROOT if doc == "README.md" else ROOT / "docs"
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", DOCS[doc]):
        assert not link or (folder / link).exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", DOCS[Path(link).name if link else doc], re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor
    for path in re.findall(r"`((?:tests|docs|extract|model|eval|pipeline)/[\w/.]*)`", DOCS[doc]):
        assert (ROOT / path).exists(), path


def test_readme_is_one_screen_that_sells_and_some_doors():
    assert DOCS["README.md"].count("\n") <= MAX_README_LINES


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory) -> Path:
    """Python of an environment outside the tree that holds our dependencies and a wheel built from the tree."""
    folder = tmp_path_factory.mktemp("elsewhere")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = {"capture_output": True, "text": True, "check": True}
    tree = folder / "tree"
    for name in ROOMS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(tree)]
    subprocess.run(build, **quiet)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], **quiet)
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "-q", "--no-deps", str(wheel)], **quiet)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    # a path in a .pth file is searched for modules, its own .pth files, the editable tree's among them, are not read
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    return python


def test_a_wheel_elsewhere_shows_every_help(elsewhere, tmp_path):
    names = [name.split()[1:] for name, _ in all_commands()]
    code = (
        "import sys, vad_pipeline.pipeline.cli as cli\n"
        f"assert cli.__file__.startswith({str(elsewhere.parent.parent)!r}), cli.__file__\n"
        f"for words in {names!r}:\n"
        "    sys.argv = ['vad-pipeline', *words, '--help']\n"
        "    try: cli.main()\n"
        "    except SystemExit as stop: assert not stop.code, words\n"
    )
    done = subprocess.run([elsewhere, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: vad-pipeline") == len(names)


@pytest.mark.long
def test_a_wheel_elsewhere_runs_the_demo(elsewhere, tmp_path):
    command = [elsewhere.parent / "vad-pipeline", "demo", "--out", tmp_path / "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "7 held-out videos" in done.stdout and (tmp_path / "demo" / "results" / "report" / "index.html").exists()


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

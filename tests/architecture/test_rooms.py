"""The rooms import in one direction only: read from the source of every file, imports inside functions included.

Each rule is tried on a small offender as well as on the package. Imports by name at run time (``importlib``) cannot be
seen here. A new room needs a line in ``ROOMS``, a new file or sub-room a word in ``ORDER``.
"""

import ast
from collections import Counter
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import semprune
import semprune.pruning.methods.wanda

FOUNDATION = {"errors", "io", "statistics", "artefacts", "types", "ranges", "lazy_names"}
LEFT_OF_EVALUATION = FOUNDATION | {"assets", "backbones", "concepts", "data"}
LEFT_OF_ATTRIBUTION = LEFT_OF_EVALUATION | {"evaluation", "pruning"}
LEFT_OF_STUDY = LEFT_OF_ATTRIBUTION | {"attribution"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "lazy_names": set(),
    "types": {"errors"},
    "ranges": {"errors", "types"},
    "io": {"errors", "types"},
    "statistics": {"errors"},
    "artefacts": {"errors", "io", "statistics"},
    "assets": FOUNDATION,
    "backbones": FOUNDATION | {"assets"},
    "concepts": FOUNDATION | {"assets"},
    "data": FOUNDATION | {"assets"},
    "sharing": FOUNDATION | {"assets", "backbones"},
    "evaluation": LEFT_OF_EVALUATION,
    "pruning": LEFT_OF_EVALUATION,
    "attribution": LEFT_OF_ATTRIBUTION,
    "analysis": FOUNDATION - {"types", "ranges"},
    "study": LEFT_OF_STUDY,
    "report": (FOUNDATION | {"analysis"}) - {"types", "ranges"},
    "lm_eval": LEFT_OF_ATTRIBUTION,
    "cli": LEFT_OF_STUDY | {"analysis", "study", "report", "sharing"},
    "semprune": LEFT_OF_STUDY | {"study", "report", "sharing"},
}
"""What each room may import besides itself."""

ORDER: dict[str, str] = {
    "analysis": "drops guided skill_drops paired_models divergences calibration predictors recommend prediction",
    "artefacts": "card cell tables files dataset_answers answers",
    "assets": "catalogue download extract cache ensure status",
    "attribution": "association standardisation fit neurons held_out gradients ablation gates rankings semantic_loss"
    " controls test_pass measured monitoring gate_stage module",
    "backbones": "family families layout weights backbone capture ablate hardware readout blocks loading companions"
    " streamed own_text sentence_encoder",
    "cli": "parsing targets gate_controls commands dispatch boundary __main__",
    "concepts": "concept lexicon_asset sources registry tokens influential",
    "data": "settings subject registry rows hashes batches prompts load calibration modules",
    "errors": "base machine artefacts assets backbones data evaluation pruning attribution sharing",
    "evaluation": "metrics engine perplexity fidelity rolling predictions results evaluate screen",
    "io": "seals bits safe_text terminal whole_table yaml_text files known_hashes tensor_files provenance distributed",
    "pruning": "calibration selection method weights methods statistics guidance settings report masks block_pruner"
    " strength_search in_memory removal card streamed callbacks",
    "report": "run tables charts sections summary export card skill_terminal terminal page comparison",
    "sharing": "hub contents push pull",
    "statistics": "weighting intervals proportions bootstrap estimate dose significance auroc average_precision"
    " divergence skill",
    "study": "config store checkpoints association cell run_folder retained calibration progress worker preflight"
    " dry_run trainer_run engines run",
}
"""Inside of a room: each file and sub-room imports only those before it."""

MOST_MODULES = 15
MOST_LINES = 300
REGISTRIES = {
    "semprune.attribution.rankings",
    "semprune.backbones.families",
    "semprune.cli.commands",
    "semprune.pruning.methods",
}
"""Folders of one file per thing, a family or a command, that is found by its name: as many files as things."""

TRANSFORMERS = {"semprune.backbones", "semprune.data"}
LIGHTNING = {
    "semprune.attribution",
    "semprune.cli.commands",
    "semprune.data",
    "semprune.evaluation",
    "semprune.pruning.callbacks",
    "semprune.study",
}
Sources = Mapping[str, str]


def package_sources() -> dict[str, str]:
    """Dotted name of every module of the package to its text."""
    root = Path(semprune.__file__).parent
    paths = {path.relative_to(root.parent): path for path in root.rglob("*.py")}
    return {".".join(name.with_suffix("").parts).removesuffix(".__init__"): p.read_text() for name, p in paths.items()}


@cache
def imports(source: str) -> tuple[tuple[str, ...], ...]:
    """Names that each import may load, most precise first; a relative import as ``(".",)``."""
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += ((alias.name,) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += ((f"{module}.{alias.name}", module) if not node.level else (".",) for alias in node.names)
    return tuple(found)


def graph(sources: Sources) -> dict[str, set[str]]:
    """Which of the modules each module imports; a name that is no module belongs to the package it comes from."""
    edges = {}
    for module, source in sources.items():
        named = [next((name for name in names if name in sources), None) for names in imports(source)]
        edges[module] = {name for name in named if name is not None}
    return edges


def room(module: str) -> str:
    """The room of a module: the first name below the package."""
    return module.split(".")[1] if "." in module else module


def part(module: str) -> str | None:
    """What of its room a module is: a file or a sub-room; None for the room's own ``__init__``."""
    names = module.split(".")
    return names[2] if len(names) > 2 else None


def relative_imports(sources: Sources) -> list[str]:
    """Modules with a relative import."""
    return [module for module, source in sources.items() if (".",) in imports(source)]


def wrong_directions(sources: Sources, rooms: Mapping[str, set[str]]) -> list[str]:
    """Imports into another room than those that a room may import, and rooms without a rule."""
    edges = ((module, target) for module, targets in graph(sources).items() for target in sorted(targets))
    unruled = [f"{module}: room without a rule" for module in sources if room(module) not in rooms]
    return unruled + [
        f"{module} -> {target}"
        for module, target in edges
        if room(module) != room(target) and room(target) not in rooms.get(room(module), set())
    ]


def wrong_order(sources: Sources, order: Mapping[str, str]) -> list[str]:
    """Imports inside of a room of what stands after the importer, and files and sub-rooms without a place."""
    found = []
    for module, targets in graph(sources).items():
        here, places = part(module), order.get(room(module), "").split()
        if here is None:
            continue
        if here not in places:
            found.append(f"{module}: {here} has no place in its room")
            continue
        for target in sorted(targets):
            there = part(target)
            if room(target) == room(module) and there in places and places.index(there) > places.index(here):
                found.append(f"{module} -> {target}")
    return found


def crowded(sources: Sources) -> list[str]:
    """Folders with more modules side by side than one can take in."""
    folders = Counter(module.rpartition(".")[0] for module in sources if module not in packages(sources))
    return [name for name, count in folders.items() if count > MOST_MODULES and name not in REGISTRIES]


def packages(sources: Sources) -> set[str]:
    """Modules that hold others."""
    return {module.rpartition(".")[0] for module in sources}


def hidden_packages(sources: Sources) -> list[str]:
    """Folders that an object of their name hides in the package around them: ``import a.folder.b`` would not find b."""
    hidden = []
    for package in sorted(packages(sources)):
        around, _, name = package.rpartition(".")
        for node in ast.walk(ast.parse(sources.get(around, ""))):
            if isinstance(node, ast.ImportFrom):
                bound = {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
                if bound.get(name, package) != package:
                    hidden.append(package)
    return hidden


def cycle(sources: Sources) -> list[str]:
    """One ring of modules that import each other, or nothing."""
    try:
        TopologicalSorter(graph(sources)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def library_out_of_place(sources: Sources, library: str, places: set[str]) -> list[str]:
    """Modules that import a library without being one of the places or inside one."""
    users = [m for m, text in sources.items() if any(names[0].split(".")[0] == library for names in imports(text))]
    return [user for user in users if not any(f"{user}.".startswith(f"{place}.") for place in places)]


def reaches_library(sources: Sources, start: str, library: str) -> list[str]:
    """Modules with the library that a room imports, directly or through others."""
    edges, seen = graph(sources), set()
    waiting = [module for module in sources if room(module) == start]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(edges[module])
    return library_out_of_place({module: sources[module] for module in sorted(seen)}, library, set())


@pytest.fixture(scope="module")
def sources():
    return package_sources()


def test_no_relative_imports(sources):
    assert relative_imports(sources) == []
    assert relative_imports({"semprune.a": "def f():\n    from . import b"}) == ["semprune.a"]
    assert relative_imports({"semprune.a": "from ..b import c"}) == ["semprune.a"]


def test_rooms_import_to_the_left_only(sources):
    assert wrong_directions(sources, ROOMS) == []


def test_parts_of_a_room_import_in_one_order(sources):
    assert wrong_order(sources, ORDER) == []
    two = {"semprune.io.a": "import semprune.io.b.c", "semprune.io.b.c": "", "semprune.io.d": ""}
    assert wrong_order(two, {"io": "b a"}) == ["semprune.io.d: d has no place in its room"]
    assert wrong_order(two, {"io": "a b d"}) == ["semprune.io.a -> semprune.io.b.c"]


def test_no_file_is_longer_than_one_can_take_in(sources):
    assert {name: text.count("\n") for name, text in sources.items() if text.count("\n") > MOST_LINES} == {}


def test_no_folder_holds_more_than_one_can_take_in(sources):
    assert crowded(sources) == []
    assert crowded({f"semprune.data.m{n}": "" for n in range(16)}) == ["semprune.data"]


def test_no_folder_is_hidden_by_an_object_of_its_name(sources):
    assert hidden_packages(sources) == []
    hiding = {"semprune.a": "from semprune.a.b import b", "semprune.a.b": "def b(): ...", "semprune.a.b.c": ""}
    assert hidden_packages(hiding) == ["semprune.a.b"]
    assert hidden_packages(hiding | {"semprune.a": "from semprune.a import b"}) == []
    assert semprune.pruning.methods.wanda.METHOD.name == "wanda"


@pytest.mark.parametrize(
    ("importer", "line", "imported"),
    [
        ("semprune.data.a", "from semprune.backbones.b import c", "semprune.backbones.b"),
        ("semprune.pruning.a", "def f():\n    import semprune.evaluation.b", "semprune.evaluation.b"),
        ("semprune.errors", "if TYPE_CHECKING:\n    from semprune import types", "semprune.types"),
        ("semprune.report.a", "from semprune.types import Item", "semprune.types"),
        ("semprune.study.a", "from semprune import load_backbone", "semprune"),
    ],
)
def test_a_wrong_direction_is_seen(importer, line, imported):
    assert wrong_directions({importer: line, imported: ""}, ROOMS) == [f"{importer} -> {imported}"]


def test_a_room_without_a_rule_is_seen():
    assert wrong_directions({"semprune.utils": ""}, ROOMS) == ["semprune.utils: room without a rule"]


def test_no_import_cycles(sources):
    assert cycle(sources) == []
    ring = {"semprune.a": "import semprune.b", "semprune.b": "def f():\n    from semprune import a", "semprune": ""}
    assert set(cycle(ring)) == {"semprune.a", "semprune.b"}
    package = {"semprune.a": "from semprune.a.b import c", "semprune.a.b": "from semprune.a import d"}
    assert set(cycle(package)) == {"semprune.a", "semprune.a.b"}


@pytest.mark.parametrize(
    ("library", "places"), [("transformers", TRANSFORMERS), ("lightning", LIGHTNING), ("pytorch_lightning", set())]
)
def test_libraries_keep_their_place(sources, library, places):
    assert library_out_of_place(sources, library, places) == []


def test_a_library_out_of_place_is_seen():
    offenders = {
        "semprune.data.a": "from lightning.pytorch import Trainer",
        "semprune.pruning.wanda": "def f():\n    import lightning",
        "semprune.database": "import lightning.pytorch as L",
        "semprune.concepts.a": "import lightning_utilities",
    }
    assert library_out_of_place(offenders, "lightning", LIGHTNING) == ["semprune.pruning.wanda", "semprune.database"]


@pytest.mark.parametrize("library", ["torch", "lightning", "torchmetrics"])
def test_the_report_needs_no_torch(sources, library):
    assert reaches_library(sources, "report", library) == []


def test_torch_behind_another_room_is_seen():
    chain = {"semprune.report.a": "import semprune.io.files", "semprune.io.files": "import semprune.types"}
    chain["semprune.types"] = "from torch import Tensor"
    assert reaches_library(chain, "report", "torch") == ["semprune.types"]

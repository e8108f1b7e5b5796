"""The house rules that can be read from the source: which module imports which, what is light, what is never loaded."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FOLDERS = {
    "longdwm_env.models": ROOT / "models",
    "longdwm_env.training": ROOT / "training",
    "longdwm_env.agents": ROOT / "agents",
    "longdwm_env": ROOT / "longdwm_env",
    "examples": ROOT / "examples",
}

BELOW = {
    "geometry": {"geometry", "core"},
    "core": {"geometry", "core"},
    "longdwm_env": {"geometry", "core", "longdwm_env"},
    "models": {"geometry", "core", "longdwm_env", "models"},
    "training": {"geometry", "core", "longdwm_env", "models", "training"},
    "agents": {"geometry", "core", "longdwm_env", "agents"},
    "examples": {"geometry", "core", "longdwm_env", "models", "training", "agents", "evaluation", "examples"},
    "evaluation": {"geometry", "core", "longdwm_env", "models", "training", "agents", "evaluation"},
    "cli": {"geometry", "core", "longdwm_env", "models", "training", "agents", "evaluation", "cli"},
}
"""Which layers a layer may import."""

CORE = {"clock", "types", "values", "errors", "timing", "io.files", "io.hashing"}
"""The values below everything."""

FACTORY = "longdwm_env.factory"
ENVIRONMENT = {"longdwm_env.env", "longdwm_env.vector_env", "longdwm_env.episode", "longdwm_env.imagine"}

MAY_USE_TORCH = (
    "longdwm_env.models",
    "longdwm_env.training",
    "longdwm_env.agents",
    "longdwm_env.evaluation",
    "longdwm_env.cli",
    "examples",
)
TORCH_FILES = {"longdwm_env.factory"}
TORCH_PACKAGES = {"torch", "diffusers", "transformers", "accelerate", "torchmetrics", "torchvision"}


def modules():
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def layer(name):
    """The layer of a module of the house, or None."""
    parts = name.split(".")
    if parts[0] == "examples":
        return "examples"
    if parts[0] != "longdwm_env":
        return None
    if len(parts) == 1:
        return "longdwm_env"
    if parts[1] in ("models", "training", "agents", "geometry", "evaluation", "cli"):
        return parts[1]
    return "core" if ".".join(parts[1:3]) in CORE or parts[1] in CORE else "longdwm_env"


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(name, path, top_level_only=False):
    """Every module that a file imports: the names it writes, and the submodules that it takes from a package."""
    return tuple(imported(name, parsed(path), top_level_only))


def imported(name, tree, top_level_only):
    nodes = top_level(tree) if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names if f"{node.module}.{a.name}" in MODULES)


def top_level(tree):
    """The statements that run when a module is imported."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.excepthandler)]


def test_layers_import_only_what_is_below_them():
    """The factory joins the layers; the package itself is every name's parent: what counts is what is taken from it."""
    wrong = [
        f"{name} ({layer(name)}) imports {imported} ({layer(imported)})"
        for name, path in MODULES.items()
        if name != FACTORY
        for imported in imports(name, path)
        if imported != "longdwm_env" and layer(imported) not in (None, *BELOW[layer(name)])
    ]
    assert wrong == []


def test_there_are_no_circles():
    """Not even inside functions or for type checkers: who needs a record imports it from a file below.

    The package's own ``__init__`` is left out, which gives names of modules above, and the factory, which joins the
    environment to models by their names.
    """
    left = {
        name: {one for one in imports(name, path) if one in MODULES} - {name, "longdwm_env"} - set(parents(name))
        for name, path in MODULES.items()
        if name not in ("longdwm_env", FACTORY)
    }
    while free := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in free:
            del left[name]
    needed_by_others = set().union(*left.values())
    assert not left, f"these import one another: {sorted(left.keys() & needed_by_others)}"


def parents(name):
    """The packages that a module stands in."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


MOST_FILES = 15


def test_no_folder_is_too_full():
    folders = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    full = {str(folder): count for folder, count in folders.items() if count > MOST_FILES}
    assert not full, "group their files in folders"


SAME_NAMES = {
    "world": "the protocol of every world, and the generative one",
    "policy": "the protocol of every policy, and the cloned one",
    "train": "the commands, and the compositor's own loop",
    "config": "a training run's, and the compositor's",
}
"""Files of different folders that have one name for different things, and which those are."""


def test_a_file_name_stands_for_one_thing():
    names = Counter(name.rpartition(".")[2] for name, path in MODULES.items() if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} == set(SAME_NAMES), "name files for what is in them"


def test_only_the_factory_joins_the_environment_to_models_and_only_inside_functions():
    for imported in imports(FACTORY, MODULES[FACTORY], top_level_only=True):
        assert layer(imported) not in ("models", "training", "agents"), imported


def test_training_never_imports_the_environment():
    for name, path in MODULES.items():
        if layer(name) == "training":
            assert not ENVIRONMENT & set(imports(name, path)), name


LIGHT = {
    "longdwm_env.training.stage_list",
    "longdwm_env.agents.driving.engine.drive_options",
    "longdwm_env.agents.policy_spec",
    "longdwm_env.evaluation.policies.evaluation_config",
}
"""Lists and options that commands take theirs from: they import nothing but errors, words and values."""


def test_commands_import_their_work_inside_functions():
    for name in LIGHT:
        needed = {imported for imported in imports(name, MODULES[name]) if layer(imported) is not None}
        assert needed - LIGHT <= {"longdwm_env.errors", "longdwm_env.io.words", "longdwm_env.types"}
    for name, path in MODULES.items():
        if layer(name) == "cli":
            for imported in set(imports(name, path, top_level_only=True)) - LIGHT:
                assert layer(imported) in (None, "cli", "core", "longdwm_env", "geometry"), f"{name} imports {imported}"
                assert imported.split(".")[0] not in TORCH_PACKAGES, f"{name} imports {imported}"


def test_torch_is_touched_only_where_it_may_be():
    for name, path in MODULES.items():
        if name.startswith(MAY_USE_TORCH) or name in TORCH_FILES:
            continue
        used = {imported.split(".")[0] for imported in imports(name, path)} & TORCH_PACKAGES
        assert not used, f"{name} imports {used}"


PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
EVALUATING = {"torch.load", "torch.save", "eval", "exec"}


def test_nothing_is_pickled_and_nothing_is_evaluated():
    wrong = []
    for name, path in MODULES.items():
        wrong += [f"{name}: {imported}" for imported in imports(name, path) if imported.split(".")[0] in PICKLING]
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                wrong += [f"{name}: {called}" for called in [name_called(node.func)] if called in EVALUATING]
                for keyword in node.keywords:
                    if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) == "True":
                        wrong.append(f"{name}: allow_pickle")
    assert wrong == []


def name_called(function):
    """``f`` or ``module.f``, as far as a call is written that way."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else None


MOST_LINES_WITH_ANY = 150


def test_any_does_not_grow_back():
    """It is for what comes from outside, JSON above all; what is only handed on is ``object``."""
    lines = (line for path in MODULES.values() for line in path.read_text(encoding="utf-8").splitlines())
    assert sum(re.search(r"\bAny\b", line) is not None for line in lines) <= MOST_LINES_WITH_ANY


def test_importing_the_package_is_light():
    heavy = ("torch", "diffusers", "transformers", "scipy", "cv2", "highway_env", "pygame", "av", "tyro", "matplotlib")
    program = f"import sys, longdwm_env; print([name for name in {heavy!r} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert printed.stdout.strip() == "[]"


def test_driving_the_worlds_that_need_no_learning_does_not_import_torch():
    program = """
import sys, gymnasium, longdwm_env
for world in ("warp", "simulator"):
    env = gymnasium.make("LongDWM-v0", world=world, action_mode="command", image_size=(24, 36))
    env.reset(seed=0)
    env.step(0)
    assert "torch" not in sys.modules, world
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_public_names_exist():
    import longdwm_env

    for name in longdwm_env.__all__:
        assert getattr(longdwm_env, name) is not None
        assert name in dir(longdwm_env)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = longdwm_env.nonsense

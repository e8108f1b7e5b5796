"""How a policy is named on the command line, and made from its name.

- ``idm``, ``mppi:samples=64``: one of ours, with parameters.
- ``package.module:factory`` or ``path/to/file.py``: yours. The factory is called with a ``PolicyContext`` and the
  parameters; a file has a function ``make_policy`` or a class ``Policy``.
- ``model.safetensors``: a policy saved by ``agents.cloning`` or ``agents.sb3``.
- ``ws://host:port``: a policy that ``longdwm serve-policy``, or a program of your own, serves.

After the name come parameters, ``:key=value,key=value``. Any policy takes ``noise``, ``delay``, ``aggression``,
``degrade_seed`` and ``blind`` (see ``degraded``), and ``action_mode`` and ``obs_mode``, which say what environment it
wants.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from longdwm_env.agents.policy import Policy, PolicyContext
from longdwm_env.agents.policy_spec import DEGRADATIONS, ENVIRONMENT, REGISTRY, EnvironmentNeeds, PolicySpec, allowed
from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.io.words import clean

PolicyFactory = Callable[..., Policy]
Made = TypeVar("Made")


def environment_needs(spec: PolicySpec) -> EnvironmentNeeds:
    """What environment to make for a policy: what its name says, else what its saved file says.

    Raises:
        InvalidConfig: the saved file cannot be read.
    """
    stored = EnvironmentNeeds()
    if spec.target.endswith(".safetensors"):
        from longdwm_env.agents.saved import read_header

        header = read_header(Path(spec.target))
        stored = EnvironmentNeeds(header.action_mode, header.obs_mode)
    elif spec.is_remote:
        from longdwm_env.agents.remote.client import ask_needs

        stored = ask_needs(spec)
    return EnvironmentNeeds(spec.needs.action_mode or stored.action_mode, spec.needs.obs_mode or stored.obs_mode)


def make_policy(spec: PolicySpec | str, context: PolicyContext) -> Policy:
    """Make the policy that a name calls for.

    Raises:
        InvalidConfig: no such policy, or parameters that it does not have; the message says what exists.
        MissingDependency: the policy needs a package that is not installed.
    """
    spec = PolicySpec.parse(spec) if isinstance(spec, str) else spec
    policy = _call(spec, _factory(spec), context)
    if not isinstance(policy, Policy):
        raise InvalidConfig(f"policy {spec.text!r} gave a {type(policy).__name__}, which has no reset and act")
    faults = dict(spec.degradations)
    if faults:
        from longdwm_env.agents.policies.degraded import Blind, Degradation, Degraded

        blind = faults.pop("blind", False)
        if not isinstance(blind, bool):
            raise InvalidConfig(f"policy {spec.text!r}: blind is true or false, got {blind!r}")
        policy = Blind(policy) if blind else policy
        policy = Degraded(policy, context, _checked(spec, Degradation, faults)) if faults else policy
    return policy


def _factory(spec: PolicySpec) -> PolicyFactory:
    target = spec.target
    if spec.is_remote:
        from longdwm_env.agents.remote.client import RemotePolicy

        return lambda context, **parameters: RemotePolicy(target, context, **parameters)
    if target in REGISTRY:
        module, _, name = REGISTRY[target].partition(":")
        return cast(PolicyFactory, vars(importlib.import_module(f"longdwm_env.agents.policies.{module}"))[name])
    if target.endswith(".safetensors"):
        return lambda context, **parameters: load_policy(Path(target), context, **parameters)
    if target.endswith(".zip"):
        raise InvalidConfig(
            f"policy {target!r}: stable-baselines3's zip files hold pickled objects, which this project never loads. "
            "Save the policy with longdwm_env.agents.sb3.save_policy(model, 'model.safetensors') where you trained it, "
            "and name that file"
        )
    if target.endswith(".py"):
        return _in_file(Path(target))
    if ":" in target:
        module, _, name = target.partition(":")
        if module in REGISTRY:
            raise InvalidConfig(f"policy {spec.text!r}: {name!r} is not key=value; write {module}:key=value,key=value")
        return _attribute(_imported(spec, module), name, spec)
    raise InvalidConfig(f"there is no policy {target!r}; {allowed()}")


def load_policy(path: Path, context: PolicyContext, **parameters: Any) -> Policy:
    """The saved policy, ready to drive.

    Raises:
        InvalidConfig: the file cannot be read, or was made for another environment.
        MissingDependency: it needs a package that is not installed.
    """
    from longdwm_env.agents.saved import read_header

    header = read_header(path)
    if header.action_mode != context.action_mode:
        raise InvalidConfig(f"{path} acts in action_mode={header.action_mode!r}, here it is {context.action_mode!r}")
    if header.kind == "cloned":
        from longdwm_env.agents.cloning.policy import ClonedPolicy

        return ClonedPolicy.load(path, context, **parameters)
    from longdwm_env.agents.sb3 import Sb3Policy

    return Sb3Policy.load(path, context, **parameters)


def _imported(spec: PolicySpec, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        prefix = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        raise InvalidConfig(f"policy {spec.text!r}: cannot import {module!r}: {prefix}{clean(error)}") from error


def _attribute(module: ModuleType, name: str, spec: PolicySpec) -> PolicyFactory:
    found = vars(module).get(name)
    if not callable(found):
        public = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise InvalidConfig(
            f"policy {spec.text!r}: {module.__name__} has no function or class {name!r}; it has {public}"
        )
    return cast(PolicyFactory, found)


def _in_file(path: Path) -> PolicyFactory:
    try:
        there = path.is_file()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise InvalidConfig(f"policy {str(path)[:200]!r} cannot be a file: {clean(error, 100)}") from error
    if not there:
        raise InvalidConfig(f"policy {str(path)!r}: there is no such file")
    name = f"longdwm_policy_{abs(hash(str(path.resolve())))}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise InvalidConfig(f"policy {str(path)!r} is not a Python file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file does when it is run
        raise InvalidConfig(
            f"policy {str(path)!r}: running the file failed: {type(error).__name__}: {clean(error)}"
        ) from error
    for wanted in ("make_policy", "Policy"):
        if callable(vars(module).get(wanted)):
            return cast(PolicyFactory, vars(module)[wanted])
    raise InvalidConfig(f"policy {str(path)!r} has neither a function make_policy(context) nor a class Policy")


def _call(spec: PolicySpec, factory: PolicyFactory, context: PolicyContext) -> Policy:
    _check_names(spec, factory, 1, spec.parameters)
    try:
        return factory(context, **spec.parameters)
    except LongDWMError:
        raise
    except (Exception, SystemExit) as error:  # the factory is the user's
        prefix = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
        raise InvalidConfig(f"policy {spec.text!r} cannot be made: {prefix}{clean(error)}") from error


def _checked(spec: PolicySpec, kind: Callable[..., Made], values: Mapping[str, object]) -> Made:
    try:
        return kind(**values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidConfig(f"policy {spec.text!r}: {error}") from error


def _check_names(spec: PolicySpec, factory: PolicyFactory, given: int, values: Mapping[str, object]) -> None:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a builtin says nothing about its parameters; the call will
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    unknown = [key for key in values if key not in parameters]
    if unknown:
        allowed = [*list(parameters)[given:], *DEGRADATIONS, *ENVIRONMENT]
        raise InvalidConfig(f"policy {spec.text!r} has no parameter {unknown[0]!r}; there are {', '.join(allowed)}")

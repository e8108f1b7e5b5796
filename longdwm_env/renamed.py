"""Modules under the names that they had before: saved pipelines name their classes by module, and documents did."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

RENAMED = {
    "longdwm_env.agents.evaluation": "longdwm_env.evaluation.policies",
    "longdwm_env.agents.evaluation.statistics": "longdwm_env.evaluation.policies.scene_statistics",
    "longdwm_env.driven": "longdwm_env.episodes.transition",
    "longdwm_env.figures": "longdwm_env.io.figures",
    "longdwm_env.files": "longdwm_env.io.files",
    "longdwm_env.frames": "longdwm_env.episodes.lazy_frames",
    "longdwm_env.models.composition": "longdwm_env.models.closed_loop.composition",
    "longdwm_env.models.dit": "longdwm_env.models.network.dit",
    "longdwm_env.models.inverse_dynamics": "longdwm_env.models.readers.inverse_dynamics",
    "longdwm_env.models.mini_codec": "longdwm_env.models.codec.mini_codec",
    "longdwm_env.models.peers": "longdwm_env.evaluation.peers",
    "longdwm_env.models.scorer": "longdwm_env.models.readers.scorer",
    "longdwm_env.models.text": "longdwm_env.models.conditioning.text",
    "longdwm_env.settings": "longdwm_env.env_options",
    "longdwm_env.training.decoder": "longdwm_env.training.assembly.decoder",
    "longdwm_env.training.few_steps": "longdwm_env.training.assembly.few_steps",
    "longdwm_env.training.order": "longdwm_env.training.assembly.order",
    "longdwm_env.video": "longdwm_env.io.video",
}


class _Renamed(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in RENAMED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(RENAMED[spec.name])
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the old name's spec into the module.
        module.__spec__ = self._spec


def answer_to_old_names() -> None:
    """Make Python find modules under their old names."""
    sys.meta_path.insert(0, _Renamed())

"""A diffusers pipeline on disk and on the hub: weights are safetensors and finite, and never pickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import is_accelerate_available
from torch import Tensor

from longdwm_env.io.files import atomic_write_bytes
from longdwm_env.models import card
from longdwm_env.models.folder import check_components_finite, check_finite, module_weights
from longdwm_env.models.settings import LongDWMSettings


class SafetensorsPipeline(DiffusionPipeline):
    """What ``LongDWMPipeline`` does with files."""

    @property
    def settings(self) -> LongDWMSettings:
        """What generation needs beside the weights."""
        return LongDWMSettings.from_json(self.config.settings)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: object) -> Self:
        """As in diffusers, but safetensors alone: a pickle is never loaded.

        Raises:
            ValueError: ``use_safetensors=False`` is asked for.
            MissingWeights: a weight is not a finite number.
        """
        if not kwargs.setdefault("use_safetensors", True):
            raise ValueError("weights are loaded from safetensors alone")
        if not is_accelerate_available():
            # What diffusers would do anyhow, after a warning. accelerate comes with the training extra alone.
            kwargs.setdefault("low_cpu_mem_usage", False)
        # Tables that are computed, not stored, would come to lie on the default device of the caller, "meta" even.
        with torch.device("cpu"):
            pipeline: Self = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        for component in pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                # Read from a file, weights lie at any address, and matrix kernels round by alignment: copied to memory
                # of PyTorch's own, they give the same bits at every loading.
                for tensor in (*component.parameters(), *component.buffers()):
                    tensor.data = tensor.data.clone()
        check_components_finite(pipeline.components, pretrained_model_name_or_path)
        return pipeline

    def save_pretrained(self, save_directory: str | Path, *args: object, **kwargs: object) -> None:
        """As in diffusers, and a file by which diffusers finds this class (``card.OPENER``)."""
        atomic_write_bytes(Path(save_directory) / card.OPENER, card.OPENER_TEXT.encode())
        super().save_pretrained(str(save_directory), *args, **kwargs)

    def _upload_folder(self, working_dir: str | Path, repo_id: str, *args: object, **kwargs: object) -> object:
        """Both ways to the hub end here: the card is written unless there is one already."""
        readme = Path(working_dir) / card.CARD
        if card.is_unwritten(readme):
            card.hub_card(self, self.settings, repo_id).save(readme)
        return super()._upload_folder(working_dir, repo_id, *args, **kwargs)

    def load_lora_weights(
        self,
        weights: str | Path | Mapping[str, Tensor],
        component: Literal["coarse", "fine"],
        adapter_name: str | None = None,
        **kwargs: object,
    ) -> None:
        """Load a LoRA into one transformer; needs the package peft.

        Args:
            weights: a folder, a hub id or a state dictionary, as in diffusers' ``load_lora_adapter``.
            component: which transformer.
            adapter_name: what to call it.
            kwargs: as in ``load_lora_adapter``.
        """
        kwargs.setdefault("prefix", None)
        kwargs.setdefault("use_safetensors", True)
        transformer = getattr(self, component)
        transformer.load_lora_adapter(weights, adapter_name=adapter_name, **kwargs)
        check_finite(module_weights(transformer), f"{component} with this LoRA")

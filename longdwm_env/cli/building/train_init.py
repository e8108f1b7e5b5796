"""``longdwm train init``: Coarse and Fine starting points from a CogVideoX checkpoint."""

from pathlib import Path

from longdwm_env.cli.destination import holding_its


@holding_its("folder")
def train_init(from_cogvideox: Path, out: Path = Path("outputs/longdwm-init"), link: bool = False) -> int:
    """Turn a CogVideoX text-to-video folder into a LongDWM pipeline whose models say what the original says.

    Args:
        from_cogvideox: Folder that diffusers' CogVideoXPipeline was saved to (CogVideoX-2B, safetensors).
        out: Folder to write; must not exist yet.
        link: Hard-link autoencoder and text encoder instead of copying them (same disk only).
    """
    from longdwm_env.models.network.init_from_cogvideox import init_from_cogvideox

    print(f"{init_from_cogvideox(from_cogvideox, out, link=link)}: Coarse and Fine start as {from_cogvideox}")
    return 0

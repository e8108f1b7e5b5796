"""``longdwm data annotate``: captions in the four-line form, by LLaVA-NeXT-Video."""

from pathlib import Path
from typing import Annotated

import tyro

from longdwm_env.cli.destination import holding_its


@holding_its("file")
def annotate(
    path: Annotated[Path, tyro.conf.Positional],
    model: Path,
    out: Path = Path("captions.json"),
    batch_size: int = 4,
    most: int | None = None,
    device: str | None = None,
    max_new_tokens: int = 256,
) -> int:
    """Describe weather, time, road and critical objects of each scene; run it again to go on where it stopped.

    Args:
        path: A nuScenes dataroot, a video, or a folder of images or videos.
        model: Folder with LLaVA-NeXT-Video's weights and tokenizer (safetensors).
        out: JSON file to write, scene key to caption; captions that it already holds are kept.
        batch_size: Scenes at once.
        most: Caption no more than this many scenes; default all.
        device: Where to run, such as cuda; default a GPU where there is one.
        max_new_tokens: Longest answer in tokens.
    """
    from tqdm import tqdm

    from longdwm_env.models.readers.captioning import Annotator
    from longdwm_env.models.readers.captioning import annotate as caption
    from longdwm_env.scenes import open_scenes

    scenes = open_scenes(path)
    annotator = Annotator.from_pretrained(model, device, max_new_tokens)
    count = len(scenes) if most is None else min(most, len(scenes))
    with tqdm(total=count, unit="caption", desc="captions") as bar:
        captions = caption(scenes, annotator, out, range(count), batch_size, lambda done: bar.update(done - bar.n))
    print(f"{out}: {len(captions)} captions")
    return 0

"""Saved pipelines from strangers: a world comes of them that drives, or an error of our own that names what is wrong.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many (CONTRIBUTING.md), from case ``LONGDWM_FUZZ_FIRST`` on.
"""

import json
import os
import random
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longdwm_env.env import LongDWMEnv
from longdwm_env.errors import InvalidState, LongDWMError, MissingWeights
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.folder import folder_parameters
from longdwm_env.models.saved_pipelines import made_sizes
from longdwm_env.models.world import DiffusionWorld

from ..agents.damage import anything, changed
from .test_peers import words

CASES = int(os.environ.get("LONGDWM_FUZZ_CASES", "16"))
FIRST = int(os.environ.get("LONGDWM_FUZZ_FIRST", "0"))
AHEAD = np.array([[3.0, 0], [6, 0], [9, 0], [12, 0]])
FLOATS = (float("nan"), float("inf"), 3e38, -3e38, 1e-40)
KINDS = (torch.int64, torch.bool, torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.float8_e4m3fn)
NAMES = ("../secret.safetensors", "/secret", "..", ".", "", "\0", "é" * 300, "a/b", "x.bin", "other.safetensors")
INDEX = "diffusion_pytorch_model.safetensors.index.json"


@pytest.fixture(scope="module")
def folders(built, tmp_path_factory):
    """Both kinds of pipelines, with all parts that they may have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mini, large = built("debug"), built("debug-cogvideox")
        mini.register_modules(compositor=Compositor(text_dim=80, widths=(8, 8, 8), depths=(1, 1, 1)).eval())
        large.register_modules(tokenizer=words())
        large.register_modules(small_decoder=SmallDecoder(large.vae.config.latent_channels, (8, 8, 8, 8)).eval())
    made = []
    for name, pipeline in (("mini", mini), ("large", large)):
        made.append(tmp_path_factory.mktemp("whole") / name)
        pipeline.save_pretrained(made[-1])
    return made


def driven(folder: Path) -> np.ndarray:
    """The first frame of a drive in the world that a folder holds."""
    world = DiffusionWorld.from_pretrained(folder, device="cpu")
    env = LongDWMEnv(world, obs_mode="frame", control_period_s=1 / 12)
    env.reset(seed=3)
    return env.step(AHEAD)[0]


def damage(chance: random.Random, folder: Path) -> str:
    """Change something in a folder; returns what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")
    tables = [path for path in files if path.suffix == ".json"]
    weights = [path for path in files if path.suffix == ".safetensors"]
    if not (tables and weights):
        return "no more"
    path = chance.choice(files)
    way = chance.randrange(8)
    if way <= 1:
        path = chance.choice(tables)
        with suppress(ValueError):
            value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
            path.write_text(json.dumps(changed(chance, value)), encoding="utf-8", errors="surrogatepass")
    elif way == 2:
        data = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 4)):
            if data:
                # Heads say what follows.
                data[chance.randrange(min(len(data), chance.choice([16, 600, len(data)])))] = chance.randrange(256)
        path.write_bytes(bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.2 else data))
    elif way == 3:
        path = chance.choice(weights)
        with suppress(Exception):
            save_file(with_odd_tensor(chance, load_file(path)), path, metadata={"format": chance.choice(["pt", "x"])})
    elif way == 4:
        shutil.rmtree(path.parent) if chance.random() < 0.2 and path.parent != folder else path.unlink()
    elif way == 5:
        where, name = chance.choice([folder, path.parent]), chance.choice([*NAMES[7:], "config.json", INDEX])
        with suppress(OSError):
            (where / name.rpartition("/")[2]).mkdir()
        with suppress(OSError):
            (where / name.rpartition("/")[2]).write_bytes(chance.choice([b"", b"{}", b"[]", b"\x80\x04.", b"null"]))
    elif way == 6:
        path.unlink()
        away = chance.choice(
            [folder.parent / "secret", "/dev/zero", path.name, "nowhere", folder, chance.choice(files)]
        )
        os.mkfifo(path) if chance.random() < 0.2 else path.symlink_to(away)
    else:
        path = chance.choice(weights).parent / INDEX
        shards = {f"w{number}": chance.choice([*NAMES, path.name, anything(chance)]) for number in range(3)}
        text = json.dumps({"metadata": {}, "weight_map": shards if chance.random() < 0.8 else anything(chance)})
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return f"way {way} at {path.relative_to(folder)}"


def with_odd_tensor(chance, tensors):
    name = chance.choice(sorted(tensors))
    tensor, way = tensors[name].clone(), chance.randrange(6)
    if way == 0 and tensor.is_floating_point() and tensor.numel():
        tensor.view(-1)[chance.randrange(tensor.numel())] = chance.choice(FLOATS)
    elif way == 1 and tensor.is_floating_point():
        tensor[...] = chance.choice(FLOATS)
    elif way == 2:
        tensor = tensor.reshape(chance.choice([(-1,), (1, -1), (*tensor.shape, 1)]))
    elif way == 3:
        tensor = tensor.to(chance.choice(KINDS))
    elif way == 4:
        return {**{key: each for key, each in tensors.items() if key != name}, name + ".x": tensor}
    else:
        tensor = chance.choice([tensor[:0], tensor.repeat(2, *[1] * (tensor.dim() - 1)), torch.zeros(())])
    return {**tensors, name: tensor.contiguous()}


@pytest.mark.filterwarnings("ignore")
def test_strange_folders_are_driven_in_or_refused(folders, tmp_path):
    refused = 0
    for number in range(FIRST, FIRST + CASES):
        chance, folder = random.Random(number), tmp_path / "world"
        (tmp_path / "secret").write_bytes(b"secret")
        shutil.copytree(folders[number % 2], folder)
        done = [damage(chance, folder) for _ in range(chance.choice([1, 1, 2]))]
        try:
            assert driven(folder).dtype == np.uint8
        except LongDWMError as error:
            str(error).encode("utf-8")
            refused += 1
        except Exception as error:
            raise AssertionError(f"case {number}: {done}") from error
        with suppress(LongDWMError):
            made_sizes(folder)
            folder_parameters(folder)
        shutil.rmtree(folder)
    assert 0 < refused < CASES


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scheduler/scheduler_config.json", {"timestep_spacing": 1}),
        ("coarse/config.json", {"max_text_seq_length": 226}),
    ],
)
def test_a_configuration_that_loads_and_cannot_be_computed_with_is_named(folders, tmp_path, name, change):
    """It was whatever a library raised, in the middle of the first second."""
    folder = tmp_path / "world"
    shutil.copytree(folders[0], folder)
    config = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**config, **change}))
    with pytest.raises(MissingWeights, match="damaged"):
        driven(folder)


def test_bad_input_is_not_laid_to_a_whole_pipeline(folders):
    world = DiffusionWorld.from_pretrained(folders[0], device="cpu")
    env = LongDWMEnv(world, obs_mode="frame")
    env.reset(seed=3)
    state = env.get_state()
    arrays = {**state.world_state.arrays, "frames": np.zeros((1, 4, 4), np.uint8)}
    env.set_state(replace(state, world_state=replace(state.world_state, arrays=arrays)))
    with pytest.raises(InvalidState):
        env.step(AHEAD)
    with pytest.raises(ValueError, match="camera"):
        world.begin(replace(env.scene, camera=None), 0)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("name", ["coarse/diffusion_pytorch_model.safetensors", "coarse/generation_config.json"])
def test_what_is_no_file_is_never_waited_for(folders, tmp_path, make, name):
    """A pipe in the place of weights was read for ever."""
    folder = tmp_path / "world"
    shutil.copytree(folders[0], folder)
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    if make is Path.mkdir and "generation" in name:
        DiffusionWorld.from_pretrained(folder, device="cpu")
        return
    with pytest.raises(MissingWeights, match=name):
        DiffusionWorld.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("name", ["../secret.safetensors", "/secret", "", "nul\0", None])
def test_shards_lie_in_their_folder(folders, tmp_path, name):
    folder = tmp_path / "world"
    shutil.copytree(folders[0], folder)
    shutil.copy(folder / "vae" / "diffusion_pytorch_model.safetensors", folder / "secret.safetensors")
    (folder / "vae" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"a": name, "b": 3}}))
    with pytest.raises(MissingWeights, match="lists it as a part of the weights"):
        DiffusionWorld.from_pretrained(folder, device="cpu")


def test_a_world_needs_words(cogvideox_pipeline, tmp_path):
    """A drive in it was ended by a ValueError that asks for ``prompt_embeds``, which no drive has."""
    cogvideox_pipeline.save_pretrained(tmp_path)
    with pytest.raises(MissingWeights, match="no tokenizer"):
        driven(tmp_path)

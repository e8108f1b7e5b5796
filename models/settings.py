"""Configuration as frozen values: what a pipeline remembers beside its weights, and what the paper leaves open."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from longdwm_env import clock
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.sweep import SweepSettings
from longdwm_env.geometry.warp import WarpSettings
from longdwm_env.models import limits
from longdwm_env.types import ImageSize, JsonObject

WarpVariant = Literal["plane", "ground"]
Prompts = Literal["text", "conditions"]


@dataclass(frozen=True)
class LongDWMSettings:
    """What generation needs beside the weights; saved in the pipeline's ``model_index.json``.

    Attributes:
        image_size: (height, width) of the frames in pixels.
        keyframes: K of the paper: most keyframes in one pass of the Coarse model, history included.
        history_keyframes: most clean history keyframes that a closed loop shows the Coarse model, the present one
            included. Open in the paper, which always starts from one. 4 lets the model see speeds and accelerations of
            others and keeps a closed-loop pass short.
        coarse_steps: denoising steps of the Coarse model. Not given in the paper.
        fine_steps: denoising steps of the Fine model. Not given in the paper.
        guidance_scale: classifier-free guidance on the text; 1 switches it off (half the cost). Not given in the paper.
        warp_variant: ``"plane"`` is Eq. 9; ``"ground"`` uses the ground plane where it is nearer than the plane.
        warp_depth_m: d of Eq. 9. Not given in the paper; 35 m is best or nearly best on every moving clip that was
            measured (docs/decisions/warp-variant.md).
        coarse_warp_horizon_s: how far ahead a keyframe is warped. Beyond it one depth for all pixels explains nothing
            (the car has passed the plane), so the last warp is repeated and marked as no guidance.
        backward_warp: also warp the next keyframe back onto the frames of the clip, as a second view for the Fine
            model. Deviation: the paper warps from the first frame only. It gives sharp pixels to interpolate from.
        matched_sweep: give the models, in place of the warp, a picture put together from many planes, each where it
            explains how the picture moved before (geometry/sweep.py); the warp becomes a further view. None for the
            warp alone. Deviation: the paper has one depth for all pixels.
        coarse_sweep: further planes through which the present keyframe is warped, as more views for the Coarse model:
            pairs of a depth in metres and the most that the plane may grow. Deviation: the paper has one depth. With a
            sweep the model need not move what stands beside the road or drives ahead, only choose the plane that
            moved it right (plane sweep, Collins 1996).
        held_ends: give the Fine model, as two more views, the end frames as they are at every moment: what drives ahead
            at our own speed looks alike in both. Costs nothing.
        road_layout: give both models, as one more view, what the scene's road map says is painted where
            (geometry/layout.py), where there is a map. Deviation: the paper has no map. Without one, nothing tells a
            model that looks four seconds back where a lane leads that has not come into view yet.
        move_vehicles: in the views of the Coarse model other road users are moved as they move, not as the world goes
            by (geometry/moved.py), where their boxes are known. Deviation: the paper warps everything alike. Without
            it, vehicles stand in wrong places, and the mean of all places is a smear.
        compose_without_map: whether a compositor, where the pipeline has one, also makes frames where no map is known;
            else the Fine model does. A compositor that has seen few photographs draws houses of its own into them.
        sky_memory: whether a compositor's sky is remembered by direction (closed_loop/sky_memory.py), where the map
            knows what stands before it; else it is made anew each second, and clouds fade. Deviation: the paper has no
            map.
        street_without_map: where neither a map nor other road users are known, and no compositor works, a drive carries
            on the street of its first picture (geometry/street_view.py) instead of asking the models. For those that
            have seen no real road: from a photograph they are a blur after two seconds.
        prompts: what the model knows of a prompt: ``"text"``, all of it; ``"conditions"``, weather and time of day,
            which are brought into the words that it was trained on (``text.known_prompt``).
    """

    image_size: ImageSize
    keyframes: int = 13
    history_keyframes: int = 4
    coarse_steps: int = 2
    fine_steps: int = 1
    guidance_scale: float = 1.0
    warp_variant: WarpVariant = "plane"
    warp_depth_m: float = 35.0
    coarse_warp_horizon_s: float = clock.HORIZON_S
    backward_warp: bool = False
    matched_sweep: SweepSettings | None = None
    coarse_sweep: tuple[tuple[float, float], ...] = ()
    held_ends: bool = False
    road_layout: bool = False
    move_vehicles: bool = False
    compose_without_map: bool = True
    sky_memory: bool = False
    street_without_map: bool = False
    prompts: Prompts = "text"

    def __post_init__(self) -> None:
        limits.check(self, limits.SETTINGS)
        object.__setattr__(self, "image_size", limits.image_size(self.image_size))
        if self.history_keyframes + 1 > self.keyframes:
            raise InvalidConfig(
                f"history_keyframes={self.history_keyframes} must leave room for a new one among {self.keyframes}"
            )
        for name, kind in (("warp_variant", WarpVariant), ("prompts", Prompts)):
            if getattr(self, name) not in get_args(kind):
                raise InvalidConfig(f"{name} is one of {get_args(kind)}, got {getattr(self, name)!r}")
        object.__setattr__(self, "matched_sweep", limits.sweep(self.matched_sweep))
        if (self.matched_sweep is not None or self.held_ends) and not self.backward_warp:
            raise InvalidConfig(
                "matched_sweep and held_ends look from both ends of a second, so they need backward_warp"
            )
        if self.road_layout and self.backward_warp and self.matched_sweep is None and not self.held_ends:
            raise InvalidConfig(
                "road_layout beside backward_warp needs matched_sweep or held_ends, which fix its place"
            )
        object.__setattr__(self, "coarse_sweep", limits.planes("coarse_sweep", self.coarse_sweep))

    @property
    def warp(self) -> WarpSettings:
        """Settings of the depth-free warp."""
        return WarpSettings(variant=self.warp_variant, depth_m=self.warp_depth_m)

    @property
    def warp_views(self) -> tuple[int, int]:
        """How many views the Coarse and the Fine model are given."""
        matched = self.matched_sweep is not None
        coarse = 1 + matched + len(self.coarse_sweep) + self.road_layout
        return coarse, 1 + self.backward_warp + matched + 2 * self.held_ends + self.road_layout

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        return {**asdict(self), "image_size": list(self.image_size)}

    @classmethod
    def from_json(cls, values: JsonObject) -> "LongDWMSettings":
        """From what ``to_json`` gave.

        Raises:
            InvalidConfig: a field is unknown, missing or out of range.
        """
        if not isinstance(values, Mapping):
            raise InvalidConfig(f"settings are a table of names and values, got {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(str(name) for name in values if name not in known):
            raise InvalidConfig(f"unknown settings {unknown}; there are {sorted(known)}")
        if "image_size" not in values:
            raise InvalidConfig("settings need an image_size, (height, width)")
        return cls(**values)


@dataclass(frozen=True)
class OpenChoices:
    """What the paper leaves open about training, each with a default and its reason.

    Attributes:
        structure_weight: beta_s of Eq. 5. The high-pass residual holds about a tenth of the latent's energy, so 0.1
            nudges towards detail without letting the noisier term lead.
        high_pass_cutoff: radius below which H of Eq. 4 removes frequencies, as a fraction of Nyquist. 0.25 keeps
            structures finer than 8 latent cells, the scale of vehicles and lane lines.
        last_frame_drop_ratio: how often the Fine model trains without the last frame (Eq. 6, "a fixed ratio"). 0.3:
            most rollouts interpolate, and prediction is learnt along.
        text_drop_ratio: how often the prompt is emptied, which classifier-free guidance needs; 0.1 is customary.
        warp_drop_ratio: how often the warp is left out, so that the model also works without a trajectory; 0.1.
        layout_drop_ratio: how often the road's layout is left out, so that the model also works without a map; 0.1.
        history_noise_max: the clean history is noised by a strength drawn from 0 to this. Small, because noise on the
            history was not shown to help where models are small; it must merely be able to be switched on.
        contrast_power: a sample's squared error is divided by its picture's contrast to this power; 0 for not at all,
            as in the paper, 1 so that night and rain count as much as a clear day (training/losses/objective.py).
        own_keyframes_ratio: how often the Fine model fills a gap whose later keyframe the Coarse model made, as in
            driving, and none was recorded (training/losses/own_keyframes.py); 0 for never, as in the paper.
    """

    structure_weight: float = 0.1
    high_pass_cutoff: float = 0.25
    last_frame_drop_ratio: float = 0.3
    text_drop_ratio: float = 0.1
    warp_drop_ratio: float = 0.1
    layout_drop_ratio: float = 0.1
    history_noise_max: float = 0.1
    contrast_power: float = 0.0
    own_keyframes_ratio: float = 0.0

    def __post_init__(self) -> None:
        for name in ("structure_weight", "contrast_power"):
            if getattr(self, name) < 0 or not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is a finite number of at least 0, got {getattr(self, name)}")
        ratios = [field.name for field in fields(self) if field.name.endswith("_ratio")]
        for name in ("high_pass_cutoff", *ratios):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.history_noise_max < 1:
            raise ValueError(f"history_noise_max lies in [0, 1), got {self.history_noise_max}")


@dataclass(frozen=True)
class TransformerConfig:
    """Arguments of ``LongDWMTransformer3DModel``; the defaults are CogVideoX-2B's with everything of ours off.

    The first group are CogVideoX's own, under its names. ``sample_frames`` counts video frames before temporal
    compression: for K latent frames it is ``(K - 1) * temporal_compression_ratio + 1``.

    Attributes:
        known_frames: the model receives known-frame latents and their mask.
        warp_views: how many views guide it, warped videos and others; 0 for none.
        held_views: two of the views are both end frames, held.
        layout_view: the last of the views is the road's layout, which informs the model but is no picture to mix from.
        motion: the model receives the ego motion of each latent frame.
        residual_warp: output = latent of the warp + what the network says (needs sample prediction).
        mix_views: the warp of ``residual_warp`` is a mixture of all pictures among the views, whose shares the head
            chooses for each latent; it starts as the first view. A view then reaches the output whole, without passing
            the stem.
        keep_known: known frames come back as they are; neither their warps nor the head are computed for them (needs
            sample prediction and a stem). Half the cost of a model that makes one frame of five.
        stem_channels: width of the convolutional stem and head at latent resolution; 0 for CogVideoX's bare patches.
        stem_blocks: residual blocks in the stem.
        head_blocks: residual blocks in the head.
        frames_per_token: latent frames folded into one token; the clip is padded in front by repeating its first frame.
    """

    num_attention_heads: int = 30
    attention_head_dim: int = 64
    in_channels: int = 16
    out_channels: int = 16
    time_embed_dim: int = 512
    text_embed_dim: int = 4096
    num_layers: int = 30
    sample_width: int = 90
    sample_height: int = 60
    sample_frames: int = 49
    patch_size: int = 2
    temporal_compression_ratio: int = 4
    max_text_seq_length: int = 226
    spatial_interpolation_scale: float = 1.875
    temporal_interpolation_scale: float = 1.0
    known_frames: bool = False
    warp_views: int = 0
    held_views: bool = False
    layout_view: bool = False
    motion: bool = False
    residual_warp: bool = False
    mix_views: bool = False
    keep_known: bool = False
    stem_channels: int = 0
    stem_blocks: int = 1
    head_blocks: int = 1
    frames_per_token: int = 1

    def __post_init__(self) -> None:
        limits.check(self, limits.TRANSFORMER)
        if self.residual_warp and not self.warp_views:
            raise InvalidConfig("residual_warp adds the warp to the output, so warp_views must be at least 1")
        if self.layout_view and self.warp_views < 2:
            raise InvalidConfig("the layout is a view beside the warp, so warp_views must be at least 2")
        if self.mix_views and not (self.residual_warp and self.stem_channels):
            raise InvalidConfig("mix_views is a kind of residual_warp that the stem's head chooses, so both must be on")
        if self.keep_known and not (self.stem_channels and self.known_frames):
            raise InvalidConfig("keep_known leaves out parts of the stem, so stem_channels and known_frames must be on")
        if self.frames_per_token > 1 and not self.stem_channels:
            raise InvalidConfig("frames_per_token above 1 is folded by the stem, so stem_channels must be above 0")
        if self.sample_height % self.patch_size or self.sample_width % self.patch_size:
            raise InvalidConfig(f"latents of {self.sample_height} x {self.sample_width} do not divide into patches")
        if self.dim % 16:
            raise InvalidConfig(f"positions in space and time need a width that 16 divides; heads give {self.dim}")
        if self.parameters > limits.MOST_PARAMETERS:
            raise InvalidConfig(
                f"a transformer of {self.num_layers} layers of width {self.dim} has about {self.parameters:.1e} "
                f"parameters and positions; at most {limits.MOST_PARAMETERS:.0e} are built"
            )

    @property
    def dim(self) -> int:
        """Width of a token."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def parameters(self) -> int:
        """About how many numbers the model keeps: weights, and the table of positions."""
        block = 12 * self.dim**2 + 12 * self.time_embed_dim * self.dim + bool(self.warp_views) * self.dim**2
        stem = 9 * self.stem_channels**2 * (2 * self.stem_blocks + 2 * self.head_blocks + 3)
        channels = (self.in_channels + 1) * (1 + self.known_frames + self.warp_views)
        inputs = channels * (9 * self.stem_channels + self.frames_per_token * self.patch_size**2 * self.dim)
        tokens = self.stem_channels * self.frames_per_token or max(self.in_channels, self.out_channels)
        embeddings = (2 * tokens * self.patch_size**2 + self.text_embed_dim + self.time_embed_dim) * self.dim
        frames = (self.sample_frames - 1) // self.temporal_compression_ratio + 1
        patches = frames * self.sample_height * self.sample_width // self.patch_size**2
        positions = (patches + self.max_text_seq_length) * self.dim
        return self.num_layers * block + stem + inputs + embeddings + positions

    def to_kwargs(self) -> dict[str, object]:
        """As keyword arguments of the model."""
        return asdict(self)

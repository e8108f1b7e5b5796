"""Prompts to embeddings: T5 at full size; for mini a small encoder with fixed random weights and no vocabulary."""

import zlib

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizer, PreTrainedTokenizerBase

from longdwm_env.models import limits
from longdwm_env.simulator.conditions import Conditions, caption, parts_from_prompt

PROMPT_FIELDS = 4
"""Lines of the paper's caption: Weather, Time, Road environment, Critical objects."""

_KEPT_FIELDS = ("Road environment:", "Critical objects:")
_SPECIALS = ("<pad>", "<unk>", "<line>")
_PAD_ID, _UNKNOWN_ID, _LINE_ID = range(len(_SPECIALS))


class PromptTokenizer(PreTrainedTokenizer):
    """Words to numbers without a vocabulary: a word's number is a checksum of its letters.

    Case and punctuation are ignored; a line break, and a full stop that ends one of the caption's fields, is a token of
    its own. Two words may share a number; with 2,048 of them and a few hundred words in use that is rare.

    Args:
        buckets: how many numbers words share.
        kwargs: as in ``PreTrainedTokenizer``.
    """

    num_special_words = len(_SPECIALS)
    vocab_files_names: dict[str, str] = {}  # noqa: RUF012 - transformers' own convention
    model_input_names = ["input_ids"]  # noqa: RUF012 - transformers' own convention

    def __init__(self, buckets: int = 2048, **kwargs: object) -> None:
        self.buckets = limits.whole("buckets", buckets, 1, 1 << 20)
        kwargs.setdefault("pad_token", _SPECIALS[_PAD_ID])
        kwargs.setdefault("unk_token", _SPECIALS[_UNKNOWN_ID])
        super().__init__(buckets=buckets, **kwargs)

    @property
    def vocab_size(self) -> int:
        """Numbers that occur."""
        return len(_SPECIALS) + self.buckets

    def get_vocab(self) -> dict[str, int]:
        """The tokens that have names of their own; words have none."""
        return {token: index for index, token in enumerate(_SPECIALS)}

    def _tokenize(self, text: str, **kwargs: object) -> list[str]:
        tokens: list[str] = []
        for field in _fields(text):
            if tokens:
                tokens.append(_SPECIALS[_LINE_ID])
            tokens += ["".join(c for c in word if c.isalnum()) for word in field.lower().replace("-", " ").split()]
        return [token for token in tokens if token]

    def _convert_token_to_id(self, token: str) -> int:
        if token in _SPECIALS:
            return _SPECIALS.index(token)
        return len(_SPECIALS) + zlib.crc32(token.encode()) % self.buckets

    def _convert_id_to_token(self, index: int) -> str:
        return _SPECIALS[index] if index < len(_SPECIALS) else f"<word {index - len(_SPECIALS)}>"

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Nothing is added around a prompt."""
        return token_ids_0 + (token_ids_1 or [])

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """There is none."""
        return ()


def _fields(prompt: str) -> list[str]:
    """The fields of a caption: its lines, or, where it was written on one line, the parts that begin a field."""
    marked = prompt.replace("\r", "\n")
    for name in ("Time:", "Road environment:", "Critical objects:"):
        marked = marked.replace(name, "\n" + name)
    return [line.strip() for line in marked.split("\n") if line.strip()]


def known_prompt(prompt: str) -> str:
    """Weather and time of day of any prompt in the words of the simulator's captions, and its road and objects.

    A small encoder knows the words that it was trained on and no others. What a prompt says of neither is left out.
    """
    weather, time_of_day = parts_from_prompt(prompt)
    lines = caption(Conditions(weather or "clear", time_of_day or "day"), "", "").split("\n")
    known = [line for line, said in zip(lines[:2], (weather, time_of_day), strict=True) if said is not None]
    return "\n".join(known + [field for field in _fields(prompt) if field.startswith(_KEPT_FIELDS)])


def says_conditions(prompt: str) -> bool:
    """Whether a prompt names a weather or a time of day."""
    return any(said is not None for said in parts_from_prompt(prompt))


def says_rain(prompt: str) -> bool:
    """Whether a prompt says that it rains."""
    return parts_from_prompt(prompt)[0] == "rain"


def contradicts(prompt: str, earlier: str) -> bool:
    """Whether a prompt names another weather or another time of day than an earlier one names."""
    pairs = zip(parts_from_prompt(prompt), parts_from_prompt(earlier), strict=True)
    return any(said is not None and before is not None and said != before for said, before in pairs)


class PromptEncoder(ModelMixin, ConfigMixin):
    """One embedding per field of a caption, and one of the whole: each the mean of its words, through a small network.

    Args:
        vocab_size: of the tokenizer.
        dim: D, of the embeddings.
    """

    @register_to_config
    def __init__(self, vocab_size: int = 2051, dim: int = 64) -> None:
        limits.whole("vocab_size", vocab_size, len(_SPECIALS) + 1, 1 << 20)
        limits.whole("dim", dim, 1, 4096)
        super().__init__()
        self.words = nn.Embedding(vocab_size, dim, padding_idx=_PAD_ID)
        self.places = nn.Parameter(torch.zeros(PROMPT_FIELDS + 1, dim))
        self.mix = nn.Sequential(nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))
        nn.init.normal_(self.places, std=0.5)

    def forward(self, input_ids: Tensor) -> tuple[Tensor]:
        """(B, L) token ids -> ((B, 5, D),), like a transformers encoder's first output."""
        is_line = input_ids == _LINE_ID
        is_word = ((input_ids != _PAD_ID) & ~is_line).to(self.words.weight.dtype)
        field = is_line.cumsum(dim=1).clamp(max=PROMPT_FIELDS - 1)
        places = torch.nn.functional.one_hot(field, PROMPT_FIELDS).to(is_word.dtype)
        weights = torch.cat([places, torch.ones_like(places[..., :1])], dim=-1) * is_word[..., None]
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = weights.transpose(1, 2) @ self.words(input_ids)
        return (pooled + self.mix(pooled + self.places),)


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    text_encoder: PreTrainedModel,
    prompts: list[str],
    max_tokens: int,
    device: torch.device | str | None = None,
) -> Tensor:
    """Embeddings of prompts, (B, S, D); the same call for T5 and for the small encoder.

    Args:
        tokenizer: a transformers tokenizer.
        text_encoder: what its ids go to; the first output is the embedding.
        prompts: B prompts.
        max_tokens: prompts are cut or padded to this many tokens (CogVideoX: 226).
        device: where the encoder runs; None for where its weights are.
    """
    ids = tokenizer(
        prompts,
        padding="max_length",
        max_length=max_tokens,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    ).input_ids
    return text_encoder(ids.to(text_encoder.device if device is None else device))[0]

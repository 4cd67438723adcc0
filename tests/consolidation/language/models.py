"""Tiny language models of the Transformers library, randomly initialised, and batches for them."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor

N_WORDS, PAD = 64, 0
SIZES = {"vocab_size": N_WORDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = SIZES | {"intermediate_size": 48, "num_key_value_heads": 1, "pad_token_id": PAD, "max_position_embeddings": 64}
BERT = SIZES | {"intermediate_size": 48, "max_position_embeddings": 64}
BERT |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
GPT2 = {"vocab_size": N_WORDS, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "pad_token_id": PAD}
GPT2 |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 1, "eos_token_id": 1}
FAMILIES = {"Llama": ("LlamaConfig", LLAMA), "Bert": ("BertConfig", BERT), "GPT2": ("GPT2Config", GPT2)}


def make_model(name: str, *, seed: int = 0, **options: Any) -> Any:
    """A model by the name of its class, such as LlamaForCausalLM."""
    family = next(family for family in FAMILIES if name.startswith(family))
    config, sizes = FAMILIES[family]
    torch.manual_seed(seed)
    return getattr(transformers, name)(getattr(transformers, config)(**(sizes | options)))


def make_tokens(n_items: int = 4, n_tokens: int = 9, *, seed: int = 0) -> dict[str, Tensor]:
    """Texts of different lengths, padded on the right, with their own tokens as labels."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, N_WORDS, (n_items, n_tokens), generator=generator)
    lengths = torch.randint(3, n_tokens + 1, (n_items,), generator=generator)
    lengths[0] = n_tokens
    mask = (torch.arange(n_tokens)[None] < lengths[:, None]).long()
    ids = torch.where(mask > 0, ids, PAD)
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.where(mask > 0, ids, -100)}

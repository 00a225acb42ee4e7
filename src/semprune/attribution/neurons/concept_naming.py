"""Names for groups of influential words, given by the frozen model itself: no other model is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from semprune.backbones import Backbone
from semprune.concepts import Concept

NAMING_PROMPT = (
    "Words: red, blue, green, yellow.\nTopic: colours\n\n"
    "Words: doctor, nurse, patient, clinic.\nTopic: medicine\n\n"
    "Words: {words}.\nTopic:"
)
"""Two answered examples, then the strongest words; the answer is the greedy continuation up to the line's end."""
PROMPT_WORDS = 12
ANSWER_TOKENS = 8


def name_of(lm: Backbone, words: Sequence[str]) -> str:
    """What the model calls a group of words: lower-case letters and underscores, empty where it says nothing."""
    prompt = NAMING_PROMPT.format(words=", ".join(words[:PROMPT_WORDS]))
    ids = lm.tokenizer(prompt, return_tensors="pt")["input_ids"].to(lm.device)
    greedy = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
    # always as many tokens, one sequence: nothing ends it and nothing is padded
    ending: dict[str, Any] = {"max_new_tokens": ANSWER_TOKENS, "eos_token_id": None, "pad_token_id": 0}
    with torch.no_grad():
        whole = lm.model.generate(ids, attention_mask=torch.ones_like(ids), **greedy, **ending)
    answer = str(lm.tokenizer.decode(whole[0, ids.shape[1] :])).split("\n")[0]
    return "_".join(re.findall(r"[a-z]+", answer.lower())[:3])


def named_concepts(lm: Backbone, concepts: Sequence[Concept], label: str) -> tuple[Concept, ...]:
    """Concepts under the model's names; one keeps its own where the model says nothing, or says it a second time.

    Args:
        lm: The frozen model.
        concepts: Their words, strongest first.
        label: The class that the words speak for; stays in the name.
    """
    taken: set[str] = set()
    out = []
    for concept in concepts:
        name = name_of(lm, concept.words)
        full = f"influential.{label}_{name}"
        kept = concept if not name or full in taken else replace(concept, name=full)
        taken.add(kept.name)
        out.append(kept)
    return tuple(out)

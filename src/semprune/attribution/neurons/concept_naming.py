"""Names for groups of influential words, given by the frozen model itself: no other model is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

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
    length = ids.shape[1]
    with torch.no_grad():
        for _ in range(ANSWER_TOKENS):
            logits = lm.model(input_ids=ids, use_cache=False).logits[:, -1]
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    answer = str(lm.tokenizer.decode(ids[0, length:])).split("\n")[0]
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

"""Concepts (what a text is about) and where their evidence sits among a tokenizer's tokens."""

from semprune.concepts.concept import Concept
from semprune.concepts.registry import DEFAULT_CONCEPTS, concept_names, load_concepts
from semprune.concepts.tokens.labeller import TokenLabeller

__all__ = ["DEFAULT_CONCEPTS", "Concept", "TokenLabeller", "concept_names", "load_concepts"]

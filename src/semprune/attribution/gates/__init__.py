"""Causal gates: which few neurons a language model needs for a concept, learned through the frozen model."""

"""Measuring one pruned model."""

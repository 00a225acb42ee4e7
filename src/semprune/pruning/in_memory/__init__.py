"""Prunes a model in memory, block by block."""

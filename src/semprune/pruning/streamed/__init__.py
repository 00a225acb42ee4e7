"""Prunes a model on the disk into a folder, with one block in memory at a time."""

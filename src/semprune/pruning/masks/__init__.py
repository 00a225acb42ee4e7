"""Masks: applied, packed into bits, stored, carried by checkpoints, held in training."""

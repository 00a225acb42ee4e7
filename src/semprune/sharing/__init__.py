"""Pruned models, masks and associations, brought to the Hugging Face hub and fetched from it."""

from semprune.sharing.pull import pull
from semprune.sharing.push import push

__all__ = ["pull", "push"]

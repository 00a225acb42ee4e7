"""Gradients of objectives with respect to neurons."""

"""Gradients of outcomes with respect to neurons."""

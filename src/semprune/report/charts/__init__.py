"""Axes, dots with intervals, heatmaps."""

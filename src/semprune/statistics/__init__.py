"""Intervals and tests: the one home of inference; pure functions of arrays, no torch."""

from semprune.statistics.significance import holm

__all__ = ["holm"]

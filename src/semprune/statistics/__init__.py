"""Intervals and tests: the one home of inference; pure functions of arrays, no torch."""

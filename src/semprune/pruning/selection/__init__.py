"""Which weights go, given scores: counts, patterns, thresholds, shares of blocks."""

"""Does the association of SmolLM2 hold up? Everything that docs/results.md says of it, from one resumable command.

python -m benchmarks.attribution --seeds 0 1 2 3 4
"""

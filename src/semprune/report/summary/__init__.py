"""The run in plain sentences."""

"""The command line: one file per command in ``commands``; ``__main__`` is what starts."""

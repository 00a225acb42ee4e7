"""The command line: one file per command; ``__main__`` dispatches."""

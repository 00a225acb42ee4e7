"""What pytest does not collect: scripts of other interpreters' packages."""

collect_ignore = ["older_transformers.py"]

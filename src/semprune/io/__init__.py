"""Files, tensor files, the record of a run, and sums over the ranks of a process group."""

"""Everything that is to be known of a GPU, in one short run: ``benchmarks/gpu/run.sh``."""

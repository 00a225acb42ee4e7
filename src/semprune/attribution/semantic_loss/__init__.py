"""What pruning took of each concept: four losses."""

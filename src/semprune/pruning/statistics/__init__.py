"""What methods know of a matrix's inputs: streamed sums, summed over ranks."""

"""Where a concept's words stand among a tokenizer's tokens."""

"""semprune: what pruning destroys in a language model, and in which neurons."""

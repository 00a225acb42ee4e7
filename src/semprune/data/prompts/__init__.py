"""From an example to what a model is asked."""

"""What held-out documents say of a model: its associations and what is read back."""

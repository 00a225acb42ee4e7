"""From items to predictions: scored, kept, gathered over ranks."""

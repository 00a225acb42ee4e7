"""Prunable matrices as the methods see them, and what writes into them."""

"""Stored weights: read tensor by tensor, converted to parameters, hashed."""

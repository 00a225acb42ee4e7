"""Concepts picked by labelled documents."""

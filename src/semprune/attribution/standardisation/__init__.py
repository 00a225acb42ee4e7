"""Activations made comparable (equations.md S1): frozen statistics of each neuron, in few passes over memory."""

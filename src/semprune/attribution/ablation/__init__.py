"""The causal check: neurons held at their mean, and what that costs."""

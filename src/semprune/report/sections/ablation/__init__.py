"""What ablating and patching neurons does: the causal check, its frontier, and mediation."""

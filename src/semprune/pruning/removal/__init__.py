"""Takes whole neurons out, so that the matrices shrink."""

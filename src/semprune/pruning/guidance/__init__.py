"""Keeps what a user names: tokens count in the statistics by how much it hangs on them (equations.md G1, G2)."""

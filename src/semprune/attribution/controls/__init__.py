"""What would be found if there were nothing to find."""

"""What calibration sets are made of."""

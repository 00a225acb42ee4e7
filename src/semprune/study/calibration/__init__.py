"""What calibration sets are like, beside what is evaluated."""

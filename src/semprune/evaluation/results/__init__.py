"""From predictions to values with intervals and paired tests."""

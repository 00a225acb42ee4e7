"""What protecting a meaning keeps, beside its controls: methods × carriers × strengths × draws, on a real model."""

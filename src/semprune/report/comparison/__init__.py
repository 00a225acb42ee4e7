"""Two runs beside each other: what they were told differently, and what that changed."""

"""Where a study keeps what it computed, under addresses made of all that it depends on."""

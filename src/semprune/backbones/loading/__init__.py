"""From a backbone's name to a frozen model in memory."""

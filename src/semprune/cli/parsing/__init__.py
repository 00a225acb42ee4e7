"""From what was typed to the settings of a command."""

"""One file per command, by its name; ``dispatch`` loads them when they are asked for."""

"""What single neurons answer to and write."""

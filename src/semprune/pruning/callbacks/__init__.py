"""Lightning callbacks: they only say when."""

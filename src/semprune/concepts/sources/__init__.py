"""Where concepts come from: one module per vocabulary, each with a ``VOCABULARY`` that the registry finds."""

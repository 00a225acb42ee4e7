"""Log-likelihoods of requests from any causal LM, shared prefixes computed once."""

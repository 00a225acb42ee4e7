"""Decoder blocks run one by one, with what each is called with."""

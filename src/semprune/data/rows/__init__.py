"""From a source's files to labelled examples, and which of them are for fitting."""

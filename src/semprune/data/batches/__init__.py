"""From text to token ids, padded batches, and the plans that say which items share one."""

"""A run folder's artefacts, checked, and the names and numbers they are shown with."""

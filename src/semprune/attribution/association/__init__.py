"""The neuron × concept association as an artefact, and how neurons are ranked by it."""

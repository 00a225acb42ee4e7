"""What a neuron of a fitted association stands for, and which concepts show in a text."""

import argparse
from pathlib import Path

import semprune
from semprune.attribution import text_evidence, written_tokens

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="of a study or a fit")
parser.add_argument("--concept", default="sentiment.negative")
parser.add_argument("--text", default="a film so dull that it hurts")
arguments = parser.parse_args()

association = semprune.load_association(arguments.run / "association.safetensors")
lm = semprune.load_backbone(str(association.settings["backbone"]))
association.require(lm.fingerprint)  # an association means something for the weights it was fitted on only

name = association.top(arguments.concept, 1)[0]
row = association.index.row(name)
print(f"{name}, strongest of {arguments.concept}: {association.class_names()[row]}")
print(semprune.explain(association, lm, neuron=name).to_string(index=False))
print(written_tokens(lm, *association.index.place(name), 5).to_string(index=False))

found = text_evidence(lm, association, arguments.text, (row,))
for token, evidence, activation in zip(found.tokens, found.evidence, found.neurons[:, 0], strict=True):
    strongest = int(evidence.argmax())
    print(f"{token!r:12} {activation:8.2f}  {association.concepts[strongest]} {evidence[strongest]:.2f}")

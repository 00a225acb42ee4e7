"""Learn the association, then test dense and pruned: LightningModule, data modules and callbacks from Python."""

import argparse
from pathlib import Path

import semprune
from semprune.data import CalibrationSettings, DocumentSettings
from semprune.study import PairedTrainer

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--backbone", default="smollm2-135m")
parser.add_argument("--texts", type=int, default=200)
parser.add_argument("--limit", type=int, default=100)
parser.add_argument("--output", type=Path, default=Path("runs/trainer"))
arguments = parser.parse_args()

DATASETS = ["movie_reviews", "bbc_news"]
module = semprune.NeuronSemanticAttribution(concepts=["sentiment.positive", "sentiment.negative"])
module.lm = semprune.load_backbone(arguments.backbone)  # shared by fit and test
settings = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "num_sanity_val_steps": 0}

documents = semprune.DocumentDataModule(DATASETS, limit=arguments.texts, max_length=64)
PairedTrainer(max_epochs=2, **settings).fit(module, datamodule=documents)
association = module.association()
association.save(arguments.output / "association.safetensors")
print("sentiment.negative:", ", ".join(association.top("sentiment.negative", 5)) or "no neuron is a discovery")

data = semprune.EvaluationDataModule(
    ["movie_reviews"],
    arguments.limit,
    calibration=CalibrationSettings("c4", sequences=16, length=256),
    documents=DocumentSettings(DATASETS, arguments.texts, max_length=64),
)
pruner = semprune.Wanda(sparsity=0.5)  # calibrates and prunes when the test starts, restores the weights when it ends
PairedTrainer(callbacks=[pruner], **settings).test(module, datamodule=data, verbose=False)

dense, pruned = module.outcomes["dense"], module.outcomes["wanda"]
loss = pruned.semantic_loss(dense, association)
print(loss[loss["layer"] == -1][["concept", "sl", "xsl", "xsl_low", "xsl_high"]].to_string(index=False))

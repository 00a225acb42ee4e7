"""Prune a model, fine-tune it on reviews, and see that what was pruned stays zero."""

import argparse

import lightning
import torch

import semprune
from semprune.data import CalibrationDataModule, load_documents

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--backbone", default="smollm2-135m")
parser.add_argument("--texts", type=int, default=32)
parser.add_argument("--sequences", type=int, default=16)
arguments = parser.parse_args()


class FineTuning(lightning.LightningModule):
    """Next-token training of the whole model."""

    def __init__(self, model: torch.nn.Module) -> None:
        """Thaw the model."""
        super().__init__()
        self.model = model.train().requires_grad_(True)

    def training_step(self, input_ids: torch.Tensor, index: int) -> torch.Tensor:
        """Loss of one text, [1, tokens]."""
        loss: torch.Tensor = self.model(input_ids=input_ids, labels=input_ids).loss
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, whose decay and momentum move pruned weights unless they are held."""
        return torch.optim.AdamW(self.parameters(), lr=1e-5, weight_decay=0.1)


lm = semprune.load_backbone(arguments.backbone)
calibration = CalibrationDataModule("c4", arguments.sequences, length=256).bind(lm)
report = semprune.prune_model(lm.model, calibration.calibration_input_ids(), method="wanda", sparsity=0.5)

texts = [document.text for document in load_documents("movie_reviews", limit=arguments.texts)]
tokens = [lm.tokenizer(text, return_tensors="pt", truncation=True, max_length=128)["input_ids"][0] for text in texts]
trainer = lightning.Trainer(
    max_epochs=1, callbacks=[semprune.HoldMasks()], logger=False, enable_checkpointing=False, enable_progress_bar=False
)
trainer.fit(FineTuning(lm.model), torch.utils.data.DataLoader(tokens, batch_size=1, shuffle=True))

weights = {matrix.name: lm.model.get_submodule(matrix.module).weight for matrix in lm.matrices}
pruned = sum(int((~mask).sum()) for mask in report.masks.values())
moved = sum(int(weights[name].detach()[~mask].ne(0).sum()) for name, mask in report.masks.items())
print(f"{pruned} pruned weights, {moved} of them moved")

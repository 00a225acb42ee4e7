"""Documents to fit on: texts of the registry's data sets with their classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from torch.utils.data import DataLoader

from semprune.data.batches.batching import EncodedDocument, document_batch
from semprune.data.batches.encoding import padding_token
from semprune.data.batches.sampling import ShardedBatchSampler, bucketed, by_length
from semprune.data.batches.special_tokens import encode
from semprune.data.hashes import hash_documents
from semprune.data.load import load_documents
from semprune.data.modules.tokenized import ResumableLoader, TokenizedDataModule
from semprune.data.registry import dataset_spec
from semprune.data.rows.sources import Source, check_source, fetch
from semprune.data.rows.splits import document_key, held_out_places, select
from semprune.data.settings import names_of
from semprune.errors import DatasetSchemaError
from semprune.ranges import checked
from semprune.types import Count, Document, DocumentBatch, Length, Limit, PartOrNone, Seed


def class_names(datasets: Iterable[str]) -> tuple[str, ...]:
    """Names ``dataset.class`` of all classes, in the order of the data sets and of their choices.

    Example:
        >>> class_names(["movie_reviews", "piqa"])
        ('movie_reviews.negative', 'movie_reviews.positive')
    """
    return tuple(f"{name}.{label}" for name in datasets for label in dataset_spec(name).labels.classes)


def cluster_indices(documents: Iterable[Document]) -> list[int]:
    """Number the documents that texts are from, in the order in which they first come.

    Args:
        documents: Texts; those with the same data set and ``document_id`` are from one document.

    Returns:
        One number per text, 0 to the number of documents - 1.

    Example:
        >>> texts = [("films", "1"), ("shops", "1"), ("shops", "2"), ("shops", "1")]
        >>> cluster_indices([Document(dataset, document, "fine") for dataset, document in texts])
        [0, 1, 2, 1]
    """
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault((document.dataset, document.document_id), len(numbers)) for document in documents]


class DocumentDataModule(TokenizedDataModule):
    """Texts reserved for fitting, split by document into training and validation with about the same shares of classes.

    Attributes:
        datasets: Names of the data sets; ``DocumentBatch.dataset`` is an index into it.
        classes: Names ``dataset.class``; ``DocumentBatch.label`` is an index into it.
        train_documents: After ``setup``; ``DocumentBatch.document`` of training is an index into it.
        val_documents: After ``setup``; ``DocumentBatch.document`` of validation is an index into it.
        data_hash: SHA-256 of both; after ``setup``.
    """

    train_documents: tuple[Document, ...]
    val_documents: tuple[Document, ...]
    data_hash: str

    @checked
    def __init__(
        self,
        datasets: list[str],
        limit: Limit = None,
        max_length: Length = 128,
        batch_size: Count = 32,
        validation_share: PartOrNone = 0.25,
        seed: Seed = 0,
        source: Source = "auto",
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            datasets: Names of data sets that reserve documents for fitting.
            limit: Texts of each data set, training and validation together; null for all.
            max_length: Tokens kept of each text, special tokens included. 128 holds all but the articles of
                bbc_news, whose headline and first lines say the topic.
            batch_size: Documents in a batch over all ranks; all texts of a document come with it.
            validation_share: Share of documents held out, in [0, 1).
            seed: Which documents a limit selects, the order of training, and what causal gates are drawn.
            source: auto (offline package if there is one, else hub), hub or offline.

        Raises:
            UnknownDatasetError: If there is no such data set.
            SettingError: If a number is out of range.
        """
        super().__init__()
        check_source(source)
        self.datasets = names_of("datasets", datasets)
        self.classes = class_names(datasets)
        self.limit = limit
        self.max_length = max_length
        self.batch_size = batch_size
        self.validation_share = validation_share
        self.seed = seed
        self.source = source

    def prepare_data(self) -> None:
        """Fetch the data sets' packages, once per machine."""
        for name in self.datasets:
            fetch(dataset_spec(name), self.source)

    def setup(self, stage: str | None = None) -> None:
        """Read and split the documents, once."""
        if hasattr(self, "data_hash"):
            return
        self.take_tokenizer()
        self.check_fits("max_length", self.max_length)
        documents = self._read()
        self.train_documents = tuple(document for document, held_out in documents if not held_out)
        self.val_documents = tuple(document for document, held_out in documents if held_out)
        self.data_hash = hash_documents([*self.train_documents, *self.val_documents])

    def train_dataloader(self) -> DataLoader[DocumentBatch]:
        """Training documents in batches of similar lengths, shuffled anew in each epoch.

        Texts of one document stay together: errors are clustered by document.
        """
        encoded = self._encode(self.train_documents)
        groups: dict[int, list[int]] = defaultdict(list)
        for index, cluster in enumerate(cluster_indices(self.train_documents)):
            groups[cluster].append(index)
        lengths = [max(len(encoded[text].input_ids) for text in group) for group in groups.values()]
        plan = bucketed(lengths, self.batch_size, self.seed)
        return self._loader(encoded, ShardedBatchSampler(plan, list(groups.values())))

    def val_dataloader(self) -> DataLoader[DocumentBatch]:
        """Validation texts in batches of similar lengths, longest first."""
        encoded = self._encode(self.val_documents)
        lengths = [len(text.input_ids) for text in encoded]
        return self._loader(encoded, ShardedBatchSampler(by_length(lengths, self.batch_size)))

    def _read(self) -> list[tuple[Document, bool]]:
        """The documents, and whether each is held out: a matter of the whole split, whatever the limit."""
        documents = []
        for name in self.datasets:
            every = load_documents(name, split="fit", source=self.source)
            places = held_out_places(name, ((document.document_id, document.label) for document in every))
            chosen = select(every, self.limit, lambda text: document_key(text.dataset, self.seed, text.document_id))
            documents += [(document, places[document.document_id] < self.validation_share) for document in chosen]
        return documents

    def _loader(self, encoded: list[EncodedDocument], sampler: ShardedBatchSampler) -> DataLoader[DocumentBatch]:
        padding = padding_token(self.take_tokenizer())
        return ResumableLoader(encoded, sampler, collate_fn=lambda batch: document_batch(batch, padding))

    def _encode(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        clusters = cluster_indices(documents)
        return [
            EncodedDocument(
                self._tokens(document), index, self.datasets.index(document.dataset), self._label(document), cluster
            )
            for index, (document, cluster) in enumerate(zip(documents, clusters, strict=True))
        ]

    def _tokens(self, document: Document) -> tuple[int, ...]:
        tokens = encode(self.take_tokenizer(), document.text)[: self.max_length]
        if not tokens:
            raise DatasetSchemaError(
                document.dataset, f"document {document.document_id} has no tokens", "Add a `drop` rule for it."
            )
        return tuple(tokens)

    def _label(self, document: Document) -> int:
        return -1 if document.label is None else self.classes.index(f"{document.dataset}.{document.label}")

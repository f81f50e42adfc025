"""What likeness does not see in a sentence: numbers, dates, names, "not", and words that say the contrary of others."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise
from math import isfinite

from index.terms import content_terms, terms

UNITS = {
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
}
TENS = {
    "fr": {"vingt": 20, "vingts": 20, "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60, "septante": 70,
           "huitante": 80, "octante": 80, "nonante": 90},
    "en": {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
           "ninety": 90},
}  # fmt: skip
HUNDREDS = {"fr": ("cent", "cents"), "en": ("hundred", "hundreds")}
SCALES: dict[str, dict[str, float]] = {
    "fr": {"mille": 1e3, "million": 1e6, "millions": 1e6, "milliard": 1e9, "milliards": 1e9, "billion": 1e12,
           "billions": 1e12},
    "en": {"thousand": 1e3, "million": 1e6, "millions": 1e6, "billion": 1e9, "billions": 1e9, "trillion": 1e12},
}  # fmt: skip
ORDINALS = {
    "fr": "premier première deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième "
    "douzième",
    "en": "first third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
}
"""In order, from the first on; an English "second" is left out, it is often something else."""
ONES = {"un", "une", "one", "premier", "première", "first", "zéro", "zero"}
"""These mostly count nothing."""
MONTHS = {
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "en": "january february march april may june july august september october november december",
}
NUMBER = re.compile(r"\d+(?:[  ’'.,]\d{3})*(?:[.,]\d+)?")
ROMAN = re.compile(r"\b([IVX]{1,6})(?:e|ème)\b")
NEXT_WORD = re.compile(r"(?:(?:er|st|nd|rd|th)\b)?\s*(?:of\s+)?([^\W\d_]+)")
LAST_WORD = re.compile(r"([^\W\d_]+)\s+(?:the\s+)?\Z")
ISO_BEFORE = re.compile(r"\b\d{4}-(?:\d{2}-)?\Z")
STOP_BEFORE = re.compile(r"[.!?]\s*[\"“«(]?\s*\Z")
NEAR_CHARACTERS = 40
"""How far before a number or a name a word or a stop is looked for."""
WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")

CONTRARIES: tuple[tuple[str, str], ...] = (
    (
        "augment* hauss* accr* croît croiss* grimp* progress* increas* rise rises rising rose risen grow* grew climb*",
        "rédui* baiss* diminu* recul* chut* déclin* décroi* décroî* régress* decreas* reduc* fall falls fell fallen "
        "drop* declin* shrink* shrank",
    ),
    ("avant before until jusqu'à jusqu'en", "après after since depuis"),
    ("réussi* parvien* succeed*", "échou* fail*"),
    (
        "gagn* vainqu* victoire* remport* win wins won winner* victory beat beats",
        "perd perdu* perdent défaite* lose loses lost defeat est_battu* sont_battus été_battu* was_beaten were_beaten",
    ),
    ("nord north* septentrional*", "sud south* méridional*"),
    ("ouest west* occidental*", "l'est à_l'est east* oriental*"),
    ("jour day", "nuit night"),
    ("commenc* début* start* begin* began begun", "achev* fin termin* end ends ended ending"),
    ("plus_grand* plus_vaste* largest biggest greatest", "plus_petit* smallest"),
    ("plus_peuplé* most_populous", "moins_peuplé* least_populous"),
    ("highest tallest plus_haut*", "lowest shortest plus_bas*"),
    ("oldest", "newest youngest"),
    ("best meilleur*", "worst worst-selling pire*"),
    ("plus_de plus_d' more_than over", "moins_de moins_d' fewer_than less_than under"),
    ("accept* agree* approv*", "refus* reject* rejet*"),
    ("autoris* permis* allow* permit* toléré*", "interdi* forbid* forbad* ban banned prohib*"),
    ("homme* men man male* masculin*", "femme* women woman female* féminin*"),
    ("outdoor* plein_air", "indoor*"),
    ("upper supérieur*", "lower inférieur*"),
    ("first premier* première*", "last dernier* dernière* second third fourth troisième*"),
    ("high haut*", "low bas basse*"),
    ("dark sombre*", "bright clair*"),
    ("import importe*", "export exporte*"),
    ("conserv* gard* keeps kept retain*", "perd perdu* perdre lose loses lost"),
    ("binding", "non-binding"),
    ("defens* défens*", "attack* attaqu* offens*"),
    ("include* inclu*", "exclud* exclu*"),
    ("open* ouvr* ouvert*", "close* ferm*"),
    ("buy* bought achet* achat*", "sell* sold vend* vente*"),
    ("naît né née nés born birth naissance", "mort morte meurt décédé* died death dies"),
    ("majorité majority", "minorité minority"),
    ("public* publique*", "private* privé*"),
    ("soutien* soutenu* support*", "oppos* opposé*"),
    ("légal* legal*", "illégal* illegal*"),
    ("riche* rich*", "pauvre* poor*"),
)
"""Words of French and English; a star stands for any ending, a low line for a space. Who says one side, where the
passage has only the other, says the contrary."""

NEGATION = re.compile(
    r"(?:^|(?<!\w))(?:n['e]\s?[^.;:]{1,40}?\b(?:pas|jamais|aucune?|rien|ni|plus|guère)\b|(?:aucune?|sans|nulle?)\b"
    r"|(?:not|never|no|none|nor|neither|without|cannot|nobody|nothing)\b(?!\s+(?:only|less|more\s+than)\b)"
    r"|\w+n(?:'|\s')t\b|(?:nicht|keine?[mnrs]?|nie|nunca|jamás|nessun\w*|não)\b)"
)
"""Words that deny, of French and English and some others, where they are not part of a name: in small letters."""
SCOPE_WORDS = 6
"""How far a "not" reaches, in words after it."""
SCOPE_SHARE = 0.5
CLAUSE = re.compile(r"[.;:!?()]|,(?!\d)|\s(?:mais|but|although|though|bien que|tandis que|alors que|while)\s")

LIKE = 0.84
"""How much of two spellings of a name is the same: Edward, Édouard are not; São, Sao are."""
STEM_CHARACTERS = 4
"""Names that begin with the same are of the same people or country: Espagne, espagnol."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a text names: to be found again in another, whatever its wording."""

    numbers: tuple[frozenset[float], ...]
    """Each as the values that its spelling may have: "1,500" is 1500 or 1.5."""
    days: tuple[frozenset[float], ...]
    """The 4 of "4 novembre", which counts nothing, and what stands for day and month in "2025-11-04"."""
    months: frozenset[int]
    names: frozenset[str]
    """Words with a capital, not those that begin a sentence."""
    words: frozenset[str]
    """All words, folded."""
    sides: frozenset[tuple[int, int]]
    """Pair of CONTRARIES, and which side of it."""


def facts(text: str, language: str | None) -> Facts:
    """Read what a text names; language: ISO 639-1, for what one spelling means in each."""
    normal = unicodedata.normalize("NFKC", text).replace("’", "'").replace(" ", " ")
    words = [word.group() for word in WORD.finditer(normal)]
    folded = [fold(word) for word in words]
    days, others = _digits_of(normal, language)
    return Facts(
        _comparable((*others, *_written_out(normal, language))),
        _comparable(days),
        frozenset(_months(folded)),
        frozenset(_names(normal, language)),
        frozenset(part for word in folded for part in {word, *re.split("[-']", word)}),
        frozenset(_sides(folded)),
    )


def unfounded_numbers(said: Facts, there: Facts) -> bool:
    """Say whether a number or a month of one text is not in the other, where "4 novembre" holds no "4 jours"."""
    counted = there.numbers + (there.days if said.months or said.days else ())
    known = frozenset(value for values in counted for value in values)
    return any(not _same_value(values, known) for values in said.numbers + said.days) or not said.months <= there.months


def other_numbers(said: Facts, there: Facts) -> bool:
    """Say whether one text has another number in the place of one, of as many digits."""
    ours, theirs = said.numbers + said.days, there.numbers + there.days
    known = frozenset(value for values in theirs for value in values)
    own = frozenset(value for values in ours for value in values)
    missing = [values for values in ours if not _same_value(values, known)]
    spare = {len(str(int(value))) for values in theirs if not _same_value(values, own) for value in values}
    return any(len(str(int(value))) in spare for values in missing for value in values)


def unfounded_names(said: Facts, there: Facts, same: Set[str]) -> bool:
    """Say whether a name of one text is not in the other.

    same: words that are known to stand there in another language, folded.
    """
    return any(not (name in same or _known_name(name, there.words)) for name in said.names)


def opposed(said: Facts, there: Facts) -> bool:
    """Say whether one text has one side of a pair of contraries, and the other the other side only."""
    return any(
        (pair, 1 - side) in there.sides and (pair, side) not in there.sides and (pair, 1 - side) not in said.sides
        for pair, side in said.sides
    )


def denied(said: str, said_language: str | None, there: str, there_language: str | None) -> bool:
    """Say whether one text denies what the other says."""
    reaches_said, reaches_there = list(_reaches(said, said_language)), list(_reaches(there, there_language))
    if said_language != there_language:
        # Across languages the words cannot be compared; a "not" on one side alone is doubt enough.
        return bool(reaches_said) and not reaches_there
    if reaches_said and not reaches_there:
        return True
    own = set(content_terms(said, said_language))
    return not reaches_said and any(len(reach & own) > SCOPE_SHARE * len(reach) for reach in reaches_there if reach)


def fold(word: str) -> str:
    """Take case and accents off."""
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).replace("œ", "oe").replace("æ", "ae")


def _comparable(numbers: Iterable[frozenset[float]]) -> tuple[frozenset[float], ...]:
    """Leave out the values that are too large for a float: such a number is not found in any text."""
    return tuple(frozenset(filter(isfinite, values)) for values in numbers)


def _digits_of(text: str, language: str | None) -> tuple[list[frozenset[float]], list[frozenset[float]]]:
    """Give the numbers in digits that are days, and the others."""
    scales = SCALES[_spelling(language)]
    days: list[frozenset[float]] = []
    others: list[frozenset[float]] = []
    for found in NUMBER.finditer(text):
        values = set(_values(found.group()))
        scale = NEXT_WORD.match(text, found.end())
        if scale and scale[1].casefold() in scales:
            values = {value * scales[scale[1].casefold()] for value in values}
        (days if _is_day(text, found) else others).append(frozenset(values))
    return days, others


def _is_day(text: str, number: re.Match[str]) -> bool:
    """Say whether a number stands beside the name of a month, or in a date like 2025-11-04."""
    near = max(number.start() - NEAR_CHARACTERS, 0)
    behind, before = NEXT_WORD.match(text, number.end()), LAST_WORD.search(text, near, number.start())
    beside = [word[1] for word in (behind, before) if word]
    by_month = any(word == "May" or fold(word) in _month_numbers() for word in beside)
    in_date = ISO_BEFORE.search(text, near, number.start()) is not None
    return re.fullmatch(r"\d{1,2}", number.group()) is not None and int(number.group()) <= 31 and (by_month or in_date)


def _written_out(text: str, language: str | None) -> Iterator[frozenset[float]]:
    """Give the numbers in words and in Roman numerals."""
    for numeral in ROMAN.finditer(text):
        yield frozenset({float(_roman(numeral[1]))})
    yield from _spelled(text, _spelling(language))


def _spelling(language: str | None) -> str:
    return "en" if language == "en" else "fr"


def _values(digits: str) -> Iterator[float]:
    """Give what digits with points, commas or spaces may mean."""
    bare = re.sub(r"[  ’']", "", digits)
    groups = re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", bare)
    if groups:
        yield float(re.sub("[.,]", "", bare))
    last = max(bare.rfind("."), bare.rfind(","))
    if last < 0:
        yield float(bare)
    elif bare.count(".") + bare.count(",") == 1 or bare[last] not in bare[:last]:
        yield float(re.sub("[.,]", "", bare[:last]) + "." + bare[last + 1 :])


def _spelled(text: str, language: str) -> Iterator[frozenset[float]]:
    """Give the numbers that are written in words: "quatre-vingt-dix mille", "two hundred and five", "sixième"."""
    before = None
    total = current = 0.0
    running = False
    tokens = [*re.findall(r"[^\W\d_]+|\d+|[^\w\s-]", text.casefold()), "."]
    for token in tokens:
        value = _unit_values(language).get(token)
        if value is not None:
            if language == "fr" and before == "quatre" and token in ("vingt", "vingts"):
                current += 80 - 4
            else:
                current += value
            running = running or token not in ONES
        elif token in HUNDREDS[language]:
            current = (current or 1.0) * 100
            running = True
        elif token in SCALES[language] and before is not None and not before.isdigit():
            total += (current or 1.0) * SCALES[language][token]
            current, running = 0.0, True
        elif token in ("et", "and") and running:
            pass
        else:
            ordinal = _ordinals(language).get(token)
            if ordinal is not None and token not in ONES:
                current, running = current + ordinal, True
            if running:
                yield frozenset({total + current})
            total = current = 0.0
            running = False
        before = token


@cache
def _unit_values(language: str) -> dict[str, float]:
    units = {word: float(value) for value, word in enumerate(UNITS[language].split())}
    return units | {"une": 1.0} | {word: float(value) for word, value in TENS[language].items()}


@cache
def _ordinals(language: str) -> dict[str, float]:
    simple = {word: float(n) for n, word in enumerate(re.sub("première ", "", ORDINALS[language]).split(), start=1)}
    if language == "fr":
        return simple | {
            f"{stem}ième": float(value) for word, value in TENS["fr"].items() for stem in [word.rstrip("e")]
        }
    return simple | {f"{word[:-1]}ieth": float(value) for word, value in TENS["en"].items()}


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[sign] for sign in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def _same_value(values: frozenset[float], known: frozenset[float]) -> bool:
    """Compare values; one that was rounded to fewer digits is the same: 14.6 and 14.612."""
    return any(
        value == other or (value != int(value) and round(other, _digits(value)) == value)
        for value in values
        for other in known
    )


def _digits(value: float) -> int:
    return len(repr(value).partition(".")[2])


def _months(words: Iterable[str]) -> Iterator[int]:
    for word in words:
        if word in _month_numbers():
            yield _month_numbers()[word]


@cache
def _month_numbers() -> dict[str, int]:
    return {
        fold(name): number
        for names in MONTHS.values()
        for number, name in enumerate(names.split(), start=1)
        if name not in ("may", "mars", "march")
    } | {"mars": 3, "march": 3}


def _names(text: str, language: str | None) -> Iterator[str]:
    """Give words with a capital, folded; the first of a sentence only where another name follows it."""
    if language == "de":
        return
    found = list(WORD.finditer(text))
    for place, word in enumerate(found):
        plain = word.group()
        if not plain[0].isupper() or fold(plain) in _month_numbers() or re.fullmatch("[IVX]+e?", plain):
            continue
        begins = (
            place == 0 or STOP_BEFORE.search(text, max(word.start() - NEAR_CHARACTERS, 0), word.start()) is not None
        )
        follows = found[place + 1].group()[0].isupper() if place + 1 < len(found) else False
        for part in re.split("[-']", plain):
            if len(part) > 1 and part[0].isupper() and (not begins or (follows and content_terms(part, language))):
                yield fold(part)


def _known_name(name: str, words: Set[str]) -> bool:
    """Find a name among words, also as an adjective or in another spelling."""
    if name in words:
        return True
    return any(
        (len(name) > STEM_CHARACTERS and word[:STEM_CHARACTERS] == name[:STEM_CHARACTERS] and _near(name, word, 0.6))
        or _near(name, word, LIKE)
        for word in words
    )


def _near(one: str, other: str, least: float) -> bool:
    return SequenceMatcher(None, one, other).ratio() >= least


def _sides(words: list[str]) -> Iterator[tuple[int, int]]:
    pairs = {f"{one}_{other}" for one, other in pairwise(words)}
    parts = {part for word in words for part in word.split("-")}
    for said in {*words, *pairs, *parts}:
        yield from _sides_of(said)


@cache
def _sides_of(word: str) -> tuple[tuple[int, int], ...]:
    return tuple(
        (pair, side)
        for pair, both in enumerate(CONTRARIES)
        for side, listed in enumerate(both)
        for pattern in map(fold, listed.split())
        if (word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern)
    )


def _reaches(text: str, language: str | None) -> Iterator[set[str]]:
    """Give the words that each "not" of a text denies: between its parts and behind, up to the end of the clause."""
    for found in NEGATION.finditer(text[:1].lower() + text[1:].replace("’", "'")):
        inside = found.group()
        behind = CLAUSE.split(text[found.end() :], maxsplit=1)[0].split()[:SCOPE_WORDS]
        yield set(content_terms(f"{inside} {' '.join(behind)}", language)) - set(terms("not never no none", language))

"""text → search terms: case, accents, elision, stem, per language.

The lexical index stores these terms as they are, and questions are turned into them by the same rules.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from threading import Lock

import Stemmer  # type: ignore[import-not-found]

TERM_CHARACTERS = 64
"""Longer terms are cut: nobody searches for them, and the index refuses terms of 64 KB."""
REMEMBERED_WORDS = 100_000

STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
}
"""ISO 639-1 → Snowball. Words of other languages are not stemmed."""

ELIDED = re.compile(
    "^(?:(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|presqu|dell|all|dall|nell|sull|un|gl|quell)'(?!s$))+"
)
"""French and Italian words before a vowel; taken off in any language, for names (d'Estaing)."""

FUNCTION_WORDS = {
    "fr": """
        a ai ainsi alors as au aucun aucune auquel aussi autre autres aux auxquels avait avec avez avoir
        avons car ce ceci cela celle celles celui ces cet cette ceux chez ci combien comme comment dans
        de depuis des desquels donc dont du duquel elle elles en encore entre es est et etaient etait
        etant ete etes etre eu eux faire fait furent fut il ils je la laquelle le lequel les lesquelles
        lesquels leur leurs lors lui ma mais me meme memes mes moi mon ne ni nos notre nous on ont ou
        par parce pas pendant peu peut plus pour pourquoi qu quand que quel quelle quelles quels qui
        quoi sa sans se sera serait ses si soit son sont sous suis sur ta te tes toi ton tous tout toute
        toutes tres tu un une va vers vos votre vous y
    """,
    "en": """
        a about after all also am an and any are as at be because been before being between both but by
        can could did do does doing during each for from had has have having he her here hers him his
        how i if in into is it its just me more most my no nor not of on only or other our out over own
        same she should so some such than that the their them then there these they this those through
        to too under until up very was we were what when where which while who whom whose why will with
        would you your
    """,
    "de": """
        aber alle allem allen aller alles als also am an ander andere auch auf aus bei bin bis bist da
        damit dann das dass dein dem den denn der des dessen dich die dies diese diesem diesen dieser
        dieses dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer fur gegen
        habe haben hat hatte hatten hier hin ich ihm ihn ihnen ihr ihre im in ins ist ja jede jedem
        jeden jeder jedes kann kein keine konnen konnte man mein mich mir mit muss nach nicht noch nun
        nur ob oder ohne sehr sein seine sich sie sind so soll sondern uber um und uns unser unter viel
        vom von vor wann war waren warum was weil welche welchem welchen welcher welches wem wen wenn
        wer werden wessen wie wieviel wird wo wurde wurden zu zum zur zwischen
    """,
    "es": """
        a al algo ante antes como con contra cual cuales cuando cuanta cuantas cuanto cuantos de del
        desde donde durante e el ella ellas ellos en entre era eran es esa esas ese eso esos esta estaba
        estan estar estas este esto estos fue fueron ha habia han hasta hay la las le les lo los mas me
        mi mis mucho muy nada ni no nos o os otra otras otro otros para pero poco por porque que quien
        quienes se sea segun ser si sido sin sobre son su sus tambien tanto te tiene todo todos tu tus
        un una unas uno unos y ya yo
    """,
}
"""Words of grammar and of asking, without accents. In the index they stay, for questions that have no others."""

MARKS_IN_WORDS = "\u0900-\u0963\u0966-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Vowel signs of Indian and South-East Asian scripts are not letters to `\\w`."""
APOSTROPHES = "['’ʼ‘`]"
TOKEN = re.compile(
    r"\d+(?:[.,/:]\d+)+|(?:\w+['’])?(?:[^\W\d_]\.){2,}(?:[^\W\d_](?!\w))?"
    rf"|[\w{MARKS_IN_WORDS}]+(?:(?:{APOSTROPHES}|-)[\w{MARKS_IN_WORDS}]+)*"
)
GROUPED_DIGITS = re.compile(r"(?<![\d.,])\d{1,3}([ ’'.,])\d{3}(?:\1\d{3})*(?![.,]?\d)")
UNSEEN = re.compile(
    "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u0300-\u036f\u0591-\u05bd\u0640\u064b-\u065f]"
)
"""Soft hyphens, marks of direction, and the vowel points and accents that are not part of a letter."""
ACCENTS = re.compile("(?<!и)\u0306|[\u0300-\u0305\u0307-\u036f]")
UNDECOMPOSED = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i"})
UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)"
)


def terms(text: str, language: str | None) -> list[str]:
    """Turn a text into search terms, in order, with repetitions.

    language: ISO 639-1, for the stems; None leaves words as they are.

    "L’économie des États-Unis" in French gives econom, de, etat, unis, etatsunis. Accents are folded before
    the stem is taken, so that a text has the same terms with and without them; that costs nothing
    measurable (hit@5 of BM25 on 3,100 French questions 0.872, against 0.875 with the stem first). Numbers
    stay whole, and digits in groups are one number: "1 000" gives 1000. Where words are written without
    spaces, pairs of characters are terms.
    """
    return [term for token in _tokens(text) for _, term in _token_terms(token, language)]


def content_terms(text: str, language: str | None) -> list[str]:
    """Turn a text into search terms, leaving out the words of grammar and of asking.

    language: of the text; None takes the words of grammar of all languages that have a list, and no stems.
    """
    return [
        term
        for token in _tokens(text)
        for word, term in _token_terms(token, language)
        if word not in _function_words(language)
    ]


def query_terms(question: str, languages: Iterable[str | None]) -> dict[str | None, list[str]]:
    """Turn a question into the terms that documents of each of these languages have, in order, without repetition.

    languages: those of the index, ISO 639-1; None for documents whose language is not known. Words of grammar are
    left out, unless there is nothing else.
    """
    return {
        language: list(dict.fromkeys(content_terms(question, language) or terms(question, language)))
        for language in languages
    }


def _tokens(text: str) -> list[str]:
    """Cut a text into words and numbers, in lower case; accents and hyphens are still in them."""
    folded = UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    return [found.group() for found in TOKEN.finditer(GROUPED_DIGITS.sub(_ungrouped, folded))]


def _ungrouped(number: re.Match[str]) -> str:
    return number.group().replace(number[1], "")


def _token_terms(token: str, language: str | None) -> tuple[tuple[str, str], ...]:
    """Give the (word, term) pairs of a token; long ones are rare and not worth remembering."""
    if len(token) > TERM_CHARACTERS:
        return _token_terms_uncached(token, language)
    return _token_terms_cached(token, language)


def _token_terms_uncached(token: str, language: str | None) -> tuple[tuple[str, str], ...]:
    if token[0].isdigit() and re.search("[.,/:]", token):
        return tuple((number, number) for number in _numbers(token))
    words = [word for part in token.split("-") for word in _words(part)]
    pairs = [(word, _stem(word, language)) for word in words]
    if "-" in token and len(words) > 1:
        # With its last word it is known for grammar: dit-il, est-ce.
        pairs.append((words[-1], "".join(words)[:TERM_CHARACTERS]))
    return tuple(pairs)


_token_terms_cached = lru_cache(REMEMBERED_WORDS)(_token_terms_uncached)


def _numbers(token: str) -> Iterator[str]:
    """Give a number whole, with a decimal comma, and the parts of a date or a time."""
    yield re.sub(r"^(\d+)\.(\d+)$", r"\1,\2", token)[:TERM_CHARACTERS]
    if re.search("[/:]|[.].*[.]", token):
        yield from re.split("[.,/:]", token)


def _words(part: str) -> Iterator[str]:
    """Give the words between hyphens, bare: mostly one; of unspaced scripts, pairs of characters."""
    for index, run in enumerate(UNSPACED.split(_bare(_fold(part)))):
        if index % 2:
            yield from (run[i : i + 2] for i in range(max(len(run) - 1, 1)))
        elif run:
            yield run[:TERM_CHARACTERS]


def _bare(word: str) -> str:
    """Take off what is elided before, the English possessive behind, and any other apostrophe or stop."""
    straight = re.sub(APOSTROPHES, "'", word)
    return re.sub("['._]", "", ELIDED.sub("", straight).removesuffix("'s"))


def _fold(word: str) -> str:
    """Take off accents, but for the letter й and signs of scripts where they tell words apart."""
    decomposed = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", ACCENTS.sub("", decomposed)).translate(UNDECOMPOSED)


def _stem(word: str, language: str | None) -> str:
    stemmer = _stemmer(language)
    if stemmer is None:
        return word
    with _one_stemming:
        return str(stemmer.stemWord(word))


_one_stemming = Lock()
"""A Snowball stemmer holds the word it works on."""


@cache
def _stemmer(language: str | None) -> Stemmer.Stemmer | None:
    return Stemmer.Stemmer(STEMMERS[language], 0) if language in STEMMERS else None


@cache
def _function_words(language: str | None) -> frozenset[str]:
    if language is None:
        return frozenset(word for words in FUNCTION_WORDS.values() for word in words.split())
    return frozenset(FUNCTION_WORDS.get(language, "").split())

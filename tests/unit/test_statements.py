import pytest

from assistant.statements import statements


def cut(text, language="fr"):
    return [[text[start:end] for start, end in spans] for spans in statements(text, language)]


@pytest.mark.parametrize("word", ["Oui.", "Non.", "Oui !", "Yes.", "Nein."])
def test_a_yes_or_no_goes_with_what_comes_after_it(word):
    assert cut(f"Il pleut. {word}\nTout site doit nommer son hébergeur.") == [
        ["Il pleut."],
        [word, "Tout site doit nommer son hébergeur."],
    ]


def test_sentences_that_say_something_are_statements_of_their_own():
    assert cut("Il pleut. Le pain coûte un euro.") == [["Il pleut."], ["Le pain coûte un euro."]]


def test_what_says_nothing_at_the_end_is_not_lost():
    assert cut("Le pain coûte un euro. Oui.") == [["Le pain coûte un euro."], ["Oui."]]
    assert cut("Oui.") == [["Oui."]]
    assert cut("") == []

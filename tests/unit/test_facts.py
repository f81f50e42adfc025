import pytest

from assistant.facts import denied, facts, opposed, other_numbers, unfounded_names, unfounded_numbers

NOBODY: set[str] = set()


@pytest.mark.parametrize(
    ("said", "said_language", "there", "there_language"),
    [
        ("50 milliards", "fr", "50 milliards d'euros", "fr"),
        ("1 000 habitants", "fr", "1,000 inhabitants", "en"),
        ("2.8 million people", "en", "2,8 millions d'habitants", "fr"),
        ("2 000 000 km2", "fr", "deux millions de km2", "fr"),
        ("41 pays", "fr", "quarante et un pays", "fr"),
        ("quatre-vingt-dix-sept", "fr", "97", "en"),
        ("two hundred and five", "en", "205 soldats", "fr"),
        ("fifteen years", "en", "15 ans", "fr"),
        ("67 percent", "en", "67 %", "fr"),
        ("1er août 2014", "fr", "August 1, 2014", "en"),
        ("on 3 October", "en", "le 3 octobre", "fr"),
        ("cinquante-neuvième", "fr", "the 59th", "en"),
        ("XIXe siècle", "fr", "19th century", "en"),
        ("14,6 km", "fr", "14,612 km", "fr"),
        ("du 3 au 5 octobre", "fr", "October 3 and 5", "en"),
        ("on 4 May", "en", "le 4 mai", "fr"),
        ("2025-11-04", "en", "of 2025-11-04", "en"),
        ("4 jours", "fr", "le 4 novembre, 4 jours après", "fr"),
        ("2014", "fr", "en août 2014", "fr"),
    ],
)
def test_a_number_is_found_however_it_is_written(said, said_language, there, there_language):
    assert not unfounded_numbers(facts(said, said_language), facts(there, there_language))


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("augmenté de 50 milliards", "réduit de 10 milliards"),
        ("2,8 milliards", "2,8 millions"),
        ("67 %", "76 %"),
        ("le 15 juin 1913", "le 15 juillet 1913"),
        ("sept romans", "quatre romans"),
        ("en 1595", "en 1559"),
        ("14,7 km", "14,612 km"),
        ("pendant 4 jours", "le 4 novembre"),
        ("quatre jours", "le 4 novembre 2025"),
        ("11 soldats", "Gazette, 2025-11-04."),
        ("31 personnes", "31 août, 30 personnes"),
    ],
)
def test_another_number_or_month_is_not(said, there):
    assert unfounded_numbers(facts(said, "fr"), facts(there, "fr"))


def test_another_number_in_the_place_of_one_is_noticed_though_it_stands_nearby():
    assert other_numbers(facts("Fondé en 756.", "fr"), facts("Fondé en 761.", "fr"))
    assert not other_numbers(facts("Fondé en 756.", "fr"), facts("Fondé alors.", "fr"))


@pytest.mark.parametrize(
    ("said", "there", "known"),
    [
        ("Le maire est Sao Paulo.", "São Paulo", True),
        ("Elle vit en Espagne.", "la chanteuse espagnole", True),
        ("Il a rencontré Edouard Bruce.", "Édouard Bruce", True),
        ("Elle est de Lyon.", "Elle est de Paris.", False),
        ("Il a vu Drogon à Naples.", "Drogon conquit Bovino.", False),
    ],
)
def test_a_name_is_found_by_its_spelling(said, there, known):
    assert unfounded_names(facts(said, "fr"), facts(there, "fr"), NOBODY) != known


def test_a_name_known_in_another_language_is_found():
    assert not unfounded_names(facts("She is from Scotland.", "en"), facts("l'Écosse", "fr"), {"scotland"})


@pytest.mark.parametrize(
    ("said", "there", "language", "expected"),
    [
        ("Le pain ne coûte pas un euro.", "Le pain coûte un euro.", "fr", True),
        ("Le pain coûte un euro.", "Le pain ne coûte pas un euro.", "fr", True),
        ("Le pain coûte un euro.", "Le pain coûte un euro, le sel n'est pas cher.", "fr", False),
        ("Aucun train ne part.", "Les trains partent.", "fr", True),
        ("The plan is not binding.", "The plan is binding.", "en", True),
        ("Not only bread is cheap.", "Bread is cheap.", "en", False),
        ("It wasn't found.", "It was found.", "en", True),
        ("Elvis sang it.", "It's Now or Never was sung by Elvis.", "en", False),
    ],
)
def test_a_denial_is_seen_on_either_side(said, there, language, expected):
    assert denied(said, language, there, language) == expected


@pytest.mark.parametrize(
    ("said", "said_language", "there", "there_language", "expected"),
    [
        ("Le prix a augmenté.", "fr", "Le prix a été réduit.", "fr", True),
        ("Prices rose.", "en", "Les prix ont baissé.", "fr", True),
        ("Prices rose.", "en", "Les prix ont augmenté.", "fr", False),
        ("Il est né en 1900.", "fr", "Il est mort en 1900.", "fr", True),
        ("plus de 80 individus", "fr", "moins de 80 individus", "fr", True),
        ("more than 80", "en", "moins de 80", "fr", True),
        ("C'était avant la guerre.", "fr", "C'était après la guerre.", "fr", True),
        ("Les prix ont baissé.", "fr", "Les prix ont augmenté, puis baissé.", "fr", False),
    ],
)
def test_the_contrary_is_seen_within_and_across_languages(said, said_language, there, there_language, expected):
    assert opposed(facts(said, said_language), facts(there, there_language)) == expected

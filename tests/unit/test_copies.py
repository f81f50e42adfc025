"""Stories of several papers: what is a copy, and what only looks like one."""

from dataclasses import replace

import pytest

from index import File, Passage
from index.copies import fold_copies, stands_in, words

TITLE = "Tempête sur la Bretagne"
LEAD = "La tempête Ciarán a traversé la Bretagne dans la nuit de mercredi à jeudi, avec des vents de 207 km/h."
TOLL = "Elle a fait 12 morts, selon le préfet du Finistère, qui s'est rendu sur place dès l'aube."
POWER = "Plus de 780 000 foyers étaient encore privés d'électricité « pour plusieurs jours », a dit le gestionnaire."
SCHOOLS = "Les écoles de Brest resteront fermées, et les trains ne circuleront pas avant vendredi soir."
STORY = " ".join([LEAD, TOLL, POWER, SCHOOLS])


def story(text: str, name: str, start: int = 0) -> Passage:
    found = Passage(f"{name}-{start}", text, name, f"Titre de {name}", None, start, 1.0)
    return replace(found, date="2023-11-02", file=f"{name}.txt")


@pytest.mark.parametrize(
    "copy",
    [
        STORY,
        "QUIMPER, 2 novembre (AFP) – " + STORY,
        f"Vents de 207 km/h en Bretagne\n\n{STORY}",
        " ".join([LEAD, POWER, SCHOOLS]),
        f"{LEAD} Le ciel est resté gris. {TOLL} {POWER} {SCHOOLS}",
        STORY.replace("'", "’").replace("« ", "“").replace(" »", "”").replace(" 000", "\u202f000"),
        f"{POWER}\n\n{SCHOOLS}\n\n{LEAD}\n\n{TOLL}",
        STORY.replace(" ", "\n", 20),
        STORY.replace("traversé", "balayé").replace("dès l'aube", "au matin"),
        STORY.upper(),
    ],
    ids=["equal", "dateline", "title", "removed", "added", "marks", "order", "lines", "wording", "capitals"],
)
def test_a_copy_is_folded_into_the_better_ranked_story_and_its_file_is_named(copy: str) -> None:
    [folded] = fold_copies([story(STORY, "a"), story(copy, "b")])

    assert folded.source == "a"
    assert folded.text == STORY
    assert folded.also_in == (File("b", "Titre de b", "b.txt", "2023-11-02"),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12 morts", "14 morts"),
        ("de 207 km/h", "de 180 km/h"),
        ("du Finistère", "du Morbihan"),
        ("écoles de Brest", "écoles de Quimper"),
        (" Elle a fait", " Domingos a fait"),
    ],
)
def test_a_passage_with_another_number_or_name_in_the_same_place_stays(before: str, after: str) -> None:
    passages = [story(STORY, "a"), story(STORY.replace(before, after), "b")]

    assert fold_copies(passages) == passages


def test_another_story_of_the_same_topic_stays() -> None:
    other = f"La tempête Ciarán a fait 12 morts dans le Finistère. {LEAD} À Brest, le préfet a dit sa tristesse."
    passages = [story(STORY, "a"), story(other, "b")]

    assert fold_copies(passages) == passages


def test_a_copy_that_is_cut_elsewhere_is_folded_into_the_passage_that_holds_most_of_it() -> None:
    first, second = story(f"{LEAD} {TOLL}", "a"), story(f"{POWER} {SCHOOLS}", "a", start=200)

    folded = fold_copies([first, second, story(f"{TOLL} {POWER} {SCHOOLS}", "b")])

    assert [passage.id for passage in folded] == ["a-0", "a-200"]
    assert [[file.source for file in passage.also_in] for passage in folded] == [[], ["b"]]


def test_a_copy_of_one_of_two_versions_is_folded_into_that_one() -> None:
    newer = STORY.replace("12 morts", "14 morts")

    folded = fold_copies([story(STORY, "a"), story(newer, "b"), story(newer, "c"), story(STORY, "d")])

    assert [[file.source for file in passage.also_in] for passage in folded] == [["d"], ["c"]]


def test_what_says_more_than_the_better_ranked_passages_stays() -> None:
    assert len(fold_copies([story(LEAD, "a"), story(STORY, "b")])) == 2


def test_every_file_is_named_once_with_the_files_that_it_names() -> None:
    named = File("c", "Titre de c", "d.txt")
    copies = [story(STORY, "b"), replace(story(STORY, "c"), also_in=(named,)), story(STORY, "b", 7)]

    [folded] = fold_copies([story(STORY, "a"), *copies])

    assert [file.name for file in folded.also_in] == ["b.txt", "c.txt", "d.txt"]


def test_text_that_a_document_repeats_is_left_out_and_names_nothing() -> None:
    [folded] = fold_copies([story(STORY, "a"), story(STORY, "a", start=500)])

    assert folded.also_in == ()


def test_folding_again_changes_nothing() -> None:
    folded = fold_copies([story(STORY, "a"), story(LEAD, "b"), story(STORY.replace("12", "14"), "c")])

    assert fold_copies(folded) == folded
    assert [passage.source for passage in folded] == ["a", "c"]


@pytest.mark.parametrize("text", ["", "…", "« »", "Oui", "嵐が過ぎた。", "พายุผ่านไป"])
def test_short_texts_of_any_script_are_copies_of_equal_ones_alone(text: str) -> None:
    assert len(fold_copies([story(text, "a"), story(text, "b")])) == 1
    assert len(fold_copies([story(text, "a"), story("Non et non", "b")])) == 2


@pytest.mark.parametrize(
    "text",
    ["Il a dit : « L’eau monte » !", "a dit :\n« l'eau\nmonte ».", "Maire a dit « l'eau monte »"],
)
def test_a_quote_stands_in_a_text_whatever_its_marks_and_spaces(text: str) -> None:
    assert stands_in("a dit « l'eau monte »".replace("l'", text[text.index("eau") - 2] + "’"), text)


@pytest.mark.parametrize("quote", ["l'eau mont", "eau qui monte", "monte l'eau", "", "« »"])
def test_a_quote_of_other_words_does_not_stand_in_a_text(quote: str) -> None:
    assert not stands_in(quote, "Il a dit que l'eau monte.")


def test_words_have_no_case_no_marks_and_one_form() -> None:
    assert words("L’Été, l'été : e\u0301té ﬁn") == ("l", "été", "l", "été", "été", "fin")

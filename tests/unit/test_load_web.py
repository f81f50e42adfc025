import pytest

from index.errors import UnreadableFile
from index.loaders.book import read_epub
from index.loaders.mail import read_eml
from index.loaders.parts import Loaded
from index.loaders.web import read_html
from tests.files import epub

ARTICLE = """<!DOCTYPE html><html lang="fr"><head><meta charset="{charset}">
<title>Un accord à Miami - Le Journal</title><meta name="author" content="Claire Dupont">
<meta property="article:published_time" content="2025-11-06T08:30:00+01:00"></head><body>
<div id="cookie-banner" class="cookie-consent"><p>Nous utilisons des cookies pour améliorer votre expérience.</p></div>
<nav><ul><li><a href="/">Accueil</a></li><li><a href="/sport">Sport</a></li></ul></nav>
<main><article><h1>Un accord à Miami</h1>
<p>Les deux pays ont signé mercredi un accord à Miami après trois jours de négociations, a annoncé le ministère.</p>
<h2>Un texte court</h2>
<p>Le texte, de quatre pages, prévoit un échange de prisonniers et l’ouverture de deux routes. R&amp;D : 1 &lt; 2.</p>
<ul><li>premier point du texte</li><li>second point du texte</li></ul>
<table><tr><th>Ville</th><th>Prix moyen</th></tr><tr><td>Paris</td><td>12 euros</td></tr></table>
</article></main><footer>Mentions légales - Plan du site - Contact</footer></body></html>"""


def texts(loaded: Loaded) -> list[tuple[tuple[str, ...], str]]:
    return [(part.path, part.text) for part in loaded.parts]


def test_of_a_web_page_only_its_article_is_read() -> None:
    loaded = read_html(ARTICLE.format(charset="utf-8").encode())

    assert texts(loaded) == [
        (
            ("Un accord à Miami",),
            "Un accord à Miami\n\n"
            "Les deux pays ont signé mercredi un accord à Miami après trois jours de négociations, "
            "a annoncé le ministère.",
        ),
        (
            ("Un accord à Miami", "Un texte court"),
            "Un texte court\n\n"
            "Le texte, de quatre pages, prévoit un échange de prisonniers et l’ouverture de deux routes. "
            "R&D : 1 < 2.\n\n- premier point du texte\n- second point du texte\n\nVille | Prix moyen\nParis | 12 euros",
        ),
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Un accord à Miami", "2025-11-06", "Claire Dupont")


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "cp1252"),
        ("iso-8859-1", "cp1252"),
        ("windows-1251", "cp1252"),
        ("utf-16", "utf-8"),
        ("nonsense", "cp1252"),
        ("undefined", "utf-8"),
        ("x", "utf-16"),
    ],
)
def test_a_web_page_is_decoded_as_it_is_whatever_it_declares(charset: str, encoding: str) -> None:
    page = ARTICLE.format(charset=charset)
    if charset == "windows-1251":
        encoding = "cp1251"
        page = page.replace("négociations", "переговоров").encode(encoding, "ignore").decode(encoding)

    text = "\n".join(text for _, text in texts(read_html(page.encode(encoding))))

    assert ("переговоров" if encoding == "cp1251" else "l’ouverture de deux routes") in text


def test_a_web_page_that_declares_no_encoding_keeps_its_accents() -> None:
    page = "<html><body><h1>Le café</h1><pre>L'été était très chaud, 3,50 €.\n« Voilà ! »</pre></body></html>"

    [(_, text)] = texts(read_html(page.encode("cp1252")))

    assert "L'été était très chaud, 3,50 €." in text


def test_a_page_that_is_no_article_is_read_whole_but_for_what_stands_around() -> None:
    page = (
        "<html><head><title>Contacts</title></head><body><nav>Accueil</nav>"
        "<p>Anne<br>01 02 03</p><div>Bob <b>gr</b>as<div>04</div>fin</div><script>x()</script><p hidden>caché</p>"
        "</body></html>"
    )

    loaded = read_html(page.encode())

    assert loaded.title == "Contacts"
    assert "Anne\n01 02 03\n\nBob gras\n\n04\n\nfin" in texts(loaded)[0][1]
    assert not any(word in texts(loaded)[0][1] for word in ("Accueil", "x()", "caché"))


def test_a_page_with_broken_tags_is_read_all_the_same() -> None:
    [(_, text)] = texts(read_html(b"<html><body><m<>Un <p}un>texte</p}un>.<x\xc2\xa0y>Fin.</body></html>"))

    assert text == "Un texte.Fin."


def test_what_is_taken_for_an_author_but_is_none_is_left_out() -> None:
    page = ARTICLE.format(charset="utf-8").replace(
        "Claire Dupont", "Authority control databases National United States"
    )

    assert read_html(page.encode()).author is None


def test_a_table_that_lays_out_a_page_is_no_table() -> None:
    layout = "<table><tr><td><h2>Titre</h2><p>Un.</p></td><td><ul><li>deux</li></ul></td></tr></table>"

    assert texts(read_html(f"<html><body>{layout}</body></html>".encode())) == [(("Titre",), "Titre\n\nUn.\n\n- deux")]


MESSAGE = """Subject: =?utf-8?q?R=C3=A9union_de_jeudi?=\r
From: =?utf-8?q?H=C3=A9l=C3=A8ne?= Martin <helene@example.org>\r
To: Bob <bob@example.org>\r
Date: Fri, 16 Dec 2022 23:04:16 -0500\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=outer\r
\r
--outer\r
Content-Type: multipart/alternative; boundary=inner\r
\r
--inner\r
Content-Type: text/plain; charset=iso-8859-15\r
Content-Transfer-Encoding: quoted-printable\r
\r
Bonjour,\r
le prix est de 5 =A4, c=E2=80=\r
=A6\r
--inner\r
Content-Type: text/html\r
\r
<p>HTML</p>\r
--inner--\r
--outer\r
Content-Type: text/plain\r
Content-Disposition: attachment; filename=a.txt\r
\r
Une pièce jointe.\r
--outer--\r
"""


def test_a_message_says_who_wrote_when_about_what_and_its_text() -> None:
    loaded = read_eml(MESSAGE.replace("=E2=80=\r\n=A6", "'est").encode())

    assert texts(loaded) == [
        (
            (),
            "Subject: Réunion de jeudi\nFrom: Hélène Martin <helene@example.org>\nTo: Bob <bob@example.org>\n"
            "Date: Fri, 16 Dec 2022 23:04:16 -0500\n\nBonjour,\nle prix est de 5 €, c'est",
        )
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Réunion de jeudi", "2022-12-16", "Hélène Martin")


def test_the_html_of_a_message_is_read_where_there_is_no_text() -> None:
    message = (
        "Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Un <b>été</b>.<br>Fin</p><ul><li>un</li></ul>"
    )

    assert texts(read_eml(message.encode())) == [((), "Subject: x\n\nUn été.\nFin\n\n- un")]


@pytest.mark.parametrize("charset", ["nonsense", "us-ascii", "undefined"])
def test_a_message_in_an_encoding_that_is_not_so_is_read_all_the_same(charset: str) -> None:
    message = f"From: @@\r\nDate: hier\r\nContent-Type: text/plain; charset={charset}\r\n\r\nL'été."

    loaded = read_eml(message.encode("cp1252"))

    assert texts(loaded)[0][1].endswith("\n\nL'été.")
    assert (loaded.title, loaded.date) == (None, None)


def test_chapters_of_a_book_stand_under_their_headings_or_their_names() -> None:
    book = epub(
        {
            "un.xhtml": "<h1>Chapitre &amp; un</h1><p>Du<b>rand</b>&nbsp;: 1 &lt; 2<br/>ligne</p>"
            "<h2>Suite</h2><p>Fin.</p>",
            "deux%20a.xhtml": "",
            "trois.xhtml": "<p>Sans nom.</p>",
        },
        contents='<navPoint><navLabel><text>Le deux</text></navLabel><content src="text/deux%20a.xhtml#x"/></navPoint>',
        about="<dc:title>Le livre</dc:title><dc:creator>Émile Z.</dc:creator><dc:creator>Anne</dc:creator>"
        "<dc:date>1999</dc:date>",
        extra={"book/text/deux a.xhtml": "<p>Sans titre.</p><table><tr><td>a b</td><td>c</td></tr></table>"},
    )

    loaded = read_epub(book)

    assert texts(loaded) == [
        (("Chapitre & un",), "Chapitre & un\n\nDurand\u00a0: 1 < 2\nligne"),
        (("Chapitre & un", "Suite"), "Suite\n\nFin."),
        (("Le deux",), "Sans titre.\n\na b | c"),
        ((), "Sans nom."),
    ]
    assert (loaded.title, loaded.date, loaded.author) == ("Le livre", "1999-01-01", "Émile Z., Anne")


def test_a_book_for_one_reader_only_says_so() -> None:
    rights = '<encryption><EncryptedData><CipherReference URI="book/text/a.xhtml"/></EncryptedData></encryption>'

    with pytest.raises(UnreadableFile, match="protected against copying"):
        read_epub(epub({"a.xhtml": "x"}, extra={"META-INF/encryption.xml": rights}))


def test_a_book_does_not_reach_out_of_its_archive() -> None:
    book = epub({"../../../../../../etc/passwd": "<p>Dehors.</p>", "a.xhtml": "<p>Dedans.</p>"})

    assert texts(read_epub(book)) == [((), "Dedans.")]

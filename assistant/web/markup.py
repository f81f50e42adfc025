"""A conversation as the markup of the chat page.

Questions, answers and documents are hostile text: whatever stands in them is shown as characters. So each
piece goes through `plain`, and every tag on the page is written in this file.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial

from assistant.types import Answer, Citation, named
from assistant.web.panel import citation_link, passage_link
from assistant.web.start import Facts
from assistant.web.texts import Texts
from index.types import Passage

_MARKER = re.compile(r"\[(\d{1,3})\]")
STRONG = "<strong>{}</strong>"
_NOT_PLAIN = re.compile(r"[\x00-\x1f!-/:-@\[-`{-~\x7f]")


def plain(text: str) -> str:
    """Write text so that neither HTML nor Markdown sees anything in it.

    All ASCII punctuation and control characters become numeric entities: `<b>` and `**b**` stay what they
    are, and a line break cannot end the HTML block that Markdown is inside of.
    """
    return _NOT_PLAIN.sub(lambda match: f"&#{ord(match[0])};", text)


def header_markup(title: str) -> str:
    """Name the page, and offer what is always at hand; the script writes the words of `data-name` and `data-word`."""
    return (
        '<div class="side"><button type="button" id="history-open" data-name="conversations">☰</button>'
        f"<h1>{plain(title)}</h1></div>"
        '<div class="side"><button type="button" id="documents-open" data-word="documents_title" hidden></button>'
        '<button type="button" id="language" data-word="other_language" data-name="switch_language">'
        '</button><button type="button" id="theme" data-name="switch_theme">◐</button>'
        '<button type="button" id="new" data-word="new"></button></div>'
    )


def greeting_markup(texts: Texts, facts: Facts, ready: bool) -> str:
    """Greet on an empty page: what this is, how much is indexed, what can be asked, whether the model still loads."""
    loading = "" if ready else f'<p class="status working loading" role="status">{plain(texts.loading)}</p>'
    count = texts.documents(facts.documents)
    if facts.changed and facts.documents:
        count += " " + texts.changed.format(texts.day(facts.changed))
    # Shown where documents may be added.
    add = "" if facts.documents else f'<p><button type="button" class="add">{plain(texts.add_documents)}</button></p>'
    examples = "".join(
        f'<button type="button" class="example" dir="auto">{plain(question)}</button>' for question in facts.examples
    )
    return (
        f'<div class="greeting"><h2>{plain(facts.greeting or texts.greeting)}</h2><p>{plain(texts.invitation)}</p>'
        f'<p class="count">{plain(count)}</p>{add}<div class="examples">{examples}</div>{loading}</div>'
    )


def question_markup(question: str, texts: Texts) -> str:
    """Show what the person asked."""
    edit = f'<button type="button" class="edit">{plain(texts.edit)}</button>'
    return f'<div class="asked"><div class="said" dir="auto">{plain(question)}</div>{edit}</div>'


def waiting_markup(status: str, text: str = "") -> str:
    """Show an answer under way: what is there of it, and what is being done."""
    said = f'<div class="said" dir="auto">{plain(text)}</div>' if text else ""
    return f'<div class="answer">{said}<p class="status working">{plain(status)}</p></div>'


def broken_markup(note: str, text: str, texts: Texts) -> str:
    """Show what there is of an answer that will not be finished, and why."""
    said = f'<div class="said" dir="auto">{plain(text)}</div>' if text else ""
    actions = f'<div class="actions">{_button("retry", texts.retry)}</div>'
    return f'<div class="answer">{said}<p class="status">{plain(note)}</p>{actions}</div>'


def note_markup(note: str) -> str:
    """Show a remark of the page's own."""
    return f'<p class="status">{plain(note)}</p>'


def answer_markup(answer: Answer, texts: Texts, good: bool | None = None) -> str:
    """Show a finished answer: its markers and the cards below lead to the quotes in their documents.

    good: what the person thought of it.
    """
    note = note_markup(texts.notices[answer.notice.kind]) if answer.notice else ""
    said = f'<div class="said" dir="auto">{_with_links(answer, texts)}</div>'
    actions = (
        f'<div class="actions">{_button("copy", texts.copy)}{_button("retry", texts.retry)}'
        f"{_button('good', texts.good, good is True)}{_button('bad', texts.bad, good is False)}</div>"
    )
    below = _cited(answer, texts) if answer.answered else _nearest(answer.passages, texts)
    return f'<div class="answer done">{note}{said}{actions}{below}{_usage(answer, texts)}</div>'


def label(passage: Passage, texts: Texts) -> str:
    """Name the place of a passage in a line: title, section, day and page."""
    return ", ".join([passage.place, *_details(passage, texts).values()])


def _button(name: str, shown: str, pressed: bool = False) -> str:
    return f'<button type="button" class="{name}{" pressed" if pressed else ""}">{plain(shown)}</button>'


def _with_links(answer: Answer, texts: Texts) -> str:
    """Write the text with a link for each marker.

    The words that answer are strong; sentences that no passage supports stand apart.
    """
    links = {citation.number: _marker(citation, texts) for citation in answer.citations}
    apart = [(one.start, one.end, '<span class="unsupported">{}</span>') for one in answer.unsupported]
    strong = [(*span, STRONG) for span in map(partial(_words_in, answer.text), answer.citations) if span]
    written, at = [], 0
    for start, end, tag in sorted(apart + strong):
        if start >= at:
            written += [_linked(answer.text[at:start], links), tag.format(_linked(answer.text[start:end], links))]
            at = end
    written.append(_linked(answer.text[at:], links))
    # A marker does not begin a line of its own.
    return "".join(written).replace(' <a class="marker"', '&#160;<a class="marker"')


def _words_in(text: str, citation: Citation) -> tuple[int, int] | None:
    """Find where the text of an answer has the words of a quote that answer."""
    at = text.find(citation.quote)
    if citation.answer is None or at < 0:
        return None
    return at + citation.answer[0] - citation.start, at + citation.answer[1] - citation.start


def _linked(text: str, links: Mapping[int, str]) -> str:
    pieces = _MARKER.split(text)
    written = [plain(pieces[0])]
    for number, after in zip(pieces[1::2], pieces[2::2], strict=True):
        written += [links.get(int(number), plain(f"[{number}]")), plain(after)]
    return "".join(written)


def _marker(citation: Citation, texts: Texts) -> str:
    title = f"{texts.source.format(citation.number)}: {label(citation.passage, texts)}"
    link = f'class="marker" href="{plain(citation_link(citation))}"'
    return f'<a {link} title="{plain(title)}">{citation.number}</a>'


def _usage(answer: Answer, texts: Texts) -> str:
    """Tell what the language model read and wrote, and how long it took; nothing where none wrote."""
    if answer.usage is None:
        return ""
    told = texts.usage(answer.usage.input_tokens, answer.usage.output_tokens, answer.seconds.total)
    return f'<p class="usage">{plain(answer.usage.model)} · {plain(told)}</p>'


def _cited(answer: Answer, texts: Texts) -> str:
    cited = "".join(_citation(citation, texts) for citation in answer.citations)
    used = {citation.passage.id for citation in answer.citations}
    others = [passage for passage in answer.passages if passage.id not in used]
    more = _disclosure(texts.others(len(others)), others, texts) if others else ""
    return f'<div class="sources"><h2>{plain(texts.sources)}</h2><div class="cited">{cited}</div>{more}</div>'


def _nearest(passages: tuple[Passage, ...], texts: Texts) -> str:
    if not passages:
        return f'<p class="status">{plain(texts.nothing_near)}</p>'
    return f'<div class="sources">{_disclosure(texts.nearest, passages, texts, is_open=True)}</div>'


def _citation(citation: Citation, texts: Texts) -> str:
    number = f'<span class="number">{citation.number}</span>'
    quote = plain(citation.quote)
    if span := _words_in(citation.quote, citation):
        before, words, after = citation.quote[: span[0]], citation.quote[slice(*span)], citation.quote[span[1] :]
        quote = plain(before) + STRONG.format(plain(words)) + plain(after)
    return _card(citation_link(citation), f"{number}{_place(citation.passage, texts)}", quote) + (
        f'<p class="also">{plain(texts.also_in.format(named(citation.also_in)))}</p>' if citation.also_in else ""
    )


def _disclosure(summary: str, passages: Iterable[Passage], texts: Texts, *, is_open: bool = False) -> str:
    inside = "".join(_card(passage_link(passage), _place(passage, texts), plain(passage.text)) for passage in passages)
    opened = " open" if is_open else ""
    return f'<details class="others"{opened}><summary>{plain(summary)}</summary>{inside}</details>'


def _card(link: str, place: str, quote: str) -> str:
    """Show where something stands and how it reads, as HTML; the whole of it opens the document there."""
    return (
        f'<a class="card" href="{plain(link)}"><span class="place">{place}</span>'
        f'<span class="quote" dir="auto">{quote}</span></a>'
    )


def _place(passage: Passage, texts: Texts) -> str:
    """Name where a passage stands: title and, where it has them, section, day and page."""
    place = f'<span class="title" dir="auto">{plain(passage.title)}</span>'
    if passage.section is not None:
        place += f'<span class="section" dir="auto">{plain(passage.section)}</span>'
    return place + "".join(
        f'<span class="{name}">{plain(detail)}</span>' for name, detail in _details(passage, texts).items()
    )


def _details(passage: Passage, texts: Texts) -> dict[str, str]:
    """Give what is known of day and page, in the language of the page."""
    details = {}
    if passage.day is not None:
        details["day"] = texts.day(passage.day)
    if passage.page is not None:
        details["page"] = texts.page.format(passage.page)
    return details

"""Every word of ours that the page shows, in the languages it speaks."""

import datetime
from dataclasses import asdict, dataclass
from typing import Any

from assistant.errors import TooManyQuestions


@dataclass(frozen=True, slots=True)
class Texts:
    """The words of the page in one language; `{}` is the place of a number or a name."""

    language: str
    """ISO 639-1."""
    greeting: str
    invitation: str
    documents_none: str
    documents_one: str
    documents_many: str
    loading: str
    question: str
    placeholder: str
    send: str
    stop: str
    new: str
    conversation: str
    searching: str
    waiting_for_model: str
    writing: str
    stopped: str
    source: str
    sources: str
    others_one: str
    others_many: str
    nearest: str
    nothing_near: str
    page: str
    also_in: str
    months: tuple[str, ...]
    copy: str
    copied: str
    changed: str
    retry: str
    edit: str
    editing: str
    cancel: str
    good: str
    bad: str
    conversations: str
    no_conversations: str
    rename: str
    delete: str
    delete_sure: str
    export: str
    other_language: str
    switch_language: str
    switch_theme: str
    thanks: str
    opinion_not_kept: str
    chat_not_kept: str
    why_bad: str
    wrong: str
    incomplete: str
    unanswerable: str
    answerable: str
    comment: str
    send_opinion: str
    close: str
    previous_source: str
    next_source: str
    source_of: str
    """Which of the sources is shown: 1 of 3."""
    stored_text: str
    pdf: str
    new_tab: str
    opening: str
    source_gone: str
    unreachable: str
    lost: str
    documents_title: str
    add_documents: str
    drop_here: str
    drop_anywhere: str
    choose_files: str
    choose_folder: str
    upload_limit: str
    """The size of one file in megabytes."""
    queued: str
    sending: str
    sent: str
    waiting: str
    reading: str
    indexed: str
    cancelled: str
    comparing: str
    indexing: str
    """How many documents are done, of how many."""
    index_now: str
    left_waiting: str
    stop_all: str
    sync_done: str
    """How many documents were added, how many files cannot be read."""
    sync_stopped: str
    sync_failed: str
    upload_failed: str
    file_too_large: str
    no_room: str
    nothing_dropped: str
    search_documents: str
    passage_one: str
    passages: str
    found_of: str
    and_more: str
    remove: str
    remove_sure: str
    removing: str
    removed: str
    notices: dict[str, str]
    """Why the answer is made of sentences of the documents, by the kind of Notice."""
    tokens: str
    """How many a language model read and wrote, and in how many seconds."""
    seconds: str
    minutes: str
    hours: str
    errors: dict[str, str]
    """By the name of the error; "" for every other."""
    reasons: dict[str, str]
    """Why a file cannot be read, by words that stand in the reason the index gives, which is in English."""

    def documents(self, count: int) -> str:
        """Say how many documents are indexed."""
        if count == 0:
            return self.documents_none
        if count == 1:
            return self.documents_one
        return self.documents_many.format(_grouped(count, self.language))

    def others(self, count: int) -> str:
        """Say how many passages were found and not cited."""
        return self.others_one if count == 1 else self.others_many.format(count)

    def day(self, day: str) -> str:
        """Write a day (ISO 8601) in words; a date that is none, such as a year alone, as it is."""
        try:
            date = datetime.date.fromisoformat(day)
        except ValueError:
            return day
        number = "1er" if date.day == 1 and self.language == "fr" else date.day
        return f"{number} {self.months[date.month - 1]} {date.year}"

    def error(self, error: Exception) -> str:
        """Say what went wrong and what to do."""
        text = self.errors.get(type(error).__name__, self.errors[""])
        return text.format(self.wait(error.retry_seconds)) if isinstance(error, TooManyQuestions) else text

    def reason(self, reason: str) -> str:
        """Say why a file cannot be read; a reason that is not known here stays as it is."""
        return next((text for words, text in self.reasons.items() if words in reason), reason)

    def usage(self, input_tokens: int, output_tokens: int, seconds: float) -> str:
        """Say what a language model read and wrote, and in which time."""
        counts = (_grouped(input_tokens, self.language), _grouped(output_tokens, self.language))
        return self.tokens.format(*counts, f"{seconds:.1f}".replace(".", "," if self.language == "fr" else "."))

    def wait(self, seconds: int) -> str:
        """Say how long to wait, rounded up: 40 seconds, 3 minutes, 5 hours."""
        for unit, name in ((3600, self.hours), (60, self.minutes)):
            if seconds > 1.5 * unit:
                return name.format(-(-seconds // unit))
        return self.seconds.format(seconds)

    def labels(self) -> dict[str, Any]:
        """Give the fixed words by name, as Gradio's I18n takes them."""
        return {name: text for name, text in asdict(self).items() if isinstance(text, str)}


FRENCH = Texts(
    language="fr",
    greeting="Interrogez vos documents",
    invitation="Chaque réponse cite, mot pour mot, les passages sur lesquels elle s’appuie. "
    "Si les documents ne disent rien, la réponse le dit.",
    documents_none="Aucun document n’est indexé pour l’instant.",
    documents_one="1 document indexé.",
    documents_many="{} documents indexés.",
    loading="Le modèle se charge ; la première question attendra qu’il soit prêt.",
    question="Votre question",
    placeholder="Posez une question…",
    send="Envoyer",
    stop="Arrêter",
    new="Nouvelle conversation",
    conversation="Conversation",
    searching="Recherche dans les documents…",
    waiting_for_model="Le modèle se charge, votre question attend…",
    writing="Rédaction…",
    stopped="Réponse interrompue.",
    source="Source {}",
    sources="Sources",
    others_one="1 autre passage trouvé, non cité",
    others_many="{} autres passages trouvés, non cités",
    nearest="Les passages les plus proches, qui ne répondent pas à la question",
    nothing_near="Aucun passage proche n’a été trouvé.",
    page="page {}",
    also_in="Aussi dans : {}",
    months=(
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
    copy="Copier",
    copied="Copié",
    changed="Mis à jour le {}.",
    retry="Réessayer",
    edit="Modifier",
    editing="La réponse qui suit sera remplacée.",
    cancel="Annuler",
    good="Bonne réponse",
    bad="Mauvaise réponse",
    conversations="Conversations",
    no_conversations="Aucune conversation gardée pour l’instant.",
    rename="Renommer",
    delete="Supprimer",
    delete_sure="Supprimer cette conversation ?",
    export="Exporter en Markdown",
    other_language="EN",
    switch_language="Switch to English",
    switch_theme="Clair ou sombre",
    thanks="Merci, votre avis est gardé.",
    opinion_not_kept="Votre avis n’a pas pu être gardé. Réessayez plus tard, ou prévenez qui tient ce service.",
    chat_not_kept="Cette conversation ne peut pas être gardée en ce moment : copiez ce qui doit rester, et prévenez "
    "qui tient ce service.",
    why_bad="Qu’est-ce qui ne va pas ?",
    wrong="La réponse est fausse",
    incomplete="Il manque quelque chose",
    unanswerable="Les documents ne le disent pas",
    answerable="Les documents y répondent",
    comment="Votre commentaire (facultatif)",
    send_opinion="Envoyer l’avis",
    close="Fermer",
    previous_source="Source précédente",
    next_source="Source suivante",
    source_of="{} sur {}",
    stored_text="Texte",
    pdf="PDF",
    new_tab="Ouvrir le PDF dans un nouvel onglet",
    opening="Ouverture du document…",
    source_gone="Ce document n’est plus indexé.",
    unreachable="Le serveur ne répond pas. Réessayez dans un instant.",
    lost="Le serveur ne répond plus. La page reprend d’elle-même dès qu’il répond ; ce que vous écrivez ici y reste.",
    documents_title="Documents",
    add_documents="Ajouter des documents",
    drop_here="Déposez ici des fichiers ou un dossier, ou choisissez-les :",
    drop_anywhere="Déposez pour ajouter à vos documents",
    choose_files="Fichiers…",
    choose_folder="Dossier…",
    upload_limit="{} Mo par fichier au plus. Les fichiers sont copiés sur le serveur.",
    queued="en attente d’envoi",
    sending="envoi…",
    sent="envoyé",
    waiting="en attente d’indexation",
    reading="lecture…",
    indexed="indexé",
    cancelled="annulé",
    comparing="Comparaison avec ce qui est indexé…",
    indexing="Indexation : {} sur {}",
    index_now="Indexer",
    left_waiting="Des fichiers envoyés ne sont pas encore indexés.",
    stop_all="Tout arrêter",
    sync_done="Terminé. Documents ajoutés : {} ; fichiers illisibles : {}.",
    sync_stopped="Arrêté. Ce qui est déjà indexé le reste.",
    sync_failed="L’indexation a échoué. Le journal du serveur dit pourquoi.",
    upload_failed="l’envoi a échoué",
    file_too_large="trop volumineux",
    no_room="plus de place : supprimez des documents",
    nothing_dropped="Aucun fichier n’y a été trouvé.",
    search_documents="Chercher parmi les documents",
    passage_one="1 passage",
    passages="{} passages",
    found_of="{} sur {}",
    and_more="… et {} autres. Précisez la recherche.",
    remove="Supprimer",
    remove_sure="Supprimer ce document, et son fichier sur le serveur ?",
    removing="Suppression…",
    removed="Le document est supprimé.",
    notices={
        "ModelUnavailable": "Le modèle de langage n’est pas disponible : voici des phrases des documents.",
        "ModelFailed": "Le modèle de langage s’est interrompu : voici des phrases des documents.",
        "RateLimited": "Le modèle de langage est trop sollicité : voici des phrases des documents.",
    },
    tokens="{} jetons lus, {} écrits, {} s",
    seconds="{} secondes",
    minutes="{} minutes",
    hours="{} heures",
    errors={
        "InvalidQuestion": "La question est vide ou dépasse 2 000 caractères. Raccourcissez-la.",
        "ModelUnavailable": "Le modèle de langage n’est pas disponible. Prévenez qui tient ce service.",
        "ModelFailed": "Le modèle de langage s’est interrompu. Posez la question à nouveau.",
        "RateLimited": "Trop de questions en peu de temps. Réessayez dans un instant.",
        "TooManyQuestions": "Vous avez posé beaucoup de questions. Revenez dans {}.",
        "Busy": "Trop de questions en même temps. Réessayez dans quelques secondes.",
        "IndexNotFound": "Aucun document n’est indexé pour l’instant.",
        "": "Une erreur est survenue. Réessayez ; si elle revient, prévenez qui tient ce service.",
    },
    reasons={
        "needs a password": "protégé par un mot de passe ; enregistrez une copie sans mot de passe",
        "protected in a way": "protégé d’une manière inconnue ici ; enregistrez une copie sans protection",
        "protected against copying": "protégé contre la copie : seul son propre lecteur l’ouvre",
        "as attacks do": "construit comme une attaque ; enregistrez-le à nouveau avec une suite bureautique",
        "scanned pages, no text": "pages numérisées, sans texte ; l’extra OCR les lirait",
        "scanned pages": "pages numérisées où aucun texte n’a été reconnu",
        "a picture in which": "image où aucun texte n’a été reconnu",
        "a picture;": "image ; l’extra OCR lirait son texte",
        "too many pixels": "image trop grande",
        "OCR failed": "la reconnaissance du texte a échoué",
        "not a text file": "ce n’est pas un fichier texte, malgré son nom",
        "no loader for": "ce genre de fichier n’est pas lu",
        "a ZIP archive": "archive ZIP ; déposez plutôt le dossier qu’elle contient",
        "an old Office program": "fichier d’un ancien Office ; enregistrez-le en .docx, .xlsx ou .pptx",
        "mostly empty": "feuille presque vide mais immense ; supprimez ce qui se trouve très loin",
        "broken": "fichier abîmé",
        "no text in it": "aucun texte dedans",
        "it is empty": "fichier vide",
        "more than": "trop long à lire ; découpez-le",
        "the limit is": "trop volumineux pour être lu ; découpez-le",
        "the reader": "sa lecture a échoué",
    },
)

ENGLISH = Texts(
    language="en",
    greeting="Ask your documents",
    invitation="Every answer quotes, word for word, the passages it rests on. "
    "When the documents do not hold the answer, it says so.",
    documents_none="No document is indexed yet.",
    documents_one="1 document indexed.",
    documents_many="{} documents indexed.",
    loading="The model is loading; the first question will wait until it is ready.",
    question="Your question",
    placeholder="Ask a question…",
    send="Send",
    stop="Stop",
    new="New conversation",
    conversation="Conversation",
    searching="Searching the documents…",
    waiting_for_model="The model is loading, your question is waiting…",
    writing="Writing…",
    stopped="Answer stopped.",
    source="Source {}",
    sources="Sources",
    others_one="1 other passage found, not cited",
    others_many="{} other passages found, not cited",
    nearest="The nearest passages, which do not answer the question",
    nothing_near="No passage comes near.",
    page="page {}",
    also_in="Also in: {}",
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    copy="Copy",
    copied="Copied",
    changed="Updated on {}.",
    retry="Try again",
    edit="Edit",
    editing="The answer after it will be replaced.",
    cancel="Cancel",
    good="Good answer",
    bad="Bad answer",
    conversations="Conversations",
    no_conversations="No conversation is kept yet.",
    rename="Rename",
    delete="Delete",
    delete_sure="Delete this conversation?",
    export="Export as Markdown",
    other_language="FR",
    switch_language="Passer au français",
    switch_theme="Light or dark",
    thanks="Thank you, your opinion is kept.",
    opinion_not_kept="Your opinion could not be kept. Try again later, or tell whoever runs this service.",
    chat_not_kept="This conversation cannot be kept at the moment: copy what you need, and tell whoever runs this "
    "service.",
    why_bad="What is wrong with it?",
    wrong="The answer is wrong",
    incomplete="Something is missing",
    unanswerable="The documents do not say so",
    answerable="The documents do answer it",
    comment="Your comment (optional)",
    send_opinion="Send your opinion",
    close="Close",
    previous_source="Previous source",
    next_source="Next source",
    source_of="{} of {}",
    stored_text="Text",
    pdf="PDF",
    new_tab="Open the PDF in a new tab",
    opening="Opening the document…",
    source_gone="This document is no longer indexed.",
    unreachable="The server does not answer. Try again in a moment.",
    lost="The server no longer answers. The page goes on by itself as soon as it does; what you write here stays.",
    documents_title="Documents",
    add_documents="Add documents",
    drop_here="Drop files or a folder here, or choose them:",
    drop_anywhere="Drop to add to your documents",
    choose_files="Files…",
    choose_folder="Folder…",
    upload_limit="Up to {} MB a file. Files are copied to the server.",
    queued="waiting to be sent",
    sending="sending…",
    sent="sent",
    waiting="waiting to be indexed",
    reading="being read…",
    indexed="indexed",
    cancelled="cancelled",
    comparing="Comparing with what is indexed…",
    indexing="Indexing: {} of {}",
    index_now="Index",
    left_waiting="Some files that were sent are not indexed yet.",
    stop_all="Stop all",
    sync_done="Done. Documents added: {}; files that cannot be read: {}.",
    sync_stopped="Stopped. What is indexed already stays so.",
    sync_failed="Indexing failed. The log of the server says why.",
    upload_failed="could not be sent",
    file_too_large="too large",
    no_room="no room left: remove some documents",
    nothing_dropped="There was no file in it.",
    search_documents="Search the documents",
    passage_one="1 passage",
    passages="{} passages",
    found_of="{} of {}",
    and_more="… and {} more. Narrow the search.",
    remove="Remove",
    remove_sure="Remove this document, and its file on the server?",
    removing="Removing…",
    removed="The document is removed.",
    notices={
        "ModelUnavailable": "The language model is not available: these are sentences of the documents.",
        "ModelFailed": "The language model broke off: these are sentences of the documents.",
        "RateLimited": "The language model is asked too much: these are sentences of the documents.",
    },
    tokens="{} tokens read, {} written, {} s",
    seconds="{} seconds",
    minutes="{} minutes",
    hours="{} hours",
    errors={
        "InvalidQuestion": "The question is empty or longer than 2,000 characters. Shorten it.",
        "ModelUnavailable": "The language model is not available. Tell whoever runs this service.",
        "ModelFailed": "The language model broke off. Ask again.",
        "RateLimited": "Too many questions in a short time. Try again in a moment.",
        "TooManyQuestions": "You have asked many questions. Come back in {}.",
        "Busy": "Too many questions at once. Try again in a few seconds.",
        "IndexNotFound": "No document is indexed yet.",
        "": "Something went wrong. Try again; if it comes back, tell whoever runs this service.",
    },
    reasons={},
)


def texts_for(accept_language: str) -> Texts:
    """Choose by the first language of an Accept-Language header: "fr-CA,en;q=0.9" → French; else English."""
    return FRENCH if accept_language.strip().lower().startswith("fr") else ENGLISH


def texts_in(language: str) -> Texts:
    """Give the words in a language that the page speaks: "fr" → French; else English."""
    return FRENCH if language == FRENCH.language else ENGLISH


def _grouped(count: int, language: str) -> str:
    """Write a number with its thousands apart: 12 345 in French, 12,345 in English."""
    return f"{count:,}".replace(",", "\u202f" if language == "fr" else ",")

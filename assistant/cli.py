"""The command line. Heavy imports stand inside the commands, so that `--help` answers at once."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal
from unicodedata import category

import typer

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

    from assistant.answer import Assistant, Trace
    from assistant.evaluation.data import Selection
    from assistant.evaluation.report import Report
    from assistant.keys import Keys
    from assistant.progress import Draw
    from assistant.settings import AssistantSettings
    from assistant.types import Answer, Message
    from assistant.web.mcp import Documents
    from index import Catalog, IndexSettings, Plan, Source, Stop, SyncReport

app = typer.Typer(
    help="Ask questions of your documents; get answers with verified citations, or an honest no.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

USAGE = 2
"""Exit status for wrong use, or nothing indexed; anything else that goes wrong is 1."""
FAILED = 1
STOPPED = 130
"""As a shell says of a process that Ctrl-C ended."""
RETRY_SECONDS = 10.0
"""How long after a server could not load its models it tries again."""

keys_app = typer.Typer(help="Make, list and revoke the API keys of programs.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

CHANGES = {
    ("added", True): "+ {0}",
    ("updated", True): "~ {0}",
    ("moved", False): "> {1} → {0}",
    ("copied", False): "= {0}  (the same as {1})",
    ("deleted", True): "- {0}",
    ("deleted", False): "- {0}  (the same stays at {1})",
}
"""What becomes of a path, and whether no other path has to do with it → the line that says so."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]


@app.command()
def index(  # noqa: PLR0913, PLR0917
    paths: Annotated[
        list[str] | None, typer.Argument(help="Folders or files; with --remove also ids.", show_default="seeds/")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Forget documents or folders, on the disk too.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index again from the files, of all folders it knows.")
    ] = False,
    engine: Annotated[
        Literal["plain", "ray"], typer.Option(help="Who reads and embeds: this computer, or a Ray cluster.")
    ] = "plain",
    as_json: AsJson = False,
) -> None:
    """Bring the index in step with folders or files; or forget some of it; or make it again."""
    if remove and (rebuild or not paths):
        raise typer.BadParameter("--remove takes ids, files or folders, and no --rebuild")
    if rebuild and dry_run:
        raise typer.BadParameter("--rebuild has no --dry-run: it would add every file")
    if engine == "ray" and (remove or rebuild):
        raise typer.BadParameter("--engine ray is for folders and files to index")
    with reported():
        from index import IndexSettings, plan, removal

        settings = IndexSettings()
        if dry_run:
            with catalog_as_it_is(settings) as catalog:
                print_plan(removal(paths or [], catalog) if remove else plan(folders(paths), catalog), as_json)
            return
        with stoppable() as stop:
            if remove:
                report = removed(settings, paths or [], stop)
            elif rebuild:
                report = rebuilt(settings, paths or [], stop)
            else:
                report = (spread if engine == "ray" else synced)(settings, folders(paths), stop)
        with catalog_as_it_is(settings) as catalog:
            documents, chunks = catalog.counts()
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report, documents, chunks)
    if report.pending:
        in_all = report.indexed + report.pending
        say(f"Stopped. {report.indexed} of {in_all} documents are indexed; run the same command to go on")
        raise typer.Exit(STOPPED)
    if not (report.indexed or remove):
        say("Nothing readable was found there. Name a folder or a file that holds text: assistant index FOLDER")
        raise typer.Exit(USAGE)


@app.command()
def ask(  # noqa: PLR0913, PLR0917
    question: Annotated[str, typer.Argument(help="In any language.", show_default=False)],
    history: Annotated[
        Path | None, typer.Option(help='The conversation so far, JSON: [{"role": "user", "content": "…"}, …]')
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Search this document only: its id or file, or a folder. Repeatable.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Search what was published from this day on: 2025-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Search what was published up to this day.")] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Search documents in this language only: fr. Repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question, with the passages that support the answer."""
    with reported():
        from assistant.answer import valid_question
        from assistant.owner import owner_of
        from index import Filter, IndexSettings, open_catalog

        settings = IndexSettings()
        valid_question(question)
        messages = read_history(history) if history else []
        where = Filter((), since, until, tuple(language or ()))
        with closing(open_catalog(settings)) as catalog:
            where = replace(where, sources=ids(source or [], catalog))
            paths = {source.id: source.path for source in catalog.sources()}
        if owner := owner_of(settings.path):
            answer = owner.ask(question, messages, where)
        else:
            with opened_assistant(settings) as assistant:
                answer = assistant.ask(question, messages, where)
    if as_json:
        print_json(answer.as_dict())
    else:
        print_answer(answer, paths)


@app.command()
def sources(
    id: Annotated[
        str | None, typer.Argument(help="Print the stored text of this document.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what is indexed, or print one document's stored text."""
    with reported():
        from index import IndexSettings, open_catalog

        with closing(open_catalog(IndexSettings())) as catalog:
            found = [source for source in catalog.sources() if id in (None, source.id)]
            text = catalog.text(id) if id else ""
    if id and as_json:
        print_json(found[0].as_dict() | {"text": text})
    elif id:
        print_text(text)
    elif as_json:
        print_json([source.as_dict() for source in found])
    else:
        print_sources(found)


@app.command("serve")
def serve_command(
    host: Host = "127.0.0.1",
    port: Port = 7860,
    watch: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Keep the index in step with this folder. Repeatable.",
            show_default=False,
        ),
    ] = None,
    root_path: Annotated[
        str | None, typer.Option(help="Path under which a proxy shows the server.", show_default="ASSISTANT_ROOT_PATH")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy in front.", show_default="ASSISTANT_TRUSTED_PROXIES"),
    ] = None,
) -> None:
    """Serve the chat page and the HTTP API; own the index, and do what other commands of its owner ask for."""
    with reported(), stopped_by_sigterm():
        from threading import Thread

        from assistant.logs import configure
        from assistant.settings import AssistantSettings
        from index import IndexSettings
        from index.memory import remember_few_shapes, share_memory

        given: dict[str, Any] = {"root_path": root_path, "trusted_proxies": " ".join(trusted_proxy or ()) or None}
        reached = AssistantSettings(**{name: value for name, value in given.items() if value is not None})
        configure(reached.log, reached.log_questions)
        # Before there are threads, and before PyTorch is imported.
        share_memory()
        remember_few_shapes()
        log = logging.getLogger(__name__)
        settings = IndexSettings()
        may_be_empty = bool(watch) or reached.uploads != "none"
        with opened_assistant(settings, may_be_empty) as assistant:
            Thread(target=load, args=(assistant,), daemon=True).start()
            from assistant.port import listen
            from assistant.watch import watching
            from assistant.web.app import serve
            from index import SyncQueue, following

            listener = listen(host, port)
            log.info("Sourcier answers at http://%s:%s (Ctrl-C stops it)", host, listener.getsockname()[1])
            if not (assistant.index.sources() or watch):
                log.info("Nothing is indexed yet. Add documents on the page, or by: assistant index FOLDER")
            with (
                following(assistant.index),
                SyncQueue(assistant.index) as queue,
                watching(watch or [], queue, settings.path, log.info),
            ):
                serve(assistant, queue, listener, settings.path, reached)


@app.command("mcp")
def mcp_command(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP, on this computer only.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on, with --http.")] = 7861,
) -> None:
    """Serve the tools ask, search and read_source by the Model Context Protocol, on standard input and output."""
    with reported():
        from assistant.port import listen
        from index import IndexSettings

        with tool_documents(IndexSettings()) as documents:
            from assistant.web.mcp import serve_http, serve_stdio

            if not http:
                serve_stdio(documents)
                return
            with listen("127.0.0.1", port) as listener:
                say(f"Sourcier's tools are at http://127.0.0.1:{port}/mcp (Ctrl-C stops it)")
                serve_http(documents, listener)


@app.command()
def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command
    folder: Annotated[
        Path | None, typer.Argument(help="With corpus.jsonl, or documents, and questions.jsonl.", show_default=False)
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="A file of questions, instead of those in FOLDER.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask so many of each file, a fixed sample.", show_default="all")
    ] = None,
    answers: Annotated[
        int | None, typer.Option(min=0, help="Only search, but for so many of these.", show_default="all")
    ] = None,
    min_words: Annotated[int, typer.Option(min=0, help="Leave out questions of fewer words.")] = 0,
    held_back: Annotated[
        bool, typer.Option("--held-back", help="Answer only about documents that the reader was not trained on.")
    ] = False,
    together: Annotated[
        bool, typer.Option("--together", help="Ask documents of all languages at once, not those of one at a time.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the risk-coverage curve into this file, as SVG.", show_default=False)
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Compare two results of --json instead.", metavar="BEFORE AFTER", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval, answers, citations and refusals by questions whose answers are known."""
    if (folder is None) == (compare is None):
        raise typer.BadParameter("Name either a folder to measure with, or two results: --compare BEFORE AFTER")
    with reported():
        from assistant.evaluation import report

        if compare:
            comparison = report.compare(*compare)
            print_lines([report.as_json(comparison)] if as_json else report.comparison_lines(comparison))
        if folder:
            from assistant.evaluation.data import Selection
            from assistant.evaluation.picture import risk_coverage_svg

            found = evaluated(folder, questions, Selection(limit, answers, min_words, held_back, together))
            print_lines([report.as_json(found)] if as_json else report.report_lines(found))
            if plot:
                plot.write_text(risk_coverage_svg(found), "utf-8")


@app.command()
def feedback(
    as_json: Annotated[bool, typer.Option("--json", help="As questions to measure with, and the answers.")] = False,
) -> None:
    """Print what people thought of the answers."""
    with reported():
        from assistant.settings import AssistantSettings
        from assistant.web.conversations import Conversations
        from assistant.web.feedback import as_questions

        settings = AssistantSettings()
        are_kept = settings.shared is not None or settings.chats_path.exists()
        opinions = Conversations(settings.chats).opinions() if are_kept else {}
        if as_json:
            print_json(as_questions(opinions))
            return
        for opinion in opinions.values():
            said = " · ".join(filter(None, [opinion.reason, opinion.comment]))
            typer.echo(f"{'+' if opinion.good else '-'} {printable(opinion.question)}\n    {printable(said)}")


@app.command()
def embed(
    origin: Annotated[str, typer.Option(help="Of the pages that will show the chat: https://example.org.")],
    server: Annotated[str, typer.Option(help="Where those pages find this server.")] = "http://127.0.0.1:7860",
    lang: Annotated[str, typer.Option(help="Language of the chat: fr or en.")] = "fr",
) -> None:
    """Print the line of HTML that puts the chat into pages of an origin, if they may show it."""
    with reported():
        from assistant.origins import Origins
        from assistant.settings import AssistantSettings
        from assistant.web.embed import snippet

        allowed = Origins.parse(AssistantSettings().embed_origins)
        try:
            [named] = Origins.parse(origin).listed
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if named not in allowed and named not in allowed.listed:
            listed = " ".join([*allowed.listed, named])
            say(f"{named} may not show the chat. Allow it: ASSISTANT_EMBED_ORIGINS={listed!r}")
            raise typer.Exit(USAGE)
        typer.echo(snippet(server, lang))


@keys_app.command("create")
def create_key(name: Annotated[str, typer.Argument(help="Whose key it is.", show_default=False)]) -> None:
    """Make a key and print it: it is kept as a hash, and can never be seen again."""
    with reported():
        typer.echo(opened_keys().create(name))


@keys_app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys: id, day, name."""
    with reported():
        found = opened_keys().all()
    if as_json:
        print_json([{"id": key.id, "name": key.name, "created": key.created} for key in found])
    else:
        print_lines(f"{key.id}  {key.created[:10]}  {printable(key.name)}" for key in found)


@keys_app.command("revoke")
def revoke_key(id: Annotated[str, typer.Argument(help="As the list shows it.", show_default=False)]) -> None:
    """Let a key open nothing any more, on a server that runs too."""
    with reported():
        say(f"Revoked: {printable(opened_keys().revoke(id).name)}")


@app.command()
def settings() -> None:
    """Print every setting, its value, and where it came from."""
    with reported():
        from assistant.settings import AssistantSettings
        from index import IndexSettings

        for group in (IndexSettings(), AssistantSettings()):
            for name, value, origin, meaning in rows(group):
                typer.echo(f"{name}={value}  ({origin})\n    {meaning}")


@app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(help="The archive to write.", dir_okay=False)],
) -> None:
    """Write the index into one file, as a backup or for another computer; also while a server runs."""
    with reported():
        from index import IndexSettings, export_index

        made = export_index(IndexSettings(), file)
    say(f"{file}: {made.documents} documents, {made.chunks} chunks")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="An archive that assistant export wrote.", exists=True, dir_okay=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of what is indexed.")] = False,
) -> None:
    """Put the index of an archive in place; one of another model or an earlier version is made again from its files."""
    with reported():
        from index import IndexSettings, StoreUnavailable, import_index, open_index
        from index.errors import EmbeddingMismatch

        settings = IndexSettings()
        made = import_index(settings, file, replace)
        say(f"{settings.path}: {made.documents} documents, {made.chunks} chunks, as sourcier {made.sourcier} had them")
        try:
            open_index(settings).close()
        except (EmbeddingMismatch, StoreUnavailable) as error:
            say(f"{error}\nIt is built again now, from the files that it was made of")
            with stoppable() as stop:
                report = rebuilt(settings, [], stop)
            say(str(report))


@app.command()
def doctor(host: Host = "127.0.0.1", port: Port = 7860, as_json: AsJson = False) -> None:
    """Look whether everything is there and sound, and say what to do where it is not; change nothing."""
    from assistant.doctor import examine

    found = list(examine(host, port))
    if as_json:
        print_json([asdict(finding) | {"good": finding.good} for finding in found])
    else:
        for finding in found:
            typer.echo(f"{'ok' if finding.good else '!!'}  {finding.about}: {printable(finding.says)}")
            if finding.advice:
                typer.echo(f"    {printable(finding.advice)}")
    if not all(finding.good for finding in found):
        raise typer.Exit(FAILED)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what may go wrong into one line on standard error and an exit status."""
    from pydantic import ValidationError

    from assistant.errors import AssistantError, InvalidData, InvalidQuestion, KeyNotFound
    from index import IndexingError, IndexNotFound, InvalidFilter, NothingToIndex, SourceNotFound, Stopped

    try:
        yield
    except (
        IndexNotFound,
        NothingToIndex,
        SourceNotFound,
        InvalidFilter,
        InvalidData,
        InvalidQuestion,
        KeyNotFound,
    ) as error:
        say(str(error))
        raise typer.Exit(USAGE) from error
    except (IndexingError, AssistantError, OSError) as error:
        say(str(error))
        raise typer.Exit(FAILED) from error
    except UnicodeDecodeError as error:
        # Whatever else is read is bytes, or JSON whose faults are told above.
        say(f".env is not text in UTF-8 ({error.reason} at byte {error.start}). Save it as that, or delete it")
        raise typer.Exit(USAGE) from error
    except KeyboardInterrupt as error:
        say("Stopped. Nothing was changed" if isinstance(error, Stopped) else "Stopped")
        raise typer.Exit(STOPPED) from error
    except ValidationError as error:
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"]))
            say(f"{error.title} {place}: {fault['msg']} (it is {fault['input']!r})" if place else fault["msg"])
        raise typer.Exit(USAGE) from error


def opened_keys() -> "Keys":
    """Open the API keys, where they are."""
    from assistant.keys import Keys
    from assistant.settings import AssistantSettings

    settings = AssistantSettings()
    if settings.shared is None:
        return Keys(settings.api_keys)
    from assistant.web.shared import Shared, SharedKeys

    return SharedKeys(Shared(settings.shared))


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which a service is stopped, do what Ctrl-C does; either is a good end: the exit status is 0."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say("Stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def opened_assistant(settings: "IndexSettings", may_be_empty: bool = False) -> Iterator["Assistant"]:
    """Open index and assistant; both are closed at the end."""
    from assistant.build import open_assistant
    from assistant.settings import AssistantSettings
    from index import create_index, open_index

    own = AssistantSettings()
    with (create_index if may_be_empty else open_index)(settings) as opened, tracing(own) as trace:
        yield open_assistant(opened, own, trace)


@contextmanager
def tracing(settings: "AssistantSettings") -> Iterator["Callable[[], Trace]"]:
    """Give what sees questions: nobody, or what tells a collector."""
    from assistant.answer import Trace

    if settings.traces_url is None:
        yield Trace
        return
    from assistant.traces import traced

    with traced(str(settings.traces_url)) as trace:
        yield trace


@contextmanager
def tool_documents(settings: "IndexSettings") -> Iterator["Documents"]:
    """Open index and assistant, or leave both to the server that owns the index."""
    from assistant.owner import owner_of
    from assistant.web.mcp import OwnDocuments, OwnersDocuments

    if owner_of(settings.path):
        yield OwnersDocuments(settings)
        return
    with opened_assistant(settings) as assistant:
        yield OwnDocuments(assistant)


def evaluated(folder: Path, questions: Path | None, selection: "Selection") -> "Report":
    """Ask what is selected of a data set."""
    from assistant.evaluation.ask import ask_all
    from assistant.evaluation.corpus import default_cache
    from assistant.evaluation.data import read_data_set
    from assistant.evaluation.report import report
    from assistant.settings import AssistantSettings

    settings = AssistantSettings()
    data = read_data_set(folder, selection, questions)
    with bars() as on_progress:
        asking = ask_all(data, default_cache(), settings, on_progress)
    for failure in asking.failures:
        say(f"not counted: {failure.id}: {failure.reason}")
    return report(data, selection, settings, asking)


def folders(paths: list[str] | None) -> list[Path]:
    """Give the folders and files to index."""
    return [Path(path) for path in paths or ["seeds"]]


def synced(settings: "IndexSettings", paths: list[Path], stop: "Stop") -> "SyncReport":
    """Bring the index in step with folders and files, or have it done by the server that owns it."""
    from assistant.owner import owner_of
    from index import Comparing, create_index, plan

    with progress() as draw:
        if owner := owner_of(settings.path):
            return owner.sync(paths, draw, stop)
        with create_index(settings) as opened:
            draw(Comparing())
            with opened.turn(stop):
                return opened.sync(plan(paths, opened.catalog, stop), draw, stop)


def spread(settings: "IndexSettings", paths: list[Path], stop: "Stop") -> "SyncReport":
    """Bring the index in step, with what a cluster reads and embeds."""
    from index import Comparing, create_index, plan
    from index.cluster import ray_engine

    with progress() as draw, create_index(settings) as opened, opened.turn(stop), ray_engine(settings) as engine:
        draw(Comparing())
        return opened.sync(plan(paths, opened.catalog, stop), draw, stop, engine)


def removed(settings: "IndexSettings", sources: list[str], stop: "Stop") -> "SyncReport":
    """Forget documents, and say what the next sync would bring back."""
    from assistant.owner import owner_of
    from index import open_catalog, open_mismatched, removal

    with closing(open_catalog(settings)) as catalog:
        planned = removal(sources, catalog)
        known = {source.id for source in catalog.sources()}
    if owner := owner_of(settings.path):
        names = [source if source in known else str(Path(source).absolute()) for source in sources]
        with progress() as draw:
            report = owner.remove(names, draw, stop)
    else:
        with open_mismatched(settings) as opened, opened.turn(stop):
            report = opened.remove(removal(sources, opened.catalog))
    for path in planned.remove:
        there = "  (the file is still there: the next sync of its folder indexes it again)" * Path(path).exists()
        say(f"- {printable(path)}{there}")
    return report


def rebuilt(settings: "IndexSettings", paths: list[str], stop: "Stop") -> "SyncReport":
    """Make the index again; a stop leaves the old one, and nothing else."""
    from index import Stopped, rebuild_index

    with progress() as draw:
        report = rebuild_index(settings, [Path(path) for path in paths], draw, stop)
    if report.pending:
        raise Stopped
    return report


@contextmanager
def progress() -> Iterator["Draw"]:
    """Show progress on standard error."""
    from rich.console import Console

    from assistant.progress import bar, lines

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines(say)
        return
    with bar(console) as draw:
        yield draw


@contextmanager
def stoppable() -> Iterator["Stop"]:
    """Let the first Ctrl-C stop the work, but not in the middle of a write, and the second end the process at once."""
    from index import Stop

    stop = Stop()

    def interrupt(*_: object) -> None:
        # Safe at any moment: what was acknowledged is on the disk, and the rest is put right at the next start.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show on standard error how far each step has come."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[tuple[str, int], TaskID] = {}

        def on_progress(step: str, done: int, of: int) -> None:
            if (step, of) not in tasks:
                tasks[step, of] = progress.add_task(step, total=of)
            progress.update(tasks[step, of], completed=done)

        yield on_progress


@contextmanager
def catalog_as_it_is(settings: "IndexSettings") -> Iterator["Catalog"]:
    """Open the catalog to compare with, an empty one for the moment where there is none."""
    from index import Catalog, IndexNotFound, open_catalog

    with TemporaryDirectory() as folder:
        try:
            catalog = open_catalog(settings)
        except IndexNotFound:
            catalog = Catalog.create(Path(folder) / "catalog.sqlite", "")
        with closing(catalog):
            yield catalog


def load(assistant: "Assistant") -> None:
    """Load the models beside the server that starts; what fails is said, and tried again until it is done."""
    from assistant.errors import AssistantError
    from index import IndexingError

    said = ""
    while not assistant.ready:
        try:
            assistant.load()
        except (AssistantError, IndexingError) as error:
            if str(error) != said:
                said = str(error)
                logging.getLogger(__name__).error("%s", said)
            time.sleep(RETRY_SECONDS)


def read_history(path: Path) -> list["Message"]:
    """Read a conversation; raise InvalidQuestion where the file is not one."""
    from pydantic import TypeAdapter, ValidationError

    from assistant.errors import InvalidQuestion
    from assistant.types import Message

    try:
        return TypeAdapter(list[Message]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidQuestion(
            f"{path} is not a conversation ({str(error).splitlines()[0]}). "
            'It is a JSON list: [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]'
        ) from error


def ids(sources: list[str], catalog: "Catalog") -> tuple[str, ...]:
    """Give the ids of documents named by id, file or folder; what is none of these stays, to be refused."""
    found = (id for source in sources for id in catalog.at(str(Path(source).resolve())) or [source])
    return tuple(dict.fromkeys(found))


def print_plan(plan: "Plan", as_json: bool) -> None:
    """Say what a sync would do, in all and path by path."""
    if as_json:
        print_json(plan.report.as_dict() | {"changes": [asdict(change) for change in plan.changes]})
        return
    typer.echo(str(plan.report))
    for change in plan.changes:
        typer.echo(CHANGES[change.change, change.origin is None].format(*map(printable, (change.path, change.origin))))
    for row in plan.report.unreadable:
        typer.echo(f"! {printable(row.path)}: {row.reason}")


def print_report(report: "SyncReport", documents: int, chunks: int) -> None:
    """Say what a sync did, file by file where something was not read."""
    for row in report.unreadable:
        say(f"not indexed: {printable(row.path)}: {row.reason}")
    typer.echo(f"{report}  ({documents} documents, {chunks} chunks in the index)")


def print_answer(answer: "Answer", paths: dict[str, str]) -> None:
    """Print the answer, then each citation with its place."""
    from assistant.types import named

    if answer.notice:
        say(answer.notice.message)
    typer.echo(printable(answer.text, but="\n"))
    for citation in answer.citations:
        path = printable(paths.get(citation.passage.source, citation.passage.source))
        typer.echo(f"\n[{citation.number}] {printable(citation.label)}\n    {path}:{citation.start}-{citation.end}")
        if citation.also_in:
            typer.echo(f"    also in: {printable(named(citation.also_in))}")
    if not answer.answered and answer.passages:
        nearest = answer.passages[0]
        path = printable(paths.get(nearest.source, nearest.source))
        typer.echo(f"\nNearest passage: {printable(nearest.place)}\n    {path}:{nearest.start}")


def print_sources(found: list["Source"]) -> None:
    """Print two lines for each document, and one for each further file of the same content."""
    for source in found:
        facts = ", ".join(filter(None, [f"{source.chunks} chunks", source.language, source.date, source.author]))
        typer.echo(f"{source.id}  {printable(source.title)}\n    {printable(source.path)}  ({printable(facts)})")
        for path in source.paths[1:]:
            typer.echo(f"    {printable(path)}")


def print_text(text: str) -> None:
    """Print a document's text as it is stored; on a terminal, without what would steer it."""
    sys.stdout.write(printable(text, but="\n\t") if sys.stdout.isatty() else text)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines on standard output."""
    for line in lines:
        typer.echo(line)


def print_json(content: object) -> None:
    """Print one JSON document on standard output."""
    typer.echo(json.dumps(content, ensure_ascii=False, indent=2))


def printable(text: str | None, but: str = "") -> str:
    """Replace what would steer the terminal or begin a line: names of files, titles and texts are written by anybody.

    but: what stays all the same, as every kind of space does.
    """
    return "".join(
        sign if sign.isprintable() or category(sign) == "Zs" or sign in but else "\N{REPLACEMENT CHARACTER}"
        for sign in text or ""
    )


def say(message: str) -> None:
    """Tell the user something on standard error."""
    typer.echo(message, err=True)


def rows(settings: "BaseSettings") -> Iterator[tuple[str, str, str, str]]:
    """Give name, value, origin and meaning of each setting."""
    from dotenv import dotenv_values

    prefix = settings.model_config["env_prefix"]
    written = {name.upper() for name in dotenv_values(".env")}
    for field, info in type(settings).model_fields.items():
        name = f"{prefix}{field}".upper()
        in_environment = any(name == variable.upper() for variable in os.environ)
        origin = "environment" if in_environment else ".env" if name in written else "default"
        yield name, str(getattr(settings, field)), origin, info.description or ""

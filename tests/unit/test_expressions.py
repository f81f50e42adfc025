"""No text makes a regular expression of ours take much longer than its length: twice the text, about twice the time.

Each expression is given what nearly matches it, over and over: every sign that it knows, every two of them, and a text
that it matches but for the end. Where that takes no time there is nothing to compare.
"""

import ast
import importlib
import re
import re._constants as op
import re._parser as parser
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

import assistant
import index

CHARACTERS = 4_000
AT_ONCE_SECONDS = 0.01
"""What takes less is not looked at further: a time that grows with the square is ten times that, at this length."""
GROWTH = 3.2
"""Between 2, with the length, and 4, with its square."""
PACKAGES = (assistant, index)
SOURCES = {path: path.read_text("utf-8") for package in PACKAGES for path in Path(package.__path__[0]).rglob("*.py")}
ANYWHERE = {"search", "sub", "subn", "split", "findall", "finditer"}
AT_A_PLACE = {"match", "fullmatch"}

SHORT = {
    "assistant.facts.LAST_WORD": 40,  # what stands just before a number
    "assistant.prose.IMAGE": 4_000,  # a sentence of an answer
    "assistant.prose.LINK": 4_000,
    "index.sentences.FLAGS_BEFORE": 32,
}
"""Expressions that see so many characters at the most, whatever comes."""
SHORT_SECONDS = 1.0

Expression = tuple[re.Pattern[str], frozenset[str]]
"""And what is done with it."""


def modules() -> Iterator[object]:
    """Import those in which an expression has a name."""
    for path, source in SOURCES.items():
        if "re.compile(" in source:
            package = next(one for one in PACKAGES if path.is_relative_to(one.__path__[0]))
            inside = path.relative_to(package.__path__[0]).with_suffix("").parts
            yield importlib.import_module(".".join([package.__name__, *inside]))


def expressions() -> dict[str, Expression]:
    """Find those that a module has a name for, and those that stand where they are used."""
    found: dict[str, Expression] = {}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                used = (set(re.findall(rf"\b{name}\.(\w+)\(", source)) for source in SOURCES.values())
                found.setdefault(f"{module.__name__}.{name}", (value, frozenset(set().union(*used) or ANYWHERE)))
    for path, source in SOURCES.items():
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
                said = call.args[0]
                is_ours = isinstance(call.func.value, ast.Name) and call.func.value.id == "re"
                if (
                    is_ours
                    and isinstance(said, ast.Constant)
                    and isinstance(said.value, str)
                    and call.func.attr != "compile"
                ):
                    found[f"{path.name}:{call.lineno}"] = (re.compile(said.value), frozenset({call.func.attr}))
    return found


def signs(tree: object) -> Iterator[str]:
    """Give a sign for each that an expression asks for, in order."""
    for kind, value in tree:  # type: ignore[attr-defined]
        if kind in (op.LITERAL, op.NOT_LITERAL):
            yield chr(value) if kind is op.LITERAL else "~"
        elif kind is op.ANY:
            yield "x"
        elif kind is op.IN:
            yield from members(value)
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            yield from signs(value[2])
        elif kind is op.SUBPATTERN:
            yield from signs(value[-1])
        elif kind is op.ATOMIC_GROUP:
            yield from signs(value)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from signs(branch)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            yield from signs(value[1])


CATEGORIES = {
    op.CATEGORY_DIGIT: "1",
    op.CATEGORY_NOT_DIGIT: "x",
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_NOT_SPACE: "x",
    op.CATEGORY_WORD: "x",
    op.CATEGORY_NOT_WORD: " ",
}


def members(within: list[tuple[object, object]]) -> Iterator[str]:
    if within[0][0] is op.NEGATE:
        named = set(members(within[1:]))
        yield next(sign for sign in "xé1 ~\n" if sign not in named)
        return
    for kind, value in within:
        if kind is op.LITERAL:
            yield chr(value)  # type: ignore[arg-type]
        elif kind is op.RANGE:
            yield chr(value[0])  # type: ignore[index]
        else:
            yield CATEGORIES[value]  # type: ignore[index]


def near_misses(pattern: re.Pattern[str], length: int) -> Iterator[str]:
    known = list(dict.fromkeys(signs(parser.parse(pattern.pattern, pattern.flags))))
    alike = "".join(known)[:60]
    few = dict.fromkeys([*known[:7], *"x1 ."])
    for again in [*few, *map("".join, product(few, repeat=2)), alike, alike[:-1]]:
        yield (again * length)[:length] + "\0"


def seconds(expression: Expression, text: str) -> float:
    """Say how long all that is done with it takes, of processor time."""
    pattern, uses = expression
    begun = time.thread_time()
    if uses & AT_A_PLACE or not uses & ANYWHERE:
        pattern.match(text)
        pattern.fullmatch(text)
    if uses & ANYWHERE:
        for _ in pattern.finditer(text):
            pass
    return time.thread_time() - begun


def grows_too_fast(expression: Expression, characters: int) -> str | None:
    for text, longer in zip(*(near_misses(expression[0], n) for n in (characters, 2 * characters)), strict=True):
        if seconds(expression, longer) < 2 * AT_ONCE_SECONDS:
            continue
        once, twice = (min(seconds(expression, one) for _ in range(3)) for one in (text, longer))
        if twice > max(GROWTH * once, 2 * AT_ONCE_SECONDS):
            return f"{text[:12]!r}…: {once:.3f} s, twice as long {twice:.3f} s"
    return None


FOUND = expressions()


@pytest.mark.parametrize("name", FOUND)
def test_an_expression_takes_twice_the_time_for_twice_the_text(name: str) -> None:
    if name in SHORT:
        assert max(seconds(FOUND[name], text) for text in near_misses(FOUND[name][0], SHORT[name])) < SHORT_SECONDS
    else:
        assert grows_too_fast(FOUND[name], CHARACTERS) is None


@pytest.mark.parametrize("expression", [r"\s*z", r"<[^>]*>"])
def test_one_that_takes_the_square_of_it_would_be_seen(expression: str) -> None:
    assert grows_too_fast((re.compile(expression), frozenset({"search"})), CHARACTERS)

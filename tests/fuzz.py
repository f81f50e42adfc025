"""Tries the properties of tests/unit for as long as one likes, led by the lines that each input reaches.

    make fuzz SECONDS=3600 PART=citations

What it finds is kept by Hypothesis: the next run of the test itself tries it first. Inputs that reached something new
are kept in .hypothesis/fuzz, where the next run goes on.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["assistant", "index"]):
    from tests.unit import test_any_answer as answers
    from tests.unit import test_tokens as tokens

PARTS: dict[str, list[Callable[..., None]]] = {
    "citations": [
        answers.test_the_claims_are_the_same_however_the_text_arrives,
        answers.test_what_is_said_is_no_markup_for_a_face_that_renders_it,
        answers.test_facts_of_any_text_can_be_compared,
        answers.test_each_citation_stands_in_its_document_and_what_is_not_supported_is_marked,
    ],
    "tokens": [
        tokens.test_no_text_is_a_token,
        tokens.test_a_token_that_was_changed_says_nothing_else,
        tokens.test_no_header_makes_somebody_from_elsewhere_the_owner,
    ],
}


def main(part: str, *options: str) -> None:
    """Fuzz the properties of a part; options are those of libFuzzer."""
    found = Path(".hypothesis") / "fuzz" / part
    found.mkdir(parents=True, exist_ok=True)
    tests = [test.hypothesis.fuzz_one_input for test in PARTS[part]]  # type: ignore[attr-defined]

    def one_input(data: bytes) -> None:
        if data:
            tests[data[0] % len(tests)](data[1:])

    atheris.Setup(
        [
            sys.argv[0],
            "-print_final_stats=1",
            "-max_len=4096",
            "-len_control=0",
            f"-artifact_prefix={found}/",
            *options,
            str(found),
        ],
        one_input,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

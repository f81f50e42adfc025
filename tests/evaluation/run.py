"""Measures a fixed sample of each data set, and writes results and documentation: make evaluate DATA=FOLDER.

    python -m tests.evaluation.run FOLDER [NAME …]

FOLDER holds the data sets, each in a folder of its name. The samples are such that all of it, indexing included, takes
less than half an hour on two cores. Retrieval is measured on more questions than answers are, it is ten times as fast.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.evaluation import tables

SEEDS = Path("seeds")
OPTIONS = {
    "seeds": "--questions tests/evaluation/seed_questions.jsonl",
    "piaf_fr": "--limit 600 --answers 100 --min-words 7 --held-back",
    "afriqa_fr": "--held-back",
    "cnil_fr": "--answers 60",
    "msss_covid_fr_en": "--answers 60 --held-back",
    "msss_covid_fr_en.together": "--answers 0 --together",
    "xquad_en_es_de_ro": "--limit 960 --answers 110 --held-back",
    "squad2_en": "--limit 800 --answers 110 --held-back",
    "nomiracl_fr": "--held-back",
    "nomiracl_en": "--held-back",
    "clapnq_en": "--answers 100 --held-back",
    "mtragun_en": "--answers 100",
}
"""By data set; what is behind a dot tells another run over it apart. Held back is what the reader is not trained on;
without it are the sets of which it was trained on nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=list(OPTIONS), metavar="NAME", help=f"of {', '.join(OPTIONS)}")
    arguments = parser.parse_args()
    missed = [name for name in arguments.names if not measured(name, arguments.folder)]
    tables.write()
    if missed:
        sys.exit(f"Not measured: {', '.join(missed)}")


def measured(name: str, folder: Path) -> bool:
    """Write the result of a data set, and say whether there was one."""
    print(name, file=sys.stderr)
    data = SEEDS if name == "seeds" else folder / name.partition(".")[0]
    command = [sys.executable, "-m", "assistant", "evaluate", str(data), *OPTIONS[name].split(), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode == 0:
        tables.RESULTS.mkdir(exist_ok=True)
        (tables.RESULTS / f"{name}.json").write_bytes(done.stdout)
    return done.returncode == 0


if __name__ == "__main__":
    main()

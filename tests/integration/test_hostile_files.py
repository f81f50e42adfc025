"""Files made to break whoever reads them, given to the command line beside one that is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

from index.sandbox import Limits


def test_a_file_beyond_the_limits_is_a_row_of_the_report_and_the_others_are_indexed(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "long.txt").write_text("a" * (Limits().characters + 1))
    (docs / "note.txt").write_text("Le président a déclaré que la guerre était finie. " * 4, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "tests.network", "index", str(docs), "--json"],
        env=os.environ | {"INDEX_PATH": str(tmp_path / "index")},
        capture_output=True,
        text=True,
        check=True,
    )

    report = json.loads(done.stdout)
    assert report["added"] == 1
    assert {Path(row["path"]).name: row["reason"] for row in report["unreadable"]} == {
        "long.txt": "more than 20,000,000 characters of text; split it into smaller files"
    }

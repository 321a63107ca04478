"""What no file of the repository may hold."""

import re
import subprocess

from dev.process import ROOT

# Home directories and scratch places of some machine; spelled apart so that this file may hold them
MACHINE = re.compile("|".join(rf"(?<![\w.:/-])/{place}/\w" for place in ("home", "Users", "root", "work", "tmp")))


def texts() -> dict[str, str]:
    """Every file that git knows or would add, but pictures."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is where it is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.splitlines() if not name.endswith((".png", ".ico"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths if path.is_file()}


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = {name: MACHINE.findall(text) for name, text in texts().items() if MACHINE.search(text)}
    assert found == {}


def test_every_text_ends_with_one_line_end_and_has_no_carriage_return() -> None:
    wrong = [name for name, text in texts().items() if text and (not text.endswith("\n") or "\r" in text)]
    assert wrong == []

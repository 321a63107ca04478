"""`python -m dev.chromium`: says which Chromium the browser tests use, and gets one where there is none."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from . import debian

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MACOS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def find() -> str | None:
    """The path of the Chromium or Chrome on this machine, else of playwright's own; None when there is neither."""
    installed = [path for name in _NAMES if (path := shutil.which(name))]
    installed += [path for path in _MACOS if Path(path).exists()]
    return installed[0] if installed else _of_playwright()


def _of_playwright() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _install() -> str | None:
    """The distribution's comes first where we may: playwright's lacks its libraries on a bare Linux."""
    if debian.may_install():
        debian.install("chromium")
    if not find():
        debian.run(sys.executable, "-m", "playwright", "install", "chromium")
    return find()


def main() -> int:
    path = find()
    if not path:
        print("The browser tests need Chromium: getting one (once, some minutes).", flush=True)
        path = _install()
    print(f"Chromium: {path}" if path else "No Chromium could be installed: install one yourself, or run `make check`.")
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())

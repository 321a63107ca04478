"""One target under atheris: `python -m fuzz.engine TARGET [libFuzzer's options]`; started by `python -m fuzz`."""

import sys

import atheris

with atheris.instrument_imports(include=["chalicelib", "joserfc"]):
    from fuzz.targets import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()

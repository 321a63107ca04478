"""Which wheels run on Lambda: those for its Python, its processor and a C library as old as its own."""

from .errors import BuildError

ARCHITECTURE = "x86_64"
_GLIBC = {"3.11": 26, "3.12": 34, "3.13": 34}
"""Minor version of glibc 2 on the runtime's Linux: Amazon Linux 2, or 2023."""
_OLDEST = 17
_OLD_NAMES = ("manylinux2014", "manylinux2010", "manylinux1")


def pip_options(python: str) -> list[str]:
    """Options that make pip take wheels for Lambda's `python`, whatever machine this is, and nothing but wheels."""
    if python not in _GLIBC:
        raise BuildError(f"Python {python} is not packaged; {', '.join(_GLIBC)} are. Run make with one of them.")
    platforms = [f"manylinux_2_{minor}_{ARCHITECTURE}" for minor in range(_GLIBC[python], _OLDEST - 1, -1)]
    platforms += [f"{name}_{ARCHITECTURE}" for name in _OLD_NAMES]
    chosen = [option for platform in platforms for option in ("--platform", platform)]
    return ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *chosen]

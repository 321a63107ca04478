"""`python -m deploy.package --stage prod`: the bundle, the CloudFormation template and what belongs to them.

Everything comes into `build/<stage>`; the same sources make the same bytes. No AWS credentials, no call to AWS.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import archive, bill, bytecode, chalice_program, lint, pages, slim, sources
from .archive import Archive
from .errors import BuildError
from .stage import Stage
from .template.merge import merge_template
from .transform import transform

MEGABYTE = 1024 * 1024
MOST_PACKED, MOST_UNPACKED = 16 * MEGABYTE, 50 * MEGABYTE
BUNDLE, TEMPLATE, BILL, LICENCES = "bundle.zip", "template.json", "sbom.cdx.json", "licences.txt"
MADE_OF = "sources.sha256"
"""Of what the package was made, so that an old one is not deployed."""


@dataclass(frozen=True, slots=True)
class Package:
    """What was made; all files are in `folder`."""

    folder: Path
    bundle: Archive
    template: dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.package", description="Make the bundle and the template.")
    parser.add_argument("--stage", required=True, help="a stage of .chalice/config.json, such as prod")
    arguments = parser.parse_args()
    try:
        made = package(Stage.named(arguments.stage))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(_summary(made))
    return 0


def package(stage: Stage, output: Path | None = None) -> Package:
    """Make everything anew in `output` (default: the stage's own folder). Raises BuildError."""
    output = output or stage.output
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    sam, bundle = make_bundle(stage, output)
    template = transform(sam, f"token-vault/{bundle.digest}.zip")
    (output / TEMPLATE).write_text(json.dumps(template, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    lint.lint(output / TEMPLATE)
    (output / MADE_OF).write_text(sources.digest(stage), encoding="utf-8")
    return Package(output, bundle, template)


def make_bundle(stage: Stage, output: Path) -> tuple[dict[str, Any], Archive]:
    """The bundle and its papers in `output`, and the SAM template. Raises BuildError."""
    with tempfile.TemporaryDirectory() as scratch:
        sam, tree = _chalice(stage, Path(scratch))
        slim.slim(tree)
        pages.compile_all(tree)
        bytecode.compile_all(tree)
        bundle = archive.pack(tree, output / BUNDLE)
        _check_size(bundle)
        _describe(tree, bundle, output)
    return sam, bundle


def _chalice(stage: Stage, scratch: Path) -> tuple[dict[str, Any], Path]:
    """Chalice's template with ours laid over it, and its bundle unpacked."""
    project, made, tree, merge = (scratch / name for name in ("project", "made", "tree", "merge.json"))
    project.mkdir()
    sources.copy(stage, project)
    merge.write_text(json.dumps(merge_template()), encoding="utf-8")
    chalice_program.package(project, stage, merge, made)
    archive.unpack(made / "deployment.zip", tree)
    return json.loads((made / "sam.json").read_text(encoding="utf-8")), tree


def _check_size(bundle: Archive) -> None:
    if bundle.packed > MOST_PACKED or bundle.unpacked > MOST_UNPACKED:
        sizes = f"{bundle.packed / MEGABYTE:.1f} MB packed and {bundle.unpacked / MEGABYTE:.1f} MB unpacked"
        raise BuildError(f"The bundle is too large: {sizes}, where 16 and 50 are the most.")


def _describe(tree: Path, bundle: Archive, output: Path) -> None:
    parts = bill.components(tree)
    (output / BILL).write_text(bill.bill_of_materials(parts, bundle.digest, bill.version()), encoding="utf-8")
    (output / LICENCES).write_text(bill.licences(parts), encoding="utf-8")


def _summary(made: Package) -> str:
    packed, unpacked = made.bundle.packed / MEGABYTE, made.bundle.unpacked / MEGABYTE
    return (
        f"{made.folder / BUNDLE}: {packed:.1f} MB, {unpacked:.1f} MB unpacked, SHA-256 {made.bundle.digest}\n"
        f"{made.folder / TEMPLATE}: {len(made.template['Resources'])} resources, cfn-lint has no remarks\n"
        f"{made.folder / BILL}, {LICENCES}: what is in the bundle"
    )


if __name__ == "__main__":
    sys.exit(main())

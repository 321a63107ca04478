"""Where the contracts of stores are held: in memory, on moto, and on dynalite, which shares no code with moto."""

import pytest

from tests.aws import Aws

STORES = ["fake", "dynamodb", pytest.param("dynalite", marks=pytest.mark.integration)]


def aws_of(request: pytest.FixtureRequest) -> Aws:
    """The AWS that a fixture with a parameter of `STORES` is about."""
    aws: Aws = request.getfixturevalue("dynalite" if request.param == "dynalite" else "aws")
    return aws

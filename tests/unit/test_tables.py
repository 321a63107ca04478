"""What DynamoDB says of the tables that the vault asks for, in botocore's own words."""

from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters

from chalicelib.stores.tables import KEYS, SESSIONS, VAULT, Index, TableDefinition

_MODEL = ServiceModel(Loader().load_service_model("dynamodb", "service-2"))
INDEXES = [index for table in (VAULT, KEYS, SESSIONS) for index in table.indexes]


@pytest.mark.parametrize("table", [VAULT, KEYS, SESSIONS], ids=["vault", "keys", "sessions"])
def test_dynamodb_takes_the_definition_of_every_table(table: TableDefinition) -> None:
    validate_parameters(table.create_arguments("vault"), _MODEL.operation_model("CreateTable").input_shape)


@pytest.mark.parametrize("index", INDEXES, ids=[index.name for index in INDEXES])
def test_no_index_projects_more_attributes_than_dynamodb_takes(index: Index) -> None:
    """A list's length is in the model, and checked by no client before it is sent."""
    most: Any = _MODEL.shape_for("NonKeyAttributeNameList").metadata["max"]
    assert most == 20
    assert len(index.projected or ()) <= most

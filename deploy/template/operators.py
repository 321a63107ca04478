"""The role of people and pipelines that run `python -m chalicelib`, and what tells them the vault's settings."""

from typing import Any

from .permissions import OPERATORS, operators_policy, role_name

_AN_HOUR = 3600
LOGICAL_ID = "OperatorsRole"


def resources() -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "OperatorArns"}}, "Action": "sts:AssumeRole"}
    properties = {
        "RoleName": {"Fn::Sub": role_name(OPERATORS)},
        "Description": "Whoever runs the commands of the Token Vault in a shell",
        "MaxSessionDuration": _AN_HOUR,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "commands", "PolicyDocument": operators_policy()}],
    }
    return {LOGICAL_ID: {"Type": "AWS::IAM::Role", "Condition": "HasOperators", "Properties": properties}}


def outputs() -> dict[str, Any]:
    arn = {"Fn::GetAtt": [LOGICAL_ID, "Arn"]}
    words = "Role with which the commands run: python -m deploy.shell"
    return {"OperatorsRoleArn": {"Condition": "HasOperators", "Description": words, "Value": arn}}

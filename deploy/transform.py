"""From Chalice's SAM template to plain CloudFormation: what is deployed is what was checked."""

import os
from typing import Any

from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.translator import Translator

from .errors import BuildError
from .template.functions import STAGE
from .template.permissions import FUNCTIONS, logical

_REGION = "eu-central-1"
"""The translator asks for one to choose a partition; the template itself names none."""
_AFTER_THE_ROLE = {"Fn::If": ["OwnGatewayRole", {"Fn::Sub": "Logs by ${GatewayAccount}"}, "Logs by the account's role"]}
"""Access logs are refused until the account has the gateway's role; this makes the stage wait for it, if it is ours."""


def transform(sam: dict[str, Any], bundle_key: str) -> dict[str, Any]:
    """The template, its functions' code at the parameters `BundleBucket` and `BundleKey`. Raises BuildError."""
    _check_functions(sam)
    os.environ.setdefault("AWS_DEFAULT_REGION", _REGION)
    for resource in _functions(sam).values():
        # A place the translator understands, until `_place_code` puts the parameters in
        resource["Properties"]["CodeUri"] = "s3://bundle-bucket/bundle-key"
    try:
        template: dict[str, Any] = Translator({}, Parser()).translate(sam, {})
    except InvalidDocumentException as error:
        problems = "\n".join(cause.message for cause in error.causes)
        raise BuildError(f"The template cannot be transformed:\n{problems}") from error
    _place_code(template, bundle_key)
    template["Resources"]["RestAPIapiStage"]["Properties"]["Description"] = _AFTER_THE_ROLE
    _bound_roles(template["Resources"])
    _leave_one_stage(template["Resources"])
    return template


def _bound_roles(resources: dict[str, Any]) -> None:
    """Every role, also one that a later piece brings: an account that asks for a boundary refuses a role without it."""
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Role":
            bound = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
            resource["Properties"]["PermissionsBoundary"] = bound


def _leave_one_stage(resources: dict[str, Any]) -> None:
    """SAM's deployment makes a second stage, `Stage`, on its way: without firewall, throttling or log.

    And the function answers no stage but ours, whoever makes another.
    """
    for resource in resources.values():
        if resource["Type"] == "AWS::ApiGateway::Deployment":
            resource["Properties"].pop("StageName", None)
    source = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${RestAPI}/" + STAGE + "/*"
    resources["APIHandlerInvokePermission"]["Properties"]["SourceArn"] = {"Fn::Sub": source}


def _functions(sam: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in sam["Resources"].items() if one["Type"] == "AWS::Serverless::Function"}


def _check_functions(sam: dict[str, Any]) -> None:
    """A function that nobody said anything of would run without settings, log and permissions."""
    known, there = {logical(name) for name in FUNCTIONS}, set(_functions(sam))
    if known != there:
        raise BuildError(f"app.py and deploy/template/permissions.py differ in: {', '.join(sorted(known ^ there))}.")


def _place_code(template: dict[str, Any], bundle_key: str) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = {"S3Bucket": {"Ref": "BundleBucket"}, "S3Key": {"Ref": "BundleKey"}}
    template["Parameters"]["BundleKey"]["Default"] = bundle_key

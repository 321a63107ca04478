"""A deployment of the gateway for each definition: what a stage answers is what its last deployment holds.

The gateway takes no change of its API into a stage by itself, and CloudFormation makes a new deployment only under a
new logical id. SAM makes that of the definition's text, in which a parameter is a reference: a new `PublicUrl` would
never reach the stage.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_KIND = "AWS::ApiGateway::Deployment"
_DIGITS = 10


def revised(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The template with a deployment named after the API's definition and the parameters it depends on."""
    api = json.dumps(template["Resources"]["RestAPI"], sort_keys=True)
    digest = sha256(json.dumps([api, _used(template, api, values)], sort_keys=True).encode()).hexdigest()
    (before,) = [name for name, one in template["Resources"].items() if one["Type"] == _KIND]
    text = json.dumps(template).replace(json.dumps(before), json.dumps(f"RestAPIDeployment{digest[:_DIGITS]}"))
    found: dict[str, Any] = json.loads(text)
    return found


def _used(template: Mapping[str, Any], api: str, values: Mapping[str, str]) -> dict[str, str]:
    """The parameters that the definition names, or that conditions name which it names, at any depth."""
    conditions, text = template["Conditions"], api
    for _ in conditions:
        named = {name for name in conditions if json.dumps(name) in text}
        text = api + json.dumps({name: conditions[name] for name in sorted(named)}, sort_keys=True)
    return {name: value for name, value in values.items() if json.dumps(name) in text or f"${{{name}}}" in text}

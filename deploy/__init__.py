"""From a clone to a CloudFormation template and a bundle. Never packaged; needs no AWS credentials."""

#!/usr/bin/python3
"""boto3's own way to the instance role's credentials; prints the key id and how it was found."""

import json

import boto3

credentials = boto3.Session().get_credentials()
if credentials is None:
    raise SystemExit("boto3 found no credentials")
print(json.dumps({"access_key": credentials.access_key, "secret_key": credentials.secret_key, "method": credentials.method}))

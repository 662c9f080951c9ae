#!/usr/bin/python3
"""google-auth's own way to the service account's token; prints the account."""

import json

from google.auth.compute_engine import Credentials
from google.auth.transport.requests import Request

credentials = Credentials()
credentials.refresh(Request())
print(json.dumps({"account": credentials.service_account_email, "has_token": bool(credentials.token)}))

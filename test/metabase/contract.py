"""Requests held against api.json, the facts of Metabase's published API.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import json
import re
from pathlib import Path

import jsonschema

API = Path(__file__).resolve().parent / "api.json"


class Endpoint:
    """One method of one path: who may ask, and with what."""

    def __init__(self, facts, definitions):
        self.method = facts["method"]
        self.path = facts["path"]
        self.open = facts.get("open", False)
        # Metabase takes a slash at the end, too.
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[1-9][0-9]*)", self.path)
        self.pattern = re.compile(pattern + "/?")
        query = {"type": "object", "additionalProperties": False,
                 "properties": facts.get("query", {})}
        self.query = self._validator(query, definitions)
        self.body = None
        if "body" in facts:
            self.body = self._validator(facts["body"], definitions)

    @staticmethod
    def _validator(schema, definitions):
        schema = {**schema, "$defs": definitions}
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    def objection(self, query, body):
        """What is wrong with a request, or None."""
        for error in self.query.iter_errors(query):
            return f"query {error.json_path}: {error.message}"
        if self.body is None:
            return None if body is None else "this endpoint takes no body"
        if body is None:
            return "a body is missing"
        for error in self.body.iter_errors(body):
            return f"body {error.json_path}: {error.message}"
        return None


class Contract:
    """All endpoints."""

    def __init__(self):
        facts = json.loads(API.read_text(encoding="utf-8"))
        self.endpoints = [Endpoint(endpoint, facts["$defs"])
                          for endpoint in facts["endpoints"]]

    def find(self, method, path):
        """The endpoint and the ids in the path; (None, {}) if there is none."""
        for endpoint in self.endpoints:
            match = endpoint.pattern.fullmatch(path)
            if match and endpoint.method == method:
                return endpoint, {name: int(value) for name, value
                                  in match.groupdict().items()}
        return None, {}

"""Run by the validator's own Python, without a network: ``SCRIPT CRATE CACHE FINDINGS``.

Writes the findings as JSON, a list of ``[severity, check, entity, message]``. The words of
RO-Crate 1.1, which the validator would fetch, are put into its cache from an older ``rocrate``.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

from requests.adapters import BaseAdapter, HTTPAdapter
from requests_cache import CachedSession
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate
from urllib3 import HTTPResponse

WORDS = "https://w3id.org/ro/crate/1.1/context"


class _Held(BaseAdapter):
    def send(self, request, **_options):
        # It is read, not imported: that would want all that it depends on.
        held = distribution("rocrate").locate_file("rocrate/data/ro-crate.jsonld")
        words = Path(str(held)).read_bytes()
        assert json.loads(words)["@id"] == WORDS
        reply = HTTPResponse(
            body=BytesIO(words),
            status=200,
            headers={"content-type": "application/ld+json"},
            preload_content=False,
        )
        return HTTPAdapter().build_response(request, reply)

    def close(self) -> None:
        pass


def main() -> None:
    crate, cache, findings = map(Path, sys.argv[1:])
    session = CachedSession(str(cache), backend="sqlite", expire_after=-1)
    session.mount(WORDS, _Held())
    session.get(WORDS).raise_for_status()
    session.close()
    found = validate(
        ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="provenance-run-crate-0.5",
            requirement_severity=Severity.RECOMMENDED,
            cache_path=str(cache),
            offline=True,
        )
    )
    issues = [
        [one.severity.name, one.check.identifier, one.violatingEntity or "", one.message]
        for one in found.get_issues()
    ]
    findings.write_text(json.dumps(issues))


main()

"""Presidio's pattern recognisers over the same documents: one line of JSON for each finding, last the time and bytes.

Usage: presidio.py FOLDER. A language model is not used: recognisers that need one are left out.
"""

import json
import sys
import time
from pathlib import Path

from presidio_analyzer import PatternRecognizer, predefined_recognizers

KINDS = {
    "CREDIT_CARD": "bank-card", "IBAN_CODE": "iban", "EMAIL_ADDRESS": "email", "US_SSN": "us-ssn", "IP_ADDRESS": "ip-address",
    "MAC_ADDRESS": "mac-address", "PHONE_NUMBER": "phone", "UK_NHS": "uk-nhs",
}  # fmt: skip

recognisers = []
for name in sorted(dir(predefined_recognizers)):
    made = getattr(predefined_recognizers, name)
    if isinstance(made, type) and (issubclass(made, PatternRecognizer) or name == "PhoneRecognizer") and made is not PatternRecognizer:
        try:
            recogniser = made()
        except Exception:
            continue
        if set(recogniser.supported_entities) & set(KINDS):
            recognisers.append(recogniser)

folder = Path(sys.argv[1])
size, begun = 0, time.monotonic()
for path in sorted(folder.glob("*.txt")):
    text = path.read_text()
    size += len(text.encode())
    for recogniser in recognisers:
        for found in recogniser.analyze(text, recogniser.supported_entities, None) or []:
            kind = KINDS.get(found.entity_type)
            if kind and found.score >= 0.4:
                start, end = len(text[: found.start].encode()), len(text[: found.end].encode())
                print(json.dumps({"path": path.name, "kind": kind, "start": start, "end": end}))
print(json.dumps({"seconds": time.monotonic() - begun, "bytes": size, "recognisers": len(recognisers), "kinds": sorted(set(KINDS.values()))}))

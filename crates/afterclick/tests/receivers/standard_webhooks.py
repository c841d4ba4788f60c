"""A receiver by the Standard Webhooks specification: `id.timestamp.body`, the key is the base64 behind `whsec_`."""

import base64
import hashlib
import hmac
import os
import time

from receiver import serve

TOLERANCE_SECONDS = 300
KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))


def is_genuine(headers, raw):
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    wanted = hmac.new(KEY, f"{identity}.{timestamp}.".encode() + raw, hashlib.sha256).digest()
    entries = (entry.partition(",") for entry in headers.get("webhook-signature", "").split(" "))
    return any(
        version == "v1" and hmac.compare_digest(base64.b64decode(signature), wanted) for version, _, signature in entries
    )


serve(is_genuine)

"""The pillar document's receiver: the body is parsed first, and the signature is checked over `timestamp.body` with the
body written again by json.dumps."""

import hashlib
import hmac
import json
import os
import time

from receiver import serve

TOLERANCE_SECONDS = 300


def is_genuine(headers, raw):
    timestamp = headers.get("X-Webhook-Timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    written_again = json.dumps(json.loads(raw), separators=(",", ":"))
    wanted = hmac.new(os.environ["WEBHOOK_SECRET"].encode(), f"{timestamp}.{written_again}".encode(), hashlib.sha256)
    return hmac.compare_digest(headers.get("X-Webhook-Signature", ""), wanted.hexdigest())


serve(is_genuine)

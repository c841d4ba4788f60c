"""The integration documents' receiver: the signature is checked over the raw body, before anything is parsed."""

import hashlib
import hmac
import os

from receiver import serve

PREFIX = "sha256=" if os.environ["WEBHOOK_SCHEME"] == "body-hex-prefixed" else ""


def is_genuine(headers, raw):
    wanted = hmac.new(os.environ["WEBHOOK_SECRET"].encode(), raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers.get("X-Webhook-Signature", ""), PREFIX + wanted)


serve(is_genuine)

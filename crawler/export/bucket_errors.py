"""What an error of S3 means, in one line: the cause, what to do, and whether it may pass by itself.

The texts of obstore have the server's answer in them, with its error code, and the cause of a broken connection behind
`inner:`. Nothing else of them is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CAUSE: Final = re.compile(r'Os \{\s+code: \d+,\s+kind: \w+,\s+message: "([^"]{1,60})"')
_METADATA: Final = re.compile(r"performing \w+ http://169\.254\.")
"""In errors of obstore that looked for the credentials of a machine in a cloud, as the last resort."""

NO_CREDENTIALS: Final = (
    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles in ~/.aws are not read)"
)
_RIGHTS: Final = "the key needs s3:PutObject, GetObject, ListBucket, DeleteObject and AbortMultipartUpload"
_REGION: Final = "the bucket is in another region: set AWS_REGION"
_WORDS: Final = {
    "NoSuchBucket": "there is no such bucket: create it first, or correct its name",
    "InvalidBucketName": "this is no name of a bucket",
    "AccessDenied": f"access denied: {_RIGHTS}",
    "AllAccessDisabled": "access denied: the bucket is closed",
    "AccountProblem": "access denied: the account has a problem",
    "InvalidAccessKeyId": "the server does not know the access key: check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is wrong: check AWS_SESSION_TOKEN",
    "ExpiredToken": "the session token has expired: set a new one",
    "TokenRefreshRequired": "the session token has expired: set a new one",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "RequestExpired": "the clock of this machine is wrong: set it",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
"""What an error code of S3 means. Such an error does not pass by itself."""
_PASSING: Final = {
    *("SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "NoSuchUpload"),
    *("InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
}
_PASSING_STATUSES: Final = (408, 425, 429, 500, 502, 503, 504, 507)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request failed."""

    why: str
    passing: bool = False
    """The same request may succeed later."""
    missing: bool = False
    """The object does not exist."""
    changed: bool = False
    """A condition did not hold."""
    code: str = ""
    """The word of S3 for it."""


def trouble_of(error: Exception) -> Trouble:
    """What *error* of obstore means. It has the answer of the server in its text, the cause in its debug text."""
    text = str(error)
    code = found[1] if (found := _CODE.search(text)) else ""
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    if _METADATA.search(text):
        return Trouble(NO_CREDENTIALS)
    if code in _WORDS:
        return Trouble(_WORDS[code])
    if "redirect without LOCATION" in text:
        return Trouble(_REGION)
    if code in _PASSING or status in _PASSING_STATUSES:
        return Trouble(f"the server answered {status or ''} {code}".replace("  ", " ").rstrip(), passing=True)
    if type(error).__name__ == "InvalidPathError":
        return Trouble("it holds a key with an empty part, or one that is . or ..: name another folder")
    if not status:
        return _broken(text)
    why = f"the server answered {status}{' ' if code else ''}{code}: is AWS_ENDPOINT_URL that of an S3 server?"
    changed = status in (409, 412) or type(error).__name__ == "PreconditionError"
    return Trouble(why, missing=code == "NoSuchKey" and not changed, changed=changed, code=code)


def _broken(text: str) -> Trouble:
    """What is wrong with a connection; the debug text says it after `inner`."""
    text = text.rpartition(" inner: ")[2]
    if "InvalidCertificate" in text:
        return Trouble("its certificate is not trusted: name the file of its authority in AWS_CA_BUNDLE")
    if "kind: Timeout" in text or "TimedOut" in text:
        return Trouble("it does not answer in time", passing=True)
    if "dns error" in text or "failed to lookup" in text:
        return Trouble("its name cannot be resolved", passing=True)
    if found := _CAUSE.search(text):
        return Trouble(found[1].lower(), passing=True)
    return Trouble("the connection broke", passing=True)

"""What can go wrong, as one tree.

::

    GatewayError                      answered to the caller, in the caller's dialect
    +-- CallerError                   the caller can mend it: 4xx, never retried by us
    |   +-- InvalidRequest            400  malformed JSON, missing or wrong-typed field (named)
    |   |   +-- UnsupportedFeature    400  the target cannot express it
    |   |   +-- UnsupportedTranslation 400 dialect and provider whose pair is not built
    |   +-- AuthenticationFailed      401  no key, wrong, revoked, expired, two keys
    |   +-- PermissionRefused         403  model or operation not allowed to this key
    |   +-- NotFound                  404  unknown model or path
    |   +-- PayloadTooLarge           413  body or headers beyond our limit
    |   +-- UnsupportedMedia          415  not a JSON body
    +-- UpstreamError                 the provider's side
    |   +-- UpstreamRefused           the provider's own 4xx, passed on
    |   +-- UpstreamAuthError         502  the operator's account is at fault (401, 402, 403 upstream)
    |   +-- UpstreamUnreachable       502  no connection
    |   +-- UpstreamTimeout           504
    |   +-- UpstreamInvalidResponse   502  garbage, wrong content type, truncated
    |   +-- UpstreamServerError       the provider's own 5xx, passed on
    +-- ServiceUnavailable            503  ledger not writable, configuration stale, shutting down

    ConfigurationError                the operator must change a setting; stands outside so that no handler swallows it

``code`` is the machine-readable word that callers see; ``param`` names the offending field in dotted form.
"""

from __future__ import annotations


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names it."""


class GatewayError(Exception):
    """Root of everything that is answered to a caller."""

    http_status: int = 500
    error_type: str = "server_error"
    code: str | None = "internal_error"
    #: Whether the same call may succeed later without a change; sent as ``x-should-retry``.
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        http_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code
        if http_status is not None:
            self.http_status = http_status


class CallerError(GatewayError):
    http_status = 400
    error_type = "invalid_request_error"
    code: str | None = None


class InvalidRequest(CallerError):
    """A body or field that cannot be accepted; ``param`` names the field."""


class UnsupportedFeature(InvalidRequest):
    code = "unsupported_feature"


class UnsupportedTranslation(InvalidRequest):
    code = "unsupported_translation"


class AuthenticationFailed(CallerError):
    http_status = 401
    error_type = "authentication_error"
    code = "invalid_api_key"


class PermissionRefused(CallerError):
    http_status = 403
    error_type = "permission_error"
    code = "not_allowed"


class NotFound(CallerError):
    http_status = 404
    code = "not_found"


class PayloadTooLarge(CallerError):
    http_status = 413
    code = "request_too_large"


class UnsupportedMedia(CallerError):
    http_status = 415
    code = "unsupported_media_type"


class UpstreamError(GatewayError):
    """Something on the provider's side, before or after the first byte."""

    http_status = 502
    error_type = "upstream_error"
    code = "upstream_error"
    #: Whether another candidate may be tried (nothing was accepted upstream, as far as we can know).
    try_next: bool = False


class UpstreamRefused(UpstreamError):
    """A 4xx that the caller's request earned; passed on with its status and body."""


class UpstreamAuthError(UpstreamError):
    """The operator's account was refused (401, 402, 403); the caller cannot mend it, so it is not retryable."""

    code = "upstream_auth_error"


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    retryable = True
    try_next = True


class UpstreamTimeout(UpstreamError):
    """No answer in time. Not tried again: the provider may be working, and charging, already."""

    http_status = 504
    code = "upstream_timeout"
    retryable = True


class UpstreamInvalidResponse(UpstreamError):
    code = "upstream_invalid_response"
    retryable = True


class UpstreamServerError(UpstreamError):
    """A 5xx or 429 of the provider."""

    retryable = True
    try_next = True


class ServiceUnavailable(GatewayError):
    http_status = 503
    error_type = "server_error"
    code = "service_unavailable"
    retryable = True

"""The two guides of the served documentation, in Markdown: they are the description of the OpenAPI document."""

OVERVIEW = """\
# Overview

One gateway speaks the providers' own APIs. Use any provider's SDK with another base URL and a gateway key; the
request goes to the account that the operator has configured, and is kept in the ledger.

## Base URL

The address at which the gateway is mounted, with the path that the SDK expects after it. For the OpenAI SDK that is
the address followed by `/v1`:

```python
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="sk-tkh-...")
```

## Authentication

Send the gateway key in one of these headers, whichever your SDK uses; all of them work on every path:

| header | used by |
| --- | --- |
| `Authorization: Bearer KEY` | OpenAI, DeepSeek |
| `x-api-key: KEY` | Anthropic |
| `x-goog-api-key: KEY` | Google |

On Gemini's paths the key may also stand in the query, as `?key=KEY`. Two different keys in one request are refused. A
key has a scope: `gateway` calls models, `manage` uses the management API under `/api/v1/`, which also takes the session
of a signed-in user (with CSRF token) and that user's permissions.

## Models

The `model` of a request is matched with the operator's routes, by exact name or by pattern such as `gpt-*`. A name
that no route serves is a 404 that tells the nearest names; one that your key does not allow is a 403. Fields that the
gateway does not know are passed on, and fields of an answer that it does not know are kept.

## Errors

Errors have the form of the API that was called. In the OpenAI form:

```json
{"error": {"message": "...", "type": "invalid_request_error", "param": "messages", "code": null}}
```

| status | when |
| --- | --- |
| 400 | malformed JSON, or a field is missing or wrong; `param` names it |
| 401 | no key, a wrong, revoked or expired one, or two different ones |
| 403 | the key does not allow this model or operation |
| 404 | no route serves this model, or there is no such record |
| 413, 415 | the body is too large, or is not JSON |
| 429 | the provider's limit; wait for `Retry-After` seconds |
| 502, 504 | the provider was not reached, answered nonsense or too late; `upstream_auth_error` is for the operator |
| 503 | the gateway cannot take the call at the moment; nothing was sent |

Other refusals of a provider pass with their status and body. Every answer has the header `x-request-id`; the ledger
knows the call by it. `x-should-retry` tells whether the same call may succeed later.
"""

STREAMING = """\
# Streaming API

With `"stream": true` the answer is `text/event-stream`: the provider's events, as they come, each one a line
`data: ` with JSON and an empty line. Nothing is held back and, where caller and provider speak the same API, nothing
is rewritten.

```sh
curl -N http://127.0.0.1:8000/v1/chat/completions \\
  -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "Count to five."}]}'
```

```text
data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"One"}}], ...}

data: [DONE]
```

| in chat completions | |
| --- | --- |
| text | `choices[].delta.content`, piece by piece |
| tool calls | `choices[].delta.tool_calls[]`: pieces of `function.arguments`, put together by `index` |
| end of an answer | `finish_reason` is set; null before |
| usage | with `"stream_options": {"include_usage": true}`, in one last chunk whose `choices` are empty |
| end of the stream | `data: [DONE]` |
| an error after the first event | `data: {"error": {...}}`, and the stream ends without `[DONE]` |

Gemini names streaming in the path. With `?alt=sse` the answer is events, without names and without a closing one: a
candidate is complete when it has its `finishReason`, chunks with nothing but `usageMetadata` may follow, and the last
usage holds for all. Without `alt=sse` the answer is one JSON array that grows chunk by chunk. If something fails after
the first chunk, an element with `error` comes last; the array is then left without its closing bracket, so that half an
answer is never taken for a whole one.

```sh
curl -N "http://127.0.0.1:8000/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse" \\
  -H "x-goog-api-key: $KEY" -H "Content-Type: application/json" \\
  -d '{"contents": [{"parts": [{"text": "Count to five."}]}]}'
```

Lines that begin with a colon are signs of life and carry nothing; SDKs skip them. Before the first event a failure is
an ordinary error with its HTTP status, and another account may be tried; after it, never. If you close the connection,
the provider's call is ended too, or read to its end for exact usage, as the operator has set; the ledger says which.
"""

DESCRIPTION = f"{OVERVIEW}\n{STREAMING}"

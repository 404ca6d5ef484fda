"""The Django door: gateway paths, the management REST, the OpenAPI document, health and metrics."""

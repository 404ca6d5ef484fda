"""The standalone service built from ``tikhub_app``; also the demo and the host that the tests use."""

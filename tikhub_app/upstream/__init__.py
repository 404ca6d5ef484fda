"""Talking to providers: plain values in, plain values out. Transports send; they know nothing of dialects or tables."""

"""The benchmark that users can run: the gateway beside its peers, over the same fake upstream.

Only the standard library and uvloop are imported here, nothing of the gateway: it is measured from
the outside, as a process, over HTTP. `bench/run` makes the environment and starts `__main__`.
"""

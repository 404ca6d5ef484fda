"""A host whose settings get in the way wherever they can: the app must not notice."""

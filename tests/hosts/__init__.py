"""Foreign Django sites that the app is embedded in, each with habits that must not harm it."""

"""The routes, one file a subject; they ask `ports` and decide nothing themselves."""

"""The benchmark of factorymon; see ../README.md."""

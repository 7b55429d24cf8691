"""The first install of a node: what `pli quickstart` asks, writes and leaves to be done by hand."""

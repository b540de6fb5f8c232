"""The print queue: what is printed next, and how the running print is doing."""

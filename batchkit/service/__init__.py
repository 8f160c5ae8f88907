"""The two services on the wire: jobs, files, and the way to them."""

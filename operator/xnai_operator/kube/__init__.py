"""The client of the Kubernetes API, the object cache, and manifests."""

"""The Kubernetes API as every part of ours uses it: the client, the object cache, manifests."""

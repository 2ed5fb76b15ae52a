"""A private kube-apiserver with etcd on one machine."""
